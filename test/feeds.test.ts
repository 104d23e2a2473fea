/**
 * The master's books about one slave, input by input: which acks count. No cluster: only here the
 * order of two messages can be chosen.
 */
import { describe, expect, it } from 'vitest'
import type { Effects, Input } from '../src/contracts/strategy.js'
import type { Batch, Receipt } from '../src/contracts/types.js'
import { seededRandom } from '../src/core/prng.js'
import { MemoryLog } from '../src/store/memory-log.js'
import { Writer } from '../src/wire/bytes.js'
import { OP, writePlain } from '../src/wire/command.js'
import { type MasterSlaveMessage, masterSlave } from '../strategies/master-slave/index.js'

type Message = MasterSlaveMessage
type Sync = Extract<Message, { type: 'sync' }>

const MEMBERS = ['a', 'b'].map((id, ordinal) => ({ id, ordinal, address: `memory://${id}` }))

/** Node a of two; b is played by the test. */
class Alone {
  readonly log = new MemoryLog()
  readonly sent: Message[] = []
  readonly receipts: Receipt[] = []
  readonly #strategy = masterSlave({ bootstrapWaitMs: 0 })({
    self: 'a',
    incarnation: 'a'.repeat(16),
    random: seededRandom(1),
    frameBytesMax: 16 * 2 ** 20,
    durability: 'memory',
    members: MEMBERS,
    log: () => this.log,
  })
  readonly #effects: Effects<Message>
  #now = 1_000

  constructor() {
    const acts: Partial<Effects<Message>> = {
      append: (_group, batch: Batch) => this.log.append(batch),
      commit: (_group, next) => this.log.markApplied(next),
      send: (_peer, message) => void this.sent.push(message),
      settle: (_id, receipt) => void this.receipts.push(receipt),
    }
    this.#effects = new Proxy(acts as Effects<Message>, {
      get: (target, name) => Reflect.get(target, name) ?? (() => {}),
    })
    this.step({ kind: 'view', view: 1, members: MEMBERS })
    this.tick(1)
    this.step({ kind: 'link-up', peer: 'b', session: 1 })
    this.tick(500)
  }

  step(input: Input<Message>): void {
    this.#strategy.step(input, this.#effects)
  }

  tick(ms: number): void {
    this.#now += ms
    this.step({ kind: 'tick', now: this.#now, wall: 1.7e12 + this.#now, lateMs: 0 })
  }

  hear(message: Message): void {
    this.step({ kind: 'message', peer: 'b', session: 1, message })
  }

  last<T extends Message['type']>(type: T): Extract<Message, { type: T }> {
    const message = this.sent.findLast(one => one.type === type)
    if (message === undefined) throw new Error(`no ${type} was sent`)
    return message as Extract<Message, { type: T }>
  }

  write(): void {
    const out = new Writer(16)
    writePlain(out, OP.noop, '', '')
    const bytes = out.copy()
    const client = { id: 'w'.repeat(16), lowest: 1 }
    const command = { bytes, start: 0, end: bytes.length }
    this.step({
      kind: 'propose',
      proposals: [{ id: 1, ack: 'slaves:1', client, seq: 1, ...command }],
    })
  }
}

describe('an ack', () => {
  // Seed 1784: the slave had acked one copy and was about to drop its data for the next, which the
  // master had sent already; the ack was counted, and the receipt claimed a copy that went away.
  it('of an earlier feeding does not count, one of the present feeding does', () => {
    const node = new Alone()
    const { epoch } = node.last('heartbeat')
    const facts = { history: '', starts: [], lastEpoch: epoch, next: 1, commit: 1, voter: false }
    const sync: Sync = { type: 'sync', epoch, distrust: false, data: 'empty', ...facts }
    node.hear(sync)
    const first = node.last('sync-reply').feed
    node.write()
    node.hear({ ...sync, data: 'copying' })
    const second = node.last('copy-begin').copy
    expect(second).toBeGreaterThan(first)
    const { next } = node.log
    const slice = new Uint8Array(8)
    node.step({ kind: 'snapshot', group: 0, id: second, next, slice, state: 'done' })
    expect(node.last('copy-end').copy).toBe(second)
    const marks = { echo: 0, round: 0, stamp: -1 }
    const ack = { type: 'append-ack', epoch, next, durable: next, ...marks } as const
    node.hear({ ...ack, feed: first })
    expect(node.receipts).toEqual([])
    node.hear({ ...ack, feed: second })
    expect(node.receipts.map(receipt => receipt.copies)).toEqual([2])
  })
})
