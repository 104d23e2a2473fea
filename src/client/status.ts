/**
 * The status of the whole cluster from all of its nodes: each reports itself, and who does not
 * answer is down. Nobody's word about another replaces that one's own.
 */
import type { Clock, Timer } from '../contracts/environment.js'
import type { MemberStatus, PartitionsStatus, StrategyStatus } from '../contracts/strategy.js'
import type { Transport } from '../contracts/transport.js'
import type { PeerId } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import { checkFields, encodeControl } from '../wire/control.js'
import type { ClientLinks, ServerLink } from './links.js'

/** A member as it reports itself; the extras are missing where it did not answer. */
export type ClusterMember = MemberStatus & {
  readonly entries?: number
  readonly bytes?: number
  readonly clients?: number
  readonly upMs?: number
  /** It listens beyond loopback without authentication or encryption, because it was told to. */
  readonly insecure?: true
}

export type ClusterStatus = {
  readonly cluster: string
  readonly strategy: string
  readonly profile: string
  readonly guarantee: string
  readonly epoch: number
  readonly history: string
  /** Undefined: no node that answered knows a master. */
  readonly master: PeerId | undefined
  /** By ordinal. */
  readonly members: readonly ClusterMember[]
  /** Nodes that answered and do not belong to the cluster: they have left, or nobody has let them
   *  in yet. Missing where there are none. */
  readonly outside?: readonly ClusterMember[]
  /** Strategy partitioned: who holds what, by the master's word. */
  readonly partitions?: PartitionsStatus
  readonly lastFailover?: unknown
}

interface Report extends StrategyStatus {
  readonly cluster?: string
  readonly extra?: Record<string, unknown>
}

interface Ask {
  readonly id: number
  readonly waiting: Set<ServerLink>
  readonly reports: Report[]
  /** Why a node does not answer. */
  refusal: GcacheError | undefined
  readonly timer: Timer
  end(): void
}

/** Asks that wait at once. */
const ASKS_MAX = 64

export class StatusAsks {
  readonly #env: { readonly clock: Clock; readonly transport: Transport }
  readonly #links: ClientLinks
  readonly #asks = new Map<number, Ask>()
  #next = 1

  constructor(env: { readonly clock: Clock; readonly transport: Transport }, links: ClientLinks) {
    this.#env = env
    this.#links = links
  }

  /** Settles within `timeoutMs` with what came; FORBIDDEN where our role may not ask, UNREACHABLE
   *  if nothing came. */
  ask(cluster: string, timeoutMs: number): Promise<ClusterStatus> {
    return new Promise((resolve, reject) => {
      if (this.#asks.size >= ASKS_MAX) {
        reject(new GcacheError('BUSY', `${ASKS_MAX} status calls wait already`))
        return
      }
      const id = this.#next++
      const ask: Ask = {
        id,
        waiting: new Set(),
        reports: [],
        refusal: undefined,
        timer: this.#env.clock.after(timeoutMs, () => ask.end()),
        end: () => {
          ask.timer.cancel()
          if (!this.#asks.delete(id)) return
          if (ask.reports.length > 0) resolve(merge(cluster, ask.reports))
          else reject(ask.refusal ?? new GcacheError('UNREACHABLE', 'no server answered'))
        },
      }
      this.#asks.set(id, ask)
      for (const link of this.#links) {
        // A server whose first dial is under way may be reached in a moment.
        if (link.session !== 0 || !link.tried) ask.waiting.add(link)
        if (link.session !== 0) this.#send(ask, link)
      }
      if (ask.waiting.size === 0) ask.end()
    })
  }

  /** The link came up, or an attempt or a session ended. */
  onLink(link: ServerLink): void {
    for (const ask of [...this.#asks.values()])
      if (link.session !== 0) {
        if (ask.waiting.has(link)) this.#send(ask, link)
      } else this.#answered(ask, link)
  }

  onReply(link: ServerLink, id: number, status: Record<string, unknown>): void {
    checkFields(status, {
      strategy: 'text',
      profile: 'text',
      guarantee: 'text',
      epoch: 'number',
      history: 'text',
      view: 'whole?',
      master: 'text?',
      self: 'map',
      members: 'list',
      extra: 'map?',
      cluster: 'text?',
      partitions: 'map?',
    })
    if (status.partitions) checkPartitions(status.partitions as Record<string, unknown>)
    for (const member of [status.self, ...(status.members as unknown[])]) checkMember(member)
    const ask = this.#asks.get(id)
    if (ask === undefined || !ask.waiting.has(link)) return
    ask.reports.push(status as unknown as Report)
    this.#answered(ask, link)
  }

  onRefused(link: ServerLink, id: number, error: GcacheError): void {
    const ask = this.#asks.get(id)
    if (ask === undefined || !ask.waiting.has(link)) return
    ask.refusal = error
    this.#answered(ask, link)
  }

  stop(): void {
    for (const ask of [...this.#asks.values()]) ask.end()
  }

  #send(ask: Ask, link: ServerLink): void {
    const frame = encodeControl({ type: 'status', id: ask.id })
    if (this.#env.transport.send(link.peer, frame) === 'dropped') this.#answered(ask, link)
  }

  #answered(ask: Ask, link: ServerLink): void {
    if (ask.waiting.delete(link) && ask.waiting.size === 0) ask.end()
  }
}

function checkMember(member: unknown): void {
  if (typeof member !== 'object' || member === null)
    throw new GcacheError('PROTOCOL_ERROR', 'a member is no map')
  checkFields(member as Record<string, unknown>, {
    id: 'text',
    ordinal: 'whole',
    role: 'text',
    state: 'text',
    offset: 'number',
    lag: 'number',
    address: 'text',
  })
}

function checkPartitions(partitions: Record<string, unknown>): void {
  const counts = { number: 'whole', backups: 'whole', unowned: 'whole', moving: 'whole' } as const
  const maps = { owned: 'map', copies: 'map', inSync: 'map' } as const
  checkFields(partitions, { ...counts, ...maps, lost: 'list' })
  const { owned, copies, inSync, lost } = partitions as unknown as PartitionsStatus
  for (const values of [...[owned, copies, inSync].map(map => Object.values(map)), lost])
    if (!values.every(count => Number.isSafeInteger(count) && count >= 0))
      throw new GcacheError('PROTOCOL_ERROR', 'partitions are told in whole numbers')
}

/** What a node has copied of its partitions it knows best itself: of one that was started a moment
 *  ago the others may still say what it had before. */
function partitionsOf(best: Report, reports: readonly Report[]): PartitionsStatus | undefined {
  if (best.partitions === undefined) return undefined
  const inSync = { ...best.partitions.inSync }
  for (const { self, partitions } of reports) {
    const own = partitions?.inSync[self.id] ?? 0
    if (inSync[self.id] > own) inSync[self.id] = own
  }
  return { ...best.partitions, inSync }
}

/** Facts of the cluster come from the highest epoch: the master's word, or of the newest view,
 *  or of the lowest ordinal. */
function merge(cluster: string, reports: readonly Report[]): ClusterStatus {
  const order = (a: Report, b: Report) =>
    b.epoch - a.epoch ||
    rank(b) - rank(a) ||
    viewOf(b) - viewOf(a) ||
    a.self.ordinal - b.self.ordinal
  const best = [...reports].sort(order)[0]
  const members = new Map<PeerId, ClusterMember>()
  for (const member of best.members) {
    const alive = member.id === best.self.id
    // Who has left is fed a moment longer, so that it learns of it.
    if (alive || member.state !== 'left')
      members.set(member.id, alive ? member : { ...member, state: 'down' })
  }
  const outside: ClusterMember[] = []
  for (const report of reports) {
    const { self, extra } = report
    // What the master knows of a slave's lag is newer than what the slave knows of the master.
    const lag = members.get(self.id)?.lag ?? self.lag
    const member = { ...self, ...figures(extra), lag }
    // It may also have joined so lately that only it and others know.
    if (members.has(self.id) || viewOf(report) > viewOf(best)) members.set(self.id, member)
    else outside.push(member)
  }
  const { strategy, profile, guarantee, epoch, history, master, extra } = best
  const partitions = partitionsOf(best, reports)
  return {
    cluster: best.cluster ?? cluster,
    strategy,
    profile,
    guarantee,
    epoch,
    history,
    master: master ?? undefined,
    members: byOrdinal([...members.values()]),
    ...(partitions === undefined ? {} : { partitions }),
    ...(outside.length === 0 ? {} : { outside: byOrdinal(outside) }),
    ...(extra?.lastFailover === undefined ? {} : { lastFailover: extra.lastFailover }),
  }
}

function byOrdinal(members: ClusterMember[]): ClusterMember[] {
  return members.sort((a, b) => a.ordinal - b.ordinal)
}

function viewOf(report: Report): number {
  return report.view ?? 0
}

function rank(report: Report): number {
  return report.self.role === 'master' ? 1 : 0
}

function figures(extra: Record<string, unknown> | undefined): Partial<ClusterMember> {
  const found: Record<string, number | true> = {}
  for (const name of ['entries', 'bytes', 'clients', 'upMs']) {
    const value = extra?.[name]
    if (typeof value === 'number') found[name] = value
  }
  if (extra?.insecure === true) found.insecure = true
  return found as Partial<ClusterMember>
}
