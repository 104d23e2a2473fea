/**
 * Nodes of one cluster that were started with different profiles. W + P > N holds for the sums of
 * one profile (quorum.ts); with two of them in one cluster nothing that a status promises is true.
 * So each state names its sender's profile: who hears another one ends the session, and to it that
 * peer is not there, neither on that link nor on the next, until it says the same.
 */
import type { Input } from '../../src/contracts/strategy.js'
import type { PeerId, Session } from '../../src/contracts/types.js'
import type { Message } from './messages.js'
import type { Sink } from './state.js'

/** More ids than a cluster has ordinals; then the one heard first is forgotten. */
const PEERS_MAX = 256

export class MixedPeers {
  /** Who last said another profile: the link that waits for a state (0: none), and the warning. */
  readonly #peers = new Map<PeerId, { session: Session; text: string }>()
  readonly #self: PeerId
  readonly #profile: string

  constructor(self: PeerId, profile: string) {
    this.#self = self
    this.#profile = profile
  }

  /** True if it last said another profile. */
  has(peer: PeerId): boolean {
    return this.#peers.has(peer)
  }

  /** Some has. */
  get any(): boolean {
    return this.#peers.size > 0
  }

  /** What is wrong with it; undefined: nothing. */
  textOf(peer: PeerId): string | undefined {
    return this.#peers.get(peer)?.text
  }

  /** True for a link on which nothing but a state may be heard yet. */
  onLinkUp(peer: PeerId, session: Session): boolean {
    const mixed = this.#peers.get(peer)
    if (mixed !== undefined) mixed.session = session
    return mixed !== undefined
  }

  onLinkDown(peer: PeerId, session: Session): void {
    const mixed = this.#peers.get(peer)
    if (mixed?.session === session) mixed.session = 0
  }

  /** True if this, from one that has(), is the state that makes its link one like any other. */
  mends(effects: Sink, input: Extract<Input<Message>, { kind: 'message' }>): boolean {
    const { peer, session, message } = input
    if (message.type !== 'state' || this.#peers.get(peer)?.session !== session) return false
    return !this.refuses(effects, peer, message.profile) && this.#peers.delete(peer)
  }

  /** True, and the session ends, if `profile` is another one. Reported once a peer. */
  refuses(effects: Sink, peer: PeerId, profile: string): boolean {
    if (profile === this.#profile) return false
    const [self, own] = [this.#self, this.#profile]
    const other = profile.slice(0, 64)
    const text =
      `${self} has profile ${own} and ${peer} has profile ${other}: ` +
      'start all nodes of a cluster with the same profile'
    if (!this.#peers.has(peer)) {
      const fields = { peer, profile: own, other, message: text }
      effects.report('profile-mismatch', fields, 'warn')
      const [first] = this.#peers.keys()
      if (this.#peers.size >= PEERS_MAX) this.#peers.delete(first)
    }
    this.#peers.set(peer, { session: 0, text })
    effects.disconnect(peer, 'CONFIG', text)
    return true
  }
}
