/** The file of --config: createNode's options as JSON. It says who may come in, so it is judged. */
import { AUTH } from '../config.js'
import type { Logger } from '../contracts/environment.js'
import { GcacheError } from '../errors.js'
import { readPrivate } from '../private-files.js'

/** Names of what nobody else shall read, wherever it stands: a broker's credentials, say. */
const SECRETS = ['pass', 'password', 'token', 'nkey', 'seed', 'secret', 'key', 'passphrase']

/** The object in it. CONFIG, which names the file, for one that is none, or that anybody may write;
 *  `logger` hears if others may read it and it holds a secret. */
export function readConfig(file: string, logger: Pick<Logger, 'warn'>): Record<string, unknown> {
  const complaints: Parameters<Logger['warn']>[] = []
  const warn: Logger['warn'] = (...complaint) => complaints.push(complaint)
  const bytes = readPrivate(file, AUTH.configFileBytesMax, `--config ${file}`, { warn })
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    // Its words may quote the file, and so a secret: only the place is told.
    const [place = ''] = / at position \d+/.exec((cause as Error).message) ?? []
    throw new GcacheError('CONFIG', `--config ${file}: is no JSON${place}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new GcacheError('CONFIG', `--config ${file}: must hold one JSON object`)
  if (holdsSecret(value)) for (const complaint of complaints) logger.warn(...complaint)
  return value as Record<string, unknown>
}

function holdsSecret(value: object): boolean {
  return Object.entries(value).some(([name, part]) => {
    if (typeof part === 'string') return SECRETS.includes(name)
    return typeof part === 'object' && part !== null && holdsSecret(part)
  })
}
