/**
 * Asks whoever answers at an address who it is, over a link like any client's, with proofs where
 * there are any. What discovery says is only a reason to ask; what counts is what comes back here.
 */

import { AdminAsks } from './client/admin.js'
import { makeTransport } from './client/transport.js'
import { FORMATION, ID, LIMITS } from './config.js'
import type { Clock, Logger, Random, Timer } from './contracts/environment.js'
import type {
  LinkLoss,
  Transport,
  TransportFactory,
  TransportHandler,
} from './contracts/transport.js'
import type { Member, PeerId, Session } from './contracts/types.js'
import { Redial } from './core/redial.js'
import { GcacheError } from './errors.js'
import type { Word } from './formation-rules.js'
import type { MembersResult } from './wire/admin.js'
import { checkFields, decodeControl, encodeControl, encodeLinkEnd } from './wire/control.js'
import { FRAME } from './wire/requests.js'

export interface RollCallEnv {
  readonly transport: TransportFactory
  readonly cluster: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Somebody answered, or does no more. */
  changed(): void
}

interface Asked {
  readonly peer: PeerId
  readonly address: string
  readonly redial: Redial
  session: Session
  timer: Timer | undefined
  /** The ask that waits for its answer; 0: none. */
  open: number
  openAt: number
  word: Word | undefined
  /** Why it does not answer. */
  reason: string
}

/** Members that one answer may list. */
const MEMBERS_MAX = 256

export class RollCall implements TransportHandler {
  readonly #env: RollCallEnv
  readonly #transport: Transport
  readonly #asked = new Map<PeerId, Asked>()
  readonly #admin: AdminAsks
  #asks = 0
  #stopped = false

  constructor(env: RollCallEnv) {
    this.#env = env
    const { cluster, clock, random, logger } = env
    let self = '~'
    while (self.length < 17) self += Math.floor(random.next() * 16).toString(16)
    this.#transport = makeTransport(env.transport, { self, cluster, clock, random, logger })
    this.#admin = new AdminAsks({
      clock,
      send: (peer, frame) => this.#transport.send(peer, frame),
      flush: peer => this.#transport.flush?.(peer),
    })
  }

  async start(): Promise<void> {
    await this.#transport.start(this)
  }

  /** Asks these, and nobody else, from now on; again each time this is called. */
  ask(addresses: readonly string[]): void {
    if (this.#stopped) return
    const wanted = new Set(addresses)
    for (const [peer, asked] of this.#asked) {
      if (wanted.delete(asked.address)) {
        this.#askAgain(asked)
        continue
      }
      asked.timer?.cancel()
      this.#asked.delete(peer)
      this.#transport.disconnect(peer)
    }
    for (const address of wanted) this.#add(address)
  }

  /** The last word of each process that was asked. */
  get words(): readonly Word[] {
    const words = new Map<string, Word>()
    for (const { word } of this.#asked.values()) {
      if (word === undefined) continue
      const key = `${word.node.id} ${word.node.process}`
      const other = words.get(key)
      if (other === undefined || other.askedAt < word.askedAt) words.set(key, word)
    }
    return [...words.values()]
  }

  /** Why those that do not answer do not, for people. */
  get silence(): readonly string[] {
    return [...this.#asked.values()]
      .filter(({ session }) => session === 0)
      .map(({ address, reason }) => `${address}: ${reason}`)
  }

  /** Asks the master that spoke `word` to take `member` in. Rejects as Client.join() does. */
  join({ address }: Word, member: Member, timeoutMs: number): Promise<MembersResult> {
    const peer = peerAt(address)
    return this.#admin.join(member, { timeoutMs }, () => peer)
  }

  /** Tells whoever spoke `word` why this process goes away: a line in its log. */
  tell({ address }: Word, error: GcacheError): void {
    this.#transport.send(peerAt(address), encodeLinkEnd(error))
    this.#transport.flush?.(peerAt(address))
  }

  async stop(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true
      for (const { timer } of this.#asked.values()) timer?.cancel()
      this.#admin.stop()
    }
    await this.#transport.stop()
  }

  onLinkUp(peer: PeerId, session: Session): void {
    const asked = this.#asked.get(peer)
    if (asked === undefined) return this.#transport.disconnect(peer)
    asked.session = session
    asked.redial.up(this.#env.clock.now())
    asked.timer?.cancel()
    this.#askAgain(asked)
  }

  onLinkDown(peer: PeerId, session: Session, loss: LinkLoss, cause?: Error): void {
    const asked = this.#asked.get(peer)
    if (asked === undefined || this.#stopped) return
    const { clock, random } = this.#env
    this.#admin.onLinkDown(peer)
    asked.session = 0
    asked.open = 0
    asked.reason = cause?.message ?? loss
    const { redial } = asked
    const delayMs =
      session === 0 ? redial.afterFailure(random) : redial.afterLoss(clock.now(), random)
    asked.timer?.cancel()
    asked.timer = clock.after(delayMs, () => this.#dial(asked))
    if (asked.word === undefined) return
    asked.word = undefined
    this.#env.changed()
  }

  onWritable(): void {}

  onFrame(peer: PeerId, _session: Session, frame: Uint8Array): void {
    const asked = this.#asked.get(peer)
    if (asked === undefined || frame[0] !== FRAME.control) return
    const message = decodeControl(frame)
    if (message.type === 'admin-reply') return this.#admin.onReply(peer, message)
    if (message.type === 'refused') asked.reason = message.message.slice(0, 200)
    if (message.type !== 'status-reply' || message.id !== asked.open) return
    asked.open = 0
    const word = wordFrom(message.status, asked.address, asked.openAt)
    // Who has left knows of the cluster only what was.
    asked.word = (message.status.self as { state: string }).state === 'left' ? undefined : word
    this.#env.changed()
  }

  #add(address: string): void {
    const peer = peerAt(address)
    const asked: Asked = {
      ...{ peer, address, redial: new Redial(), session: 0, timer: undefined },
      ...{ open: 0, openAt: 0, word: undefined, reason: 'no answer yet' },
    }
    this.#asked.set(peer, asked)
    this.#dial(asked)
  }

  #dial({ peer, address, session }: Asked): void {
    if (!this.#stopped && session === 0) this.#transport.connect(peer, address)
  }

  /** One ask a link; one that waits for too long is asked anew. */
  #askAgain(asked: Asked): void {
    const now = this.#env.clock.now()
    if (asked.session === 0 || (asked.open !== 0 && now - asked.openAt < FORMATION.freshMs)) return
    asked.open = ++this.#asks
    asked.openAt = now
    this.#transport.send(asked.peer, encodeControl({ type: 'status', id: asked.open }))
    this.#transport.flush?.(asked.peer)
  }
}

function peerAt(address: string): PeerId {
  return `*${address}`
}

/** PROTOCOL_ERROR for what is no status. */
function wordFrom(status: Record<string, unknown>, address: string, askedAt: number): Word {
  checkFields(status, {
    ...{ profile: 'text', epoch: 'number', view: 'whole?', master: 'text?' },
    ...{ self: 'map', members: 'list', extra: 'map?' },
  })
  const list = status.members as unknown[]
  if (list.length > MEMBERS_MAX) throw new GcacheError('PROTOCOL_ERROR', 'too many members')
  const self = memberFrom(status.self)
  const extra = (status.extra ?? {}) as Record<string, unknown>
  checkFields(extra, { process: 'text?', since: 'number?', forming: 'map?' })
  const forming = extra.forming as Record<string, unknown> | undefined
  if (forming !== undefined) checkFields(forming, { expect: 'whole', promise: 'text' })
  return {
    node: {
      ...{ id: self.id, ordinal: self.ordinal, address: self.address },
      process: (extra.process as string | undefined) ?? '',
      since: (extra.since as number | undefined) ?? 0,
    },
    ...{ address, askedAt, profile: status.profile as string },
    forming: forming as Word['forming'],
    epoch: status.epoch as number,
    view: (status.view as number | undefined) ?? 0,
    master: (status.master as string | undefined) ?? '',
    serves: self.role === 'master' && self.state === 'online',
    // Who left is fed a moment longer; a stranger has no address.
    members: list.map(memberFrom).filter(each => each.state !== 'left' && each.address !== ''),
  }
}

function memberFrom(value: unknown): Member & { state: string; role: string } {
  if (typeof value !== 'object' || value === null)
    throw new GcacheError('PROTOCOL_ERROR', 'a member is no map')
  const fields = value as Record<string, unknown>
  checkFields(fields, {
    ...{ id: 'text', ordinal: 'whole', role: 'text', state: 'text', address: 'text' },
  })
  const { id, ordinal, role, state, address } = fields as unknown as Member & {
    role: string
    state: string
  }
  const { ordinalMax, addressCharsMax } = LIMITS
  if (!ID.test(id) || ordinal > ordinalMax || address.length > addressCharsMax)
    throw new GcacheError('PROTOCOL_ERROR', 'a member that is none')
  return { id, ordinal, role, state, address, ...(role === 'witness' ? { witness: true } : {}) }
}
