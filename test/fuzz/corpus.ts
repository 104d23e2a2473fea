/**
 * What mutation begins with: the recorded bytes of every message (test/golden), frames at the
 * bounds of what is allowed, and every input that a run has ever found, as a hex file in
 * test/fuzz/found named `<target>-<crc>.hex`. A run that finds something leaves such a file.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LIMITS } from '../../src/config.js'
import { Writer } from '../../src/wire/bytes.js'
import { checksum } from '../../src/wire/checksum.js'
import { OP, writePlain, writeScan, writeSet } from '../../src/wire/command.js'
import { packMessage } from '../../src/wire/control.js'
import { beginRequest, beginRequests, endRequest } from '../../src/wire/requests.js'
import { projectRoot } from '../harness/project-root.js'

const ROOT = projectRoot()
const GOLDEN = join(ROOT, 'test/golden')
export const FOUND = join(ROOT, 'test/fuzz/found')

/** The recorded messages whose names begin with one of `prefixes`, in the order of their names. */
export function golden(...prefixes: string[]): Buffer[] {
  return readdirSync(GOLDEN)
    .filter(file => prefixes.some(prefix => file.startsWith(prefix)))
    .sort()
    .map(file => readHex(join(GOLDEN, file)))
}

/** What runs found for `target`. */
export function found(target: string, folder = FOUND): Buffer[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter(file => file.startsWith(`${target}-`) && file.endsWith('.hex'))
    .sort()
    .map(file => readHex(join(folder, file)))
}

/** Leaves `input` for every later run, and returns where. */
export function leaveFound(target: string, input: Uint8Array, folder = FOUND): string {
  const crc = checksum(input, 0).toString(16).padStart(8, '0')
  const file = join(folder, `${target}-${crc}.hex`)
  mkdirSync(folder, { recursive: true })
  const hex = Buffer.from(input).toString('hex')
  writeFileSync(file, `${hex.replace(/(.{64})/g, '$1\n')}\n`)
  return file
}

function readHex(file: string): Buffer {
  return Buffer.from(readFileSync(file, 'utf8').replace(/\s/g, ''), 'hex')
}

const out = new Writer()

function written(write: () => void): Buffer {
  out.reset()
  write()
  return Buffer.from(out.copy())
}

function request(count: number, write: () => void): Buffer {
  return written(() => {
    const at = beginRequests(out, undefined)
    for (let id = 1; id <= count; id++) {
      const start = beginRequest(out, id, 0, 0)
      write()
      endRequest(out, start)
    }
    out.patchU16(at, count)
  })
}

const { keyBytesMax, cacheNameBytesMax, requestsPerFrameMax } = LIMITS
const NAME = 'n'.repeat(cacheNameBytesMax)

/** Commands at their bounds: empty, and as long as may be. */
export const EDGE_COMMANDS: readonly Buffer[] = [
  written(() => writePlain(out, OP.noop, '', '')),
  written(() => writeSet(out, 'c', 'k', Buffer.alloc(0), {})),
  written(() => writeSet(out, NAME, 'k'.repeat(keyBytesMax), Buffer.alloc(300, 7), {})),
  written(() => writeSet(out, '\u00e4', '\u{1f511}', Buffer.from([0xc1]), { ifVersion: 0 })),
  written(() => writeScan(out, 'c', '', Number.MAX_SAFE_INTEGER, 0xffff)),
]

/** Request frames at their bounds. */
export const EDGE_REQUESTS: readonly Buffer[] = [
  written(() => beginRequests(out, undefined)),
  written(() => beginRequests(out, { id: '\0'.repeat(16), lowest: 0 })),
  request(requestsPerFrameMax, () => writePlain(out, OP.get, 'c', 'k')),
  request(40, () => writeSet(out, 'c', 'k', Buffer.from('v'), { ttlMs: 1, idleMs: 1 })),
  request(1, () => writePlain(out, OP.size, NAME, '')),
  request(1, () => writeScan(out, 'c', '', 0, LIMITS.scanPageMax)),
]

/** Values as a codec may meet them: good ones, a Date, a Set, bytes, a record, depth, and none. */
export const EDGE_VALUES: readonly Buffer[] = [
  ...['01', 'a3616263', '81a16101', 'd6ff65000000', 'd4730092a161a162', 'c403010203', '7b7d'],
  ...[
    'd4724091a17801',
    'd572400191a17801',
    'd4690191a17801',
    `${'91'.repeat(3_000)}c0`,
    'dd00ffffff',
  ],
  ...['81a95f5f70726f746f5f5f81a17801', 'd4780092a16100a0', 'c1', ''],
].map(hex => Buffer.from(hex, 'hex'))

/** What may stand behind the first byte of a message that is packed: names that are nobody's, a
 *  record definition, an extension, depth, lengths that are not there. */
export function edgePacked(kind: number): Buffer[] {
  const bodies = ['80', '90', 'c0', `81a9${Buffer.from('__proto__').toString('hex')}80`]
    .concat([`81ab${Buffer.from('constructor').toString('hex')}81a17801`, 'd47210a17801', 'd6ff00'])
    .concat([`${'81a161'.repeat(40)}c0`, `${'91'.repeat(3_000)}c0`, 'ddffffffff', 'dfffffffff'])
    .concat([
      'd4720191a17801',
      'c70378a1612f',
      '81a474797065a474797065',
      'c6ffffffff',
      'dbffffffff',
    ])
  const edges = bodies.map(hex => Buffer.from(hex, 'hex'))
  const typed = [{ type: '__proto__' }, { type: 'status', id: 0 }, { type: 'status', id: 2 ** 53 }]
  return [
    ...edges.map(body => Buffer.concat([Buffer.of(kind), body])),
    ...typed.map(message => Buffer.from(packMessage(kind, message))),
  ]
}
