/**
 * Files that hold secrets, or say who may come in: read up to a bound, and judged by who else may
 * touch them, as ssh does. What anybody may write is refused. What others may only read is told of:
 * containers are given their secrets so (Docker 0444, Kubernetes 0644), where nobody else is. A
 * group is its operator's decision; where there are no such modes nothing is judged.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { Logger } from './contracts/environment.js'
import { GcacheError } from './errors.js'

const OTHERS_READ = 0o004
const OTHERS_WRITE = 0o002

/** The bytes of `file`, which is `whose`. CONFIG for one that cannot be read, is larger than
 *  `bytesMax`, or may be written by anybody; `logger` hears if others may read it. */
export function readPrivate(
  file: unknown,
  bytesMax: number,
  whose: string,
  logger: Pick<Logger, 'warn'>,
): Buffer {
  return readWhole(file, bytesMax, whose, (opened, path) => {
    const stats = fstatSync(opened)
    if (process.platform === 'win32' || !stats.isFile()) return
    const mode = (stats.mode & 0o777).toString(8)
    if ((stats.mode & OTHERS_WRITE) !== 0)
      throw config(`${whose}: anybody may write ${path} (mode ${mode}): chmod 600 it`)
    if ((stats.mode & OTHERS_READ) !== 0)
      logger.warn({ file: path, mode }, 'others may read this file, which is secret: chmod 600 it')
  })
}

/** The same of a file that is no secret. */
export function readBounded(file: unknown, bytesMax: number, whose: string): Buffer {
  return readWhole(file, bytesMax, whose, () => undefined)
}

function readWhole(
  file: unknown,
  bytesMax: number,
  whose: string,
  judge: (opened: number, path: string) => void,
): Buffer {
  if (typeof file !== 'string' || file === '') throw config(`${whose} must be a path`)
  const bytes = Buffer.alloc(bytesMax + 1)
  let length = 0
  try {
    const opened = openSync(file, 'r')
    try {
      judge(opened, file)
      for (let read = -1; read !== 0; length += read)
        read = readSync(opened, bytes, length, bytes.length - length, null)
    } finally {
      closeSync(opened)
    }
  } catch (cause) {
    if (cause instanceof GcacheError) throw cause
    throw new GcacheError('CONFIG', `${whose}: ${(cause as Error).message}`, { cause })
  }
  if (length > bytesMax) throw config(`${whose}: ${file} has more than ${bytesMax} bytes`)
  return bytes.subarray(0, length)
}

function config(text: string): GcacheError {
  return new GcacheError('CONFIG', text)
}
