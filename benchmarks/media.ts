/**
 * Every medium beside raw TCP: the same nodes and the same client over both, runs alternating, so
 * that whatever else the machine does meets both. Medians of the pairs. Goals: WebSockets and TLS
 * >= 0.6 times TCP; what a broker costs is shown, its goal is that of nats.ts.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Authority } from '../test/harness/certificates.js'
import { options } from './arguments.js'
import type { Work } from './harness.js'
import { printer } from './output.js'
import { compared, type SideOptions, withSides } from './side.js'

const MEDIA = ['websocket', 'tls', 'nats'] as const
type Medium = (typeof MEDIA)[number]
/** How many nodes each takes: as beside redis, a slave only where it has to acknowledge. */
const WORKS: readonly { readonly work: Work; readonly nodes: number }[] = [
  { work: 'get', nodes: 1 },
  { work: 'set', nodes: 1 },
  { work: 'set-slave', nodes: 2 },
]

interface Chosen {
  readonly 'in-flight': number
  readonly 'value-bytes': number
  readonly keys: number
  readonly ms: number
  readonly pairs: number
}

export async function main(args: string[]): Promise<void> {
  const numbers = { 'in-flight': 100, 'value-bytes': 100, keys: 1_000, ms: 1_000, pairs: 7 }
  const chosen = options(args, { json: false, media: MEDIA.join(), ...numbers })
  const media = chosen.media.split(',') as Medium[]
  const unknown = media.find(medium => !MEDIA.includes(medium))
  if (unknown !== undefined) throw new Error(`no medium is ${unknown}: ${MEDIA.join(', ')}`)
  const print = printer(chosen.json)
  for (const medium of media)
    for (const { work, nodes } of WORKS) print(await measure(medium, work, nodes, chosen))
}

async function measure(medium: Medium, work: Work, nodes: number, chosen: Chosen) {
  const { keys, ms, 'in-flight': inFlight, 'value-bytes': valueBytes } = chosen
  const folder = mkdtempSync(join(tmpdir(), 'gcache-bench-'))
  const how = { nodes, keys, valueBytes }
  try {
    const run = { work, inFlight, ms }
    const { one, other, ratio } = await withSides(
      [{ ...how, ...wayOf(medium, folder) }, how],
      (ours, plain) => compared(ours, plain, run, chosen.pairs),
    )
    return {
      ...{ bench: 'media', medium, work, inFlight, valueBytes },
      ...{ opsPerSec: one, tcpOpsPerSec: other, ratio },
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function wayOf(medium: Medium, folder: string): Partial<SideOptions> {
  if (medium !== 'tls') return { transport: medium }
  const authority = new Authority()
  const { cert, key } = authority.issue('a', { names: ['b'], hosts: ['127.0.0.1'] })
  const file = (name: string, text: string) => {
    const path = join(folder, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
  const flags = [
    ...['--tls-cert', file('cert.pem', cert), '--tls-key', file('key.pem', key)],
    ...['--tls-ca', file('ca.pem', authority.cert)],
  ]
  return { flags, ca: authority.cert }
}
