/** A master whose strategy is the test, and a client's frames as a test writes and reads them. */
import { expect } from 'vitest'
import type { Place, Proposal, Standing } from '../../src/contracts/strategy.js'
import type { SendResult } from '../../src/contracts/transport.js'
import { OpenCalls } from '../../src/engine/open-calls.js'
import type { ReplyEnv } from '../../src/engine/request-replies.js'
import { Requests } from '../../src/engine/requests.js'
import type { RequestsEnv } from '../../src/engine/requests-env.js'
import type { GcacheError } from '../../src/errors.js'
import { KeyValueStore } from '../../src/store/key-value.js'
import { encodeBatch } from '../../src/wire/batch.js'
import { Reader, Writer } from '../../src/wire/bytes.js'
import { OP, writePlain, writeSet } from '../../src/wire/command.js'
import {
  beginRequest,
  beginRequests,
  endRequest,
  type GroupHead,
  groupOfReplies,
  STATUS,
} from '../../src/wire/requests.js'

export const EPOCH = { number: 256, incarnation: '0000000000000001' }
export const WINDOW = { id: 'sixteen-bytes-id', lowest: 1 }
export const PEER = '~client'

/** One request as a test writes it. */
export type Ask = (out: Writer) => void

export interface Reply {
  id: number
  status: number
  /** Undefined: 0. */
  group?: number | undefined
  code?: string
  surely?: boolean
  value?: string
  number?: number
  keys?: string[]
  cursor?: number
  version?: number
  copies?: number
}

/** A frame of `asks` with call ids from `first`, for the group `to`. */
export function frameOf(
  asks: readonly Ask[],
  window: typeof WINDOW | undefined = WINDOW,
  first = 1,
  to?: GroupHead,
) {
  const out = new Writer()
  const countAt = beginRequests(out, window, to)
  for (const [i, ask] of asks.entries()) {
    const start = beginRequest(out, first + i, 0, i)
    ask(out)
    endRequest(out, start)
  }
  out.patchU16(countAt, asks.length)
  return out.copy()
}

export const get =
  (key: string, cache = 'c'): Ask =>
  out =>
    writePlain(out, OP.get, cache, key)
export const set =
  (key: string, value: string, fields = {}, cache = 'c'): Ask =>
  out =>
    writeSet(out, cache, key, Buffer.from(value, 'latin1'), fields)
export const plain =
  (op: number, key = ''): Ask =>
  out =>
    writePlain(out, op, 'c', key)
export const open: Ask = out => writePlain(out, OP.openWindow, '', '')

export function repliesOf(frame: Uint8Array): Reply[] {
  const reader = new Reader(frame)
  const group = groupOfReplies(frame)
  expect(group).toBeDefined()
  reader.skip(group === 0 ? 1 : 3)
  reader.skip(32)
  const replies: Reply[] = []
  for (let i = reader.u16(); i > 0; i--) {
    const reply: Reply = { id: reader.u32(), status: reader.u8() }
    if (group !== 0) reply.group = group
    if (reply.status === STATUS.written) {
      reader.f64()
      reply.version = reader.f64()
      reply.copies = reader.u8()
      reader.u8()
    } else if (reply.status === STATUS.value) {
      reply.version = reader.f64()
      reader.f64()
      reply.value = reader.latin1(reader.u32())
    } else if (reply.status === STATUS.number) reply.number = reader.f64()
    else if (reply.status === STATUS.page) {
      reply.cursor = reader.f64()
      reply.keys = []
      for (let n = reader.u16(); n > 0; n--) {
        reply.keys.push(reader.text16())
        reader.skip(16)
        reader.skip(reader.u32())
      }
    } else if (reply.status === STATUS.error) {
      reply.code = reader.text8()
      reply.surely = reader.u8() === 1
      reader.text16()
    }
    replies.push(reply)
  }
  reader.finish()
  return replies
}

/** A master whose strategy is this test. */
export class Master {
  readonly store = new KeyValueStore()
  readonly frames: Uint8Array[] = []
  readonly disconnects: string[] = []
  readonly causes: GcacheError[] = []
  readonly holds: boolean[] = []
  readonly proposals: { id: number; offset: number }[][] = []
  flushes = 0
  answer: SendResult = 'sent'
  time = 1_000
  now = 10_000
  freshAt = 10_000
  /** By the number of a position's epoch; 'here' where nothing is said. */
  readonly places = new Map<number, Place>()
  readonly reads: { id: number; key: string }[] = []
  standing: Standing = { role: 'master', epoch: EPOCH, master: 'a', serving: true }
  /** Whether propose() applies and settles before it returns. */
  mode: 'settle' | 'apply' | 'append' = 'settle'
  readonly held: (() => void)[] = []
  readonly requests: Requests
  readonly calls: OpenCalls
  #next = 1
  #crc = 0

  constructor(autoCaches = true) {
    const env: RequestsEnv & ReplyEnv = {
      store: this.store,
      defaultAck: 'insync',
      keyed: false,
      autoCaches,
      caches: new Set(['known']),
      propose: proposals => this.propose(proposals),
      standing: () => this.standing,
      time: () => this.time,
      now: () => this.now,
      freshness: () => this.freshAt,
      place: position => this.places.get(position.epoch.number) ?? 'here',
      read: (id, key) => void this.reads.push({ id, key }),
      applied: () => ({ epoch: EPOCH, next: this.store.applied }),
      send: (_peer, frame) => {
        if (this.answer !== 'dropped') this.frames.push(Uint8Array.prototype.slice.call(frame))
        return this.answer
      },
      flush: () => {
        this.flushes++
      },
      hold: (_peer, onHold) => void this.holds.push(onHold),
      disconnect: (peer, cause) => {
        this.disconnects.push(peer)
        this.causes.push(cause)
      },
    }
    this.calls = new OpenCalls(env)
    this.requests = new Requests(env, this.calls)
  }

  propose(proposals: readonly Proposal[]): void {
    const first = this.#next
    this.#next += proposals.length
    const batch = encodeBatch(EPOCH, first, this.time, this.#crc, proposals)
    this.#crc = batch.crc
    const listed = proposals.map((proposal, i) => ({ id: proposal.id, offset: first + i }))
    this.proposals.push(listed)
    const apply = () => this.store.apply(batch, this.requests)
    if (this.mode === 'append') this.held.push(apply)
    else apply()
    if (this.mode === 'settle') this.settle(listed)
  }

  settle(listed: readonly { id: number; offset: number }[]): void {
    for (const { id, offset } of listed)
      this.requests.settle(id, { group: 0, epoch: EPOCH, offset, copies: 3, durableCopies: 0 })
  }

  ask(asks: readonly Ask[], first = 1): Reply[] {
    this.requests.onFrame(PEER, 1, frameOf(asks, WINDOW, first))
    return this.take()
  }

  take(): Reply[] {
    return this.frames.splice(0).flatMap(repliesOf)
  }
}
