/**
 * Who is linked with this node, and which groups have a part in both: a group's own link begins
 * when both sides have said so, in an order in which neither misses the other's first statement.
 *
 *   has a part (or a new view names the peer) -- open --> the peer's side of it begins (anew)
 *   both are open: own side begins
 */
import type { LinkLoss } from '../../src/contracts/transport.js'
import type { GroupId, PeerId, Session } from '../../src/contracts/types.js'
import type { Message, Turn } from './messages.js'
import type { Settings } from './options.js'
import { STATEMENT_MS } from './times.js'

export interface Link {
  readonly session: Session
  /** Of its process; '': it has not said hello. */
  life: string
  /** Groups that it has a part in. */
  readonly hosts: Set<GroupId>
  /** Number of its newest word on its part in each. */
  readonly turns: Map<GroupId, number>
  /** It spoke without having said hello since; 0: it has not. */
  unsaidAt: number
  /** How often it was looked for in vain. */
  misses: number
}

type Hello = Extract<Message, { type: 'hello' }>

export const STRATEGY = 'partitioned'

export class Links {
  readonly #links = new Map<PeerId, Link>()
  /** Their last dial was refused: no process is there. */
  readonly #refused = new Set<PeerId>()
  /** Who said something else than this node in its hello, and what is wrong with it. */
  readonly mixed = new Map<PeerId, string>()
  readonly #self: PeerId
  readonly #life: string
  readonly #settings: Settings

  constructor(self: PeerId, life: string, settings: Settings) {
    this.#self = self
    this.#life = life
    this.#settings = settings
  }

  /** One that has said hello. */
  of(peer: PeerId): Link | undefined {
    const link = this.#links.get(peer)
    return link?.life === '' ? undefined : link
  }

  *all(): Generator<[PeerId, Link]> {
    for (const entry of this.#links) if (entry[1].life !== '') yield entry
  }

  /** Those that have not said hello as well: they have had ours, and must hear what follows it
   *  (seed 39 of the faults: an owner never learned that its backup was back). */
  get up(): ReadonlyMap<PeerId, Link> {
    return this.#links
  }

  onUp(peer: PeerId, session: Session, hosts: readonly GroupId[]): Message {
    this.#refused.delete(peer)
    const none = { life: '', hosts: new Set<GroupId>(), turns: new Map<GroupId, number>() }
    this.#links.set(peer, { session, ...none, unsaidAt: 0, misses: 0 })
    const { partitions, backups } = this.#settings
    return { type: 'hello', strategy: STRATEGY, partitions, backups, life: this.#life, hosts }
  }

  /** The link that ended; undefined: none did. */
  onDown(peer: PeerId, session: Session, loss: LinkLoss): Link | undefined {
    const link = this.#links.get(peer)
    if (session === 0) {
      // Only a refusal proves that no process is there: the way to one that lives may reset, too,
      // and its partitions would be passed on before its lease ends (seed 109).
      if (loss === 'refused' && link === undefined) this.#refused.add(peer)
      else this.#refused.delete(peer)
      return undefined
    }
    if (link?.session !== session) return undefined
    this.#links.delete(peer)
    return link
  }

  /** The table has given it a part: a process of it lives, or did since its dial was refused. One
   *  that had joined behind a split passed for dead, and its partitions for lost (seed 43). */
  onPart(peer: PeerId): void {
    this.#refused.delete(peer)
  }

  isRefused(peer: PeerId): boolean {
    return this.#refused.has(peer)
  }

  /** Surely no process of `peer` with this life runs any more; undefined: none at all. */
  isDead(peer: PeerId, life: string | undefined): boolean {
    if (peer === this.#self) return life !== undefined && life !== this.#life
    const linked = this.#links.get(peer)?.life ?? ''
    if (linked !== '') return life !== undefined && life !== linked
    return this.#refused.has(peer)
  }

  /** Those that have been up for two looks and not said hello: it was lost alone, below the law of
   *  transports, and nobody would say it again. Two: who was stopped looks before it reads. */
  *silent(): Generator<PeerId> {
    for (const [peer, link] of this.#links) if (link.life === '' && ++link.misses > 2) yield peer
  }

  /** What is wrong with a frame on this link: no session, or no hello for too long. */
  judge(peer: PeerId, session: Session, now: number): 'ignore' | 'mute' | undefined {
    const link = this.#links.get(peer)
    if (link === undefined || link.session !== session) return 'ignore'
    if (link.life !== '') return undefined
    if (link.unsaidAt === 0) link.unsaidAt = now
    return now - link.unsaidAt < STATEMENT_MS ? 'ignore' : 'mute'
  }

  /** True if the link counts from now on; else the text says what differs, with both values; '': it
   *  says nothing new. */
  onHello(peer: PeerId, session: Session, m: Hello): true | string {
    const link = this.#links.get(peer)
    if (link?.session !== session || link.life !== '') return ''
    const text = this.#mismatch(peer, m)
    if (text !== undefined) {
      this.mixed.set(peer, text)
      return text
    }
    this.mixed.delete(peer)
    link.life = m.life
    for (const group of m.hosts) link.hosts.add(group)
    return true
  }

  /** The groups that `m` is news of. It comes once more, or late, below the law of transports: this
   *  side alone would begin anew, and a master feeds nobody who does not ask (seed 7223). */
  onTurn(peer: PeerId, { number, groups }: Turn): readonly GroupId[] {
    const turns = this.of(peer)?.turns
    if (turns === undefined) return []
    const news = groups.filter(group => number > (turns.get(group) ?? 0))
    for (const group of news) turns.set(group, number)
    return news
  }

  #mismatch(peer: PeerId, m: Hello): string | undefined {
    const { partitions, backups } = this.#settings
    const own: [string, unknown, unknown][] = [['strategy', STRATEGY, m.strategy.slice(0, 64)]]
    if (m.strategy === STRATEGY)
      own.push(['partitions', partitions, m.partitions], ['backups', backups, m.backups])
    const wrong = own.find(([, mine, theirs]) => mine !== theirs)
    if (wrong === undefined) return undefined
    const [name, mine, theirs] = wrong
    return (
      `${this.#self} has ${name} ${mine} and ${peer} has ${name} ${theirs}: ` +
      `start all nodes of a cluster with the same ${name}`
    )
  }
}
