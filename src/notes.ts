/**
 * A few bytes that outlive the process: what a witness promised and acked. One small file, written
 * anew each time and moved into place once its bytes are on the disk, so a crash leaves the old
 * note or the new one. Synchronous, because nothing that depends on a note may be said before.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { GcacheError } from './errors.js'

const CRC_BYTES = 4

export interface Notes {
  /** What the last process saved; undefined for none. */
  readonly last: Uint8Array | undefined
  /** Returns once the bytes are on the disk. Throws what the disk throws: the node then stops. */
  save(note: Uint8Array): void
}

/** The notes of node `id` of `cluster` in `folder`, which is made with mode 0700. CONFIG for a
 *  damaged file, and for a folder or a file that is open to others. */
export function openNotes(folder: string, cluster: string, id: string): Notes {
  const file = join(folder, `${cluster}-${id}.note`)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    refuseOpen(folder, 0o700)
    if (existsSync(file)) refuseOpen(file, 0o600)
  } catch (cause) {
    if (cause instanceof GcacheError) throw cause
    throw new GcacheError('CONFIG', `--data-dir ${folder} cannot be used: ${text(cause)}`, {
      cause,
    })
  }
  return {
    last: readNote(file),
    save: note => {
      const next = `${file}.next`
      const bytes = Buffer.alloc(CRC_BYTES + note.length)
      bytes.writeUInt32LE(crc32(note))
      bytes.set(note, CRC_BYTES)
      writeDurably(next, bytes)
      renameSync(next, file)
      const directory = openSync(folder, 'r')
      try {
        fsyncSync(directory)
      } finally {
        closeSync(directory)
      }
    },
  }
}

/** SECURITY 17: whoever else could write there could make this node vote twice. */
function refuseOpen(path: string, mode: number): void {
  const wider = statSync(path).mode & 0o777 & ~mode
  if (wider === 0 || process.platform === 'win32') return
  const octal = mode.toString(8)
  throw new GcacheError('CONFIG', `${path} is open to others than its owner: chmod ${octal} it`)
}

function writeDurably(file: string, bytes: Uint8Array): void {
  const descriptor = openSync(file, 'w', 0o600)
  try {
    writeSync(descriptor, bytes)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function readNote(file: string): Uint8Array | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new GcacheError('CONFIG', `${file} cannot be read: ${text(error)}`, { cause: error })
  }
  const note = bytes.subarray(CRC_BYTES)
  if (bytes.length > CRC_BYTES && crc32(note) === bytes.readUInt32LE()) return note
  throw new GcacheError(
    'CONFIG',
    `${file} is damaged: remove it, and the witness votes again once both nodes agree`,
  )
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
