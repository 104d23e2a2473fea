/** One node without a cluster: the test plays the others, and chooses the order of messages. */
import type { Effects, Input, Standing } from '../../src/contracts/strategy.js'
import type { Batch, Receipt } from '../../src/contracts/types.js'
import { NO_EPOCH } from '../../src/core/epochs.js'
import { seededRandom } from '../../src/core/prng.js'
import { MemoryLog } from '../../src/store/memory-log.js'
import { Writer } from '../../src/wire/bytes.js'
import { OP, writePlain } from '../../src/wire/command.js'
import {
  type MasterSlaveMessage,
  type MasterSlaveOptions,
  masterSlave,
} from '../../strategies/master-slave/index.js'

type Message = MasterSlaveMessage

export interface AloneOptions {
  self: string
  /** Of all members; ordinals in this order. */
  ids: readonly string[]
  options: MasterSlaveOptions
  /** This one is a witness. */
  witness?: boolean
}

type State = Extract<Message, { type: 'state' }>

/** What an empty process says of itself; `letter` names it. */
export function emptyState(letter: string, profile = 'majority'): State {
  const nobody = {
    role: 'slave',
    promised: NO_EPOCH,
    epoch: NO_EPOCH,
    master: '',
    view: 0,
  } as const
  const empty = { data: 'empty', voter: false, history: '', lastEpoch: NO_EPOCH, next: 1 } as const
  return { type: 'state', profile, incarnation: letter.repeat(16), ...nobody, ...empty }
}

export class Alone {
  readonly log = new MemoryLog()
  readonly sent: Message[] = []
  readonly receipts: Receipt[] = []
  readonly standings: Standing[] = []
  readonly disconnected: string[] = []
  readonly reports: string[] = []
  /** Whom it links with, as it was last told the engine. */
  linked: string[] = []
  readonly #strategy
  readonly #effects: Effects<Message>
  #now = 1_000

  constructor({ self, ids, options, witness = false }: AloneOptions) {
    const members = ids.map((id, ordinal) => {
      const member = { id, ordinal, address: `memory://${id}` }
      return witness && id === self ? { ...member, witness } : member
    })
    this.#strategy = masterSlave(options)({
      self,
      incarnation: self.repeat(16),
      random: seededRandom(1),
      frameBytesMax: 16 * 2 ** 20,
      durability: 'memory',
      members,
      log: () => this.log,
    })
    const acts: Partial<Effects<Message>> = {
      append: (_group, batch: Batch) => this.log.append(batch),
      commit: (_group, next) => this.log.markApplied(next),
      install: (_group, at, _slice, base) => base && this.log.reset(at, base.epoch, base.crc),
      become: (_group, standing) => void this.standings.push(standing),
      send: (_peer, message) => void this.sent.push(message),
      disconnect: (peer, _code, why) => void this.disconnected.push(`${peer}: ${why}`),
      view: (_group, _number, known) => {
        this.linked = known.map(({ id }) => id)
      },
      report: event => void this.reports.push(event),
      settle: (_id, receipt) => void this.receipts.push(receipt),
    }
    this.#effects = new Proxy(acts as Effects<Message>, {
      get: (target, name) => Reflect.get(target, name) ?? (() => {}),
    })
    this.step({ kind: 'view', view: 1, members })
    this.tick(1)
  }

  step(input: Input<Message>): void {
    this.#strategy.step(input, this.#effects)
  }

  tick(ms: number): void {
    this.#now += ms
    this.step({ kind: 'tick', now: this.#now, wall: 1.7e12 + this.#now, lateMs: 0 })
  }

  link(peer: string, session = 1): void {
    this.step({ kind: 'link-up', peer, session })
  }

  hear(message: Message, peer = 'b', session = 1): void {
    this.step({ kind: 'message', peer, session, message })
  }

  last<T extends Message['type']>(type: T): Extract<Message, { type: T }> {
    const message = this.sent.findLast(one => one.type === type)
    if (message === undefined) throw new Error(`no ${type} was sent`)
    return message as Extract<Message, { type: T }>
  }

  get serves(): boolean {
    return this.standings.at(-1)?.serving === true
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
