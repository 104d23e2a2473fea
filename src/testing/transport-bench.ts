/**
 * The bench on which the transport suite works: nodes on one medium, whose handlers write down all
 * they are told and check while they do so that T2 and T8 hold.
 */
import assert from 'node:assert/strict'
import type { Authenticator, Identity } from '../contracts/authentication.js'
import type { Logger } from '../contracts/environment.js'
import type {
  LinkLoss,
  SendResult,
  Transport,
  TransportEnv,
  TransportHandler,
} from '../contracts/transport.js'
import type { PeerId, Session } from '../contracts/types.js'
import type { SuiteMedium } from './transport-suite.js'

export type Happening =
  | { kind: 'up'; peer: PeerId; session: Session; identity?: Identity }
  | { kind: 'down'; peer: PeerId; session: Session; loss: LinkLoss; cause: Error | undefined }
  | { kind: 'frame'; peer: PeerId; session: Session; frame: Buffer }
  | { kind: 'writable'; peer: PeerId; session: Session }

export type HappeningOf<K extends Happening['kind']> = Extract<Happening, { kind: K }>

export interface NodeOptions {
  cluster?: string
  admit?: (peer: PeerId) => string | undefined
  authenticator?: Authenticator
  /** False for a node that only dials. */
  listens?: boolean
  /** Called after a happening was written down, from inside the handler. */
  on?: (happening: Happening, node: BenchNode) => void
}

/** Long enough for anything that should happen on a busy machine, ms. */
export const SOON_MS = 8_000

export class Bench {
  readonly medium: SuiteMedium
  readonly violations: string[] = []
  readonly #nodes: BenchNode[] = []

  constructor(medium: SuiteMedium) {
    this.medium = medium
  }

  /** A node that has not started. */
  node(id: PeerId, options: NodeOptions = {}): BenchNode {
    const node = new BenchNode(this, id, options)
    this.#nodes.push(node)
    return node
  }

  async started(id: PeerId, options: NodeOptions = {}): Promise<BenchNode> {
    const node = this.node(id, options)
    await node.start()
    return node
  }

  /** Two nodes with a link between them, dialled by the second. */
  async pair(on?: NodeOptions['on']): Promise<[BenchNode, BenchNode]> {
    const a = await this.started('a', { on })
    const b = await this.started('b', { on })
    b.connect('a', a.transport.address)
    await this.sees('both sides are up', () => a.isUp('b') && b.isUp('a'))
    return [a, b]
  }

  async sees(fact: string, condition: () => boolean, msMax = SOON_MS): Promise<void> {
    const seen = await this.medium.until(condition, msMax)
    assert.ok(seen, `not within ${msMax} ms: ${fact}`)
  }

  /** Lets `ms` pass, so that what must not happen had its time. */
  async pass(ms: number): Promise<void> {
    await this.medium.until(() => false, ms)
  }

  async close(): Promise<void> {
    for (const node of this.#nodes) await node.transport.stop()
    await this.medium.close()
  }
}

export class BenchNode implements TransportHandler {
  readonly id: PeerId
  readonly transport: Transport
  readonly happenings: Happening[] = []
  readonly warnings: Record<string, unknown>[] = []
  stopped = false
  readonly #bench: Bench
  readonly #on: NodeOptions['on']
  readonly #up = new Map<PeerId, Session>()
  readonly #last = new Map<PeerId, Session>()
  /** The call of ours that is under way. */
  #inside = ''

  constructor(bench: Bench, id: PeerId, options: NodeOptions) {
    this.#bench = bench
    this.id = id
    this.#on = options.on
    const { medium } = bench
    const nothing = () => {}
    const logger: Logger = {
      debug: nothing,
      info: nothing,
      warn: fields => this.warnings.push(fields),
      error: fields => this.warnings.push(fields),
    }
    const env: TransportEnv = {
      self: id,
      cluster: options.cluster ?? 'suite',
      clock: medium.clock,
      random: medium.random,
      logger,
      ...(options.listens === false ? {} : { listen: medium.listen(id) }),
      ...(options.admit === undefined ? {} : { admit: options.admit }),
      ...(options.authenticator === undefined ? {} : { authenticator: options.authenticator }),
    }
    this.transport = medium.transport(env)
  }

  start(): Promise<void> {
    return this.transport.start(this)
  }

  connect(peer: PeerId, address: string): void {
    this.#call('connect', () => this.transport.connect(peer, address))
  }

  disconnect(peer: PeerId): void {
    this.#call('disconnect', () => this.transport.disconnect(peer))
  }

  send(peer: PeerId, frame: Uint8Array): SendResult {
    return this.#call('send', () => this.transport.send(peer, frame))
  }

  flush(peer: PeerId): void {
    this.#call('flush', () => this.transport.flush?.(peer))
  }

  stop(): Promise<void> {
    this.stopped = true
    return this.transport.stop()
  }

  isUp(peer: PeerId): boolean {
    return this.#up.has(peer)
  }

  sessionOf(peer: PeerId): Session | undefined {
    return this.#up.get(peer)
  }

  all<K extends Happening['kind']>(kind: K, peer?: PeerId): HappeningOf<K>[] {
    return this.happenings.filter(
      (it): it is HappeningOf<K> => it.kind === kind && (peer === undefined || it.peer === peer),
    )
  }

  onLinkUp(peer: PeerId, session: Session, identity?: Identity): void {
    if (this.#up.has(peer)) this.#violated(`T2: ${peer} is up twice`)
    if (session <= (this.#last.get(peer) ?? 0)) this.#violated('T2: the session did not grow')
    this.#up.set(peer, session)
    this.#last.set(peer, session)
    this.#happened({ kind: 'up', peer, session, ...(identity === undefined ? {} : { identity }) })
  }

  onLinkDown(peer: PeerId, session: Session, loss: LinkLoss, cause?: Error): void {
    if (session !== 0 && this.#up.get(peer) !== session)
      this.#violated(`T2: session ${session} of ${peer} is down, but was not up`)
    if (session === 0 && this.#up.has(peer))
      this.#violated(`T2: a dial of ${peer} has failed while its link is up`)
    if (session !== 0) this.#up.delete(peer)
    this.#happened({ kind: 'down', peer, session, loss, cause })
  }

  onFrame(peer: PeerId, session: Session, frame: Uint8Array): void {
    if (this.#up.get(peer) !== session)
      this.#violated(`T2: a frame of session ${session} of ${peer}, which is not up`)
    this.#happened({ kind: 'frame', peer, session, frame: Buffer.from(frame) })
  }

  onWritable(peer: PeerId, session: Session): void {
    if (this.#up.get(peer) !== session) this.#violated(`T2: ${peer} is writable, but not up`)
    this.#happened({ kind: 'writable', peer, session })
  }

  #happened(happening: Happening): void {
    if (this.#inside !== '') this.#violated(`T8: ${happening.kind} inside ${this.#inside}()`)
    if (this.stopped) this.#violated(`T12: ${happening.kind} after stop()`)
    this.happenings.push(happening)
    this.#on?.(happening, this)
  }

  #call<R>(name: string, call: () => R): R {
    const outer = this.#inside
    this.#inside = name
    try {
      return call()
    } finally {
      this.#inside = outer
    }
  }

  #violated(what: string): void {
    this.#bench.violations.push(`${this.id}: ${what}`)
  }
}
