/**
 * A network in memory, for tests, simulations and examples: latency, loss, repeats, reordering,
 * pieces and congestion below the laws of a transport, under any clock, the same for the same seed.
 * A network is an instance; nodes on two networks never meet. Hello, framing and queues above it
 * are those of TCP (stream/), so what a simulation finds there is found for TCP as well.
 */
import type { Clock, Random } from '../src/contracts/environment.js'
import type { Transport, TransportFactory } from '../src/contracts/transport.js'
import type { PeerId } from '../src/contracts/types.js'
import { GcacheError } from '../src/errors.js'
import { type MemoryEnd, MemoryPair, type World } from './memory/connection.js'
import { type MemoryFaults, NO_FAULTS } from './memory/faults.js'
import { type Exchange, MemoryLayer } from './memory/layer.js'
import type { StreamConnection, StreamEvents, StreamLayer } from './stream/layer.js'
import type { StreamOptions } from './stream/limits.js'
import { streamTransport } from './stream/transport.js'

export type { MemoryFaults } from './memory/faults.js'

export interface MemoryNetworkOptions extends Partial<MemoryFaults> {
  /** Virtual, or the system's. */
  clock: Clock
  /** Seeded; drawn from only for faults that are switched on. */
  random: Random
}

/** One start of a node or client. */
interface Presence {
  readonly layer: MemoryLayer
  accept: ((connection: StreamConnection) => void) | undefined
}

export class MemoryNetwork implements World, Exchange {
  readonly clock: Clock
  readonly random: Random
  faults: MemoryFaults
  readonly #transports = new WeakMap<MemoryLayer, Transport>()
  readonly #present = new Map<PeerId, Presence>()
  /** Machines that are gone: what is sent there is never answered. */
  readonly #dark = new Set<PeerId>()
  readonly #pairs = new Set<MemoryPair>()
  readonly #cuts = new Set<string>()
  readonly #clogs = new Map<string, number>()

  constructor({ clock, random, ...faults }: MemoryNetworkOptions) {
    this.clock = clock
    this.random = random
    this.faults = { ...NO_FAULTS, ...faults }
  }

  /** The transport of a node or client; a node listens at `memory://<its id>`. */
  transport(options: StreamOptions = {}): TransportFactory {
    return env => {
      const layer = new MemoryLayer(this, env.self)
      const transport = streamTransport(env, layer, options)
      this.#transports.set(layer, transport)
      return transport
    }
  }

  /** Bare streams of node `id`: for suites that play a stranger. */
  layer(id: PeerId): StreamLayer {
    return new MemoryLayer(this, id)
  }

  /** Changes what the medium does from now on; what travels already is not touched. */
  setFaults(faults: Partial<MemoryFaults>): void {
    const { bytesPerMs } = this.faults
    this.faults = { ...this.faults, ...faults }
    if (this.faults.bytesPerMs === bytesPerMs) return
    for (const pair of this.#pairs) for (const end of pair.ends) end.out.onRate()
  }

  /** Nothing from `a` reaches `b`, nor back unless `oneWay`. Links stay up and hear nothing. */
  cut(a: PeerId, b: PeerId, { oneWay = false }: { oneWay?: boolean } = {}): void {
    this.#cuts.add(way(a, b))
    if (!oneWay) this.#cuts.add(way(b, a))
  }

  /** Undoes cuts both ways. Links that lost something meanwhile end with `reset`. */
  mend(a: PeerId, b: PeerId): void {
    this.#cuts.delete(way(a, b))
    this.#cuts.delete(way(b, a))
    for (const pair of this.#pairs)
      if (pair.lossy && pair.isBetween(a, b)) pair.lose('reset', new Error('lost in a cut'))
  }

  mendAll(): void {
    this.#cuts.clear()
    for (const pair of this.#pairs) if (pair.lossy) pair.lose('reset', new Error('lost in a cut'))
  }

  /** Links between `a` and `b` end with `reset`, and so do attempts that are under way: on both
   *  sides, or on that of `heardBy` alone, while the other one takes its link for open. */
  reset(a: PeerId, b: PeerId, heardBy?: PeerId): void {
    const cause = new Error('reset by the network')
    for (const pair of this.#pairs) {
      if (!pair.isBetween(a, b)) continue
      if (heardBy === undefined) pair.lose('reset', cause)
      else for (const end of pair.ends) if (end.node === heardBy) end.lose('reset', cause)
    }
  }

  /** For `ms` nothing arrives between `a` and `b`; then everything does, in order. */
  clog(a: PeerId, b: PeerId, ms: number): void {
    const endMs = this.clock.now() + ms
    for (const key of [way(a, b), way(b, a)])
      this.#clogs.set(key, Math.max(endMs, this.#clogs.get(key) ?? 0))
  }

  /**
   * The process of `id` dies: it hears nothing more, its peers hear `reset`, dials to it are
   * refused until a new transport starts with this id.
   */
  crash(id: PeerId): void {
    for (const end of this.#kill(id))
      this.#pass(id, end.node, () => end.lose('reset', new Error(`${id} has crashed`)))
  }

  /** The machine of `id` vanishes: its peers hear nothing, dials to it time out. */
  blackout(id: PeerId): void {
    this.#kill(id)
    this.#dark.add(id)
  }

  /**
   * The machine of `id` stands still, and another one may come up in its place. Peers hear
   * `reset`. The result wakes it, where its place is free again: it finds its links ended.
   */
  suspend(id: PeerId): () => void {
    const presence = this.#present.get(id)
    this.#present.delete(id)
    for (const pair of this.#pairs)
      if (pair.ends.some(end => end.owner === presence?.layer))
        pair.lose('reset', new Error(`${id} stands still`))
    return () => {
      if (presence !== undefined) this.#present.set(id, presence)
    }
  }

  // World, for connections and lines.

  latencyMs(): number {
    const { latencyMsMin, latencyMsMax } = this.faults
    if (latencyMsMax <= latencyMsMin) return latencyMsMin
    return latencyMsMin + this.random.next() * (latencyMsMax - latencyMsMin)
  }

  isCut(from: PeerId, to: PeerId): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(way(from, to))
  }

  clogEndMs(from: PeerId, to: PeerId): number {
    return this.#clogs.size === 0 ? 0 : (this.#clogs.get(way(from, to)) ?? 0)
  }

  strayed(end: MemoryEnd): void {
    const other = end.pair.other(end)
    if (other.over || this.#dark.has(end.node)) return
    this.#pass(end.node, other.node, () => other.lose('reset', new Error('no such connection')))
  }

  forget(pair: MemoryPair): void {
    this.#pairs.delete(pair)
  }

  // Exchange, for layers.

  defer(task: () => void): void {
    this.clock.after(0, task)
  }

  enter(layer: MemoryLayer, accept: (connection: StreamConnection) => void): void {
    if (this.#present.get(layer.node)?.accept !== undefined)
      throw new GcacheError('ADDRESS_IN_USE', `memory://${layer.node} is in use`)
    this.#presence(layer).accept = accept
  }

  leave(layer: MemoryLayer): void {
    for (const pair of this.#pairs)
      for (const end of pair.ends) if (end.owner === layer) end.destroy()
    if (this.#present.get(layer.node)?.layer === layer) this.#present.delete(layer.node)
  }

  dial(layer: MemoryLayer, to: PeerId, events: StreamEvents): StreamConnection {
    this.#presence(layer)
    const from = layer.node
    const pair = new MemoryPair(this, from, to, events)
    const { dialler, acceptor } = pair
    dialler.owner = layer
    this.#pairs.add(pair)
    this.#pass(from, to, () => {
      if (dialler.over || this.#dark.has(to)) return
      const target = this.#present.get(to)
      if (target?.accept === undefined) {
        this.#pass(to, from, () => dialler.lose('refused', new Error(`no ${to} listens`)))
        return
      }
      acceptor.owner = target.layer
      acceptor.over = false
      target.accept(acceptor)
      this.#pass(to, from, () => dialler.answered())
    })
    return dialler
  }

  /** Carries something small from node to node, unless a cut swallows it. */
  #pass(from: PeerId, to: PeerId, arrive: () => void): void {
    const attempt = (): void => {
      if (this.isCut(from, to)) return
      const clogMs = this.clogEndMs(from, to) - this.clock.now()
      if (clogMs > 0) this.clock.after(clogMs, attempt)
      else arrive()
    }
    if (!this.isCut(from, to)) this.clock.after(this.latencyMs(), attempt)
  }

  /** A layer that listens or dials shows its node on the network. */
  #presence(layer: MemoryLayer): Presence {
    const known = this.#present.get(layer.node)
    if (known?.layer === layer) return known
    const presence: Presence = { layer, accept: undefined }
    this.#present.set(layer.node, presence)
    this.#dark.delete(layer.node)
    return presence
  }

  /** Silences the current start of `id`; returns the far ends of its connections. */
  #kill(id: PeerId): MemoryEnd[] {
    const layer = this.#present.get(id)?.layer
    if (layer === undefined) return []
    this.#present.delete(id)
    const orphans: MemoryEnd[] = []
    for (const pair of this.#pairs)
      for (const end of pair.ends) {
        if (end.owner !== layer || end.over) continue
        end.vanish()
        orphans.push(pair.other(end))
      }
    void this.#transports.get(layer)?.stop()
    return orphans
  }
}

function way(from: PeerId, to: PeerId): string {
  return `${from} ${to}`
}
