/**
 * What nodes of strategy broadcast say to each other, as bytes, and as what their stores make of
 * it: entries of another origin and slices of records, taken in whatever order.
 */

import { JOIN_GROUP } from '../../src/contracts/stamped.js'
import type { Batch } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'
import { StampedStore } from '../../src/store/stamped.js'
import { decodeBatch, encodeBatch } from '../../src/wire/batch.js'
import { Writer } from '../../src/wire/bytes.js'
import { writeSet } from '../../src/wire/command.js'
import { checkEntry } from '../../src/wire/entry-check.js'
import {
  STAMPED_LAYOUT,
  writeEnd,
  writeFloor,
  writeInto,
  writeTouchItem,
} from '../../src/wire/stamped-records.js'
import { messageCodec } from '../../strategies/broadcast/message-codec.js'
import { found, golden } from './corpus.js'
import { again, batches, pure } from './decoders.js'
import { promise, type Target } from './target.js'

const codec = messageCodec()

const message = pure('broadcast', 8, golden('broadcast-'), input =>
  again(codec.decode(input), codec.encode, codec.decode),
)

const STORE = { self: 0, step: 4, salt: 'fuzz' }
const NOBODY_MET = Buffer.concat([Buffer.alloc(128, 255), Buffer.alloc(8)])
const STAMP_MAX = 2 ** 52

/** Two records, and what ended others, as they travel. */
function slices(): Uint8Array[] {
  const store = new StampedStore(STORE)
  const out = new Writer()
  writeSet(out, 'c', 'k', Buffer.from('value'), { ttlMs: 1_000 })
  const first = out.length
  writeSet(out, 'd', 'l', Buffer.from('other'), {})
  const bytes = out.copy()
  const entry = { id: 1, ack: 'none', client: null, seq: 0, bytes } as const
  const life = { number: 257, incarnation: '00112233445566ff' }
  const entries = [
    { ...entry, start: 0, end: first },
    { ...entry, start: first, end: bytes.length },
  ]
  store.face(2).apply(encodeBatch(life, 1, 1_700_000_000_001, 0, entries))
  const end = new Writer()
  end.u8(STAMPED_LAYOUT)
  writeInto(end, 'c')
  writeEnd(end, 'k', { deleted: 9, replaced: 8, evicted: 7, evictedBy: 9 })
  writeTouchItem(end, 'm', { version: 8, changed: 9, ttlMs: 7, idleMs: 6 })
  writeFloor(end, 'c', 5)
  return [sliceOf(store), end.copy()]
}

/** As the codec and the strategy judge a batch before its store sees it. */
function stamped(batch: Batch): Batch {
  if (Number.isSafeInteger(batch.time) && batch.time > 0 && batch.time < STAMP_MAX) return batch
  throw new GcacheError('PROTOCOL_ERROR', 'no stamp')
}

function fitting(batch: Batch, first: number): Batch {
  return { ...batch, first, next: first + batch.next - batch.first }
}

function sliceOf(store: StampedStore): Uint8Array {
  const face = store.face(JOIN_GROUP)
  face.openSnapshot(1, NOBODY_MET)
  const { slice } = face.readSnapshot(1, 65_536)
  face.closeSnapshot(1)
  return slice
}

/** Whatever a store took, another one that joins all of it has the same records. */
function copies(store: StampedStore): void {
  const copy = new StampedStore(STORE)
  const face = store.face(JOIN_GROUP)
  face.openSnapshot(1, NOBODY_MET)
  for (let state = 'more'; state === 'more'; ) {
    const read = face.readSnapshot(1, 65_536)
    copy.face(JOIN_GROUP).install(Number.MAX_SAFE_INTEGER, read.slice, false)
    state = read.state
  }
  promise(copy.digest() === store.digest(), 'a copy has other records')
}

const store: Target = {
  name: 'stamped',
  weight: 8,
  pure: false,
  open() {
    const into = new StampedStore(STORE)
    const face = into.face(2)
    const take = (input: Buffer) => {
      if (input[0] === STAMPED_LAYOUT) into.face(JOIN_GROUP).install(STAMP_MAX, input, false)
      else face.apply(fitting(stamped(decodeBatch(Buffer.from(input), checkEntry)), face.applied))
      into.housekeeping(0, 100)
      return into.digest()
    }
    return {
      seeds: [...batches(), ...slices(), ...found('stamped')],
      take,
      close: () => copies(into),
    }
  },
}

export const STAMPED_TARGETS: readonly Target[] = [message, store]
