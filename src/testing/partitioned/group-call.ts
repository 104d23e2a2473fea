/** One call of a simulated application, from its start to its end; its frame and its answer. */
import type { Ack, GroupId, Offset, PeerId, Position } from '../../contracts/types.js'
import { readEpoch } from '../../wire/batch.js'
import { Reader, Writer } from '../../wire/bytes.js'
import { OP, writeDelete, writePlain, writeSet } from '../../wire/command.js'
import {
  ackCode,
  beginRequest,
  beginRequests,
  endRequest,
  groupOfReplies,
  READ,
  readByte,
  writeReadTail,
} from '../../wire/requests.js'
import type { Life } from '../life.js'
import { type Reply, readReply } from '../simulated-calls.js'

export interface GroupCall {
  readonly id: number
  readonly kind: 'get' | 'set' | 'delete'
  readonly client: number
  readonly group: GroupId
  readonly key: string
  /** Undefined: the default. */
  readonly ack: Ack | undefined
  /** Number of the table by which its node was chosen; 0: none. */
  readonly table: number
  /** Whom it was given to. */
  readonly node: PeerId
  readonly life: Life
  readonly startedAt: number
  readonly valueBytes: number
  /** Of a get: what its answer must include; undefined: anything. */
  readonly seen: readonly Position[] | undefined
  endedAt: number | undefined
  /** Undefined at its end: its node died first. */
  reply: Reply | undefined
  /** As it began: the newest version of the key that was acknowledged to anybody, and that this
   *  client had seen; 0: none. */
  ackedBefore: Offset
  seenBefore: Offset
  /** How often the partition had begun as this one did. */
  born: number
}

export const CACHE = 'cache'
const OUT = new Writer(4_096)

/** Valid until the next one is made. */
export function frameOf(call: GroupCall): Uint8Array {
  const { kind, key, seen, group, table } = call
  OUT.reset()
  const at = beginRequests(OUT, undefined, { group, table })
  const how = seen && { mode: READ.master, maxStaleMs: 0, after: [], seen }
  const byte = kind !== 'get' ? ackCode(call.ack) : how === undefined ? 0 : readByte(how)
  const start = beginRequest(OUT, call.id, byte, 0)
  if (kind === 'get') writePlain(OUT, OP.get, CACHE, key)
  else if (kind === 'delete') writeDelete(OUT, CACHE, key, {})
  else writeSet(OUT, CACHE, key, new Uint8Array(call.valueBytes).fill(call.id & 0xff), {})
  if (how !== undefined) writeReadTail(OUT, how)
  endRequest(OUT, start)
  OUT.patchU16(at, 1)
  return OUT.keep()
}

/** Each answer of a frame, with the id of its call. */
export function repliesIn(frame: Uint8Array, from: PeerId, at: number): [number, Reply][] {
  const reader = new Reader(frame)
  reader.skip(groupOfReplies(frame) === 0 ? 1 : 3)
  const epoch = reader.f64()
  const position = { epoch: readEpoch(reader), offset: reader.whole() - 1 }
  const replies: [number, Reply][] = []
  for (let count = reader.u16(); count > 0; count--)
    replies.push([reader.u32(), readReply(reader, from, epoch, position, at)])
  reader.finish()
  return replies
}

/** Keys of these names are deleted now and then, all others never. */
export function isDeletable(key: string): boolean {
  return key.startsWith('d')
}
