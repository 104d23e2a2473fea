/** A simulated connection: two ends with a line each way, which live and die apart. */
import type { LinkLoss } from '../../src/contracts/transport.js'
import type { PeerId } from '../../src/contracts/types.js'
import type { StreamConnection, StreamEvents } from '../stream/layer.js'
import { Line, type LineEnd, type Medium } from './line.js'

/** The network, as its connections see it. */
export interface World extends Medium {
  /** Something arrived at `end`, which is over: its machine, if it runs, answers with a reset. */
  strayed(end: MemoryEnd): void
  /** Both ends are over. */
  forget(pair: MemoryPair): void
}

export class MemoryEnd implements StreamConnection, LineEnd {
  events: StreamEvents
  paused = false
  over: boolean
  readonly node: PeerId
  readonly pair: MemoryPair
  /** Which start of the node it belongs to; an id may have several in a row. */
  owner: object | undefined
  out!: Line
  in!: Line
  readonly #world: World
  #open = false
  #vanished = false

  constructor(pair: MemoryPair, world: World, node: PeerId, events: StreamEvents | undefined) {
    this.pair = pair
    this.#world = world
    this.node = node
    this.events = events ?? SILENT
    this.over = events === undefined
  }

  get unsentBytes(): number {
    return this.out.unsentBytes
  }

  get host(): string {
    return this.pair.other(this).node
  }

  write(bytes: Uint8Array): boolean {
    if (!this.over) this.out.offer(bytes, this.#open && this.#world.faults.suspendLaw)
    return true
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.in.resume()
  }

  opened(): void {
    this.#open = true
  }

  close(): void {
    this.#leave(false)
  }

  destroy(): void {
    this.#leave(true)
  }

  /** The process is gone: this end hears and says nothing any more. */
  vanish(): void {
    this.over = true
    this.#vanished = true
    this.out.drop()
    this.pair.endIsOver()
  }

  /** Ended from outside. */
  lose(loss: LinkLoss, cause?: Error): void {
    if (this.over) return
    this.vanish()
    this.events.onClose(loss, cause)
  }

  /** The other side took the call. */
  answered(): void {
    if (!this.over) this.events.onOpen()
  }

  arrived(bytes: Uint8Array): void {
    if (!this.over) this.events.onData(bytes)
  }

  finished(): void {
    this.lose('closed')
  }

  drained(): void {
    if (!this.over) this.events.onDrain()
  }

  broken(): void {
    this.pair.lose('reset', new Error('a datagram was lost'))
  }

  /** An end that has closed has said so; one that has vanished has not. */
  strayed(): void {
    if (this.#vanished) this.#world.strayed(this)
  }

  #leave(atOnce: boolean): void {
    if (this.over) return
    this.over = true
    this.out.finish(atOnce)
    this.pair.endIsOver()
  }
}

export class MemoryPair {
  readonly dialler: MemoryEnd
  /** Over until the call is taken. */
  readonly acceptor: MemoryEnd
  readonly #world: World
  #breaking = false

  constructor(world: World, from: PeerId, to: PeerId, events: StreamEvents) {
    this.#world = world
    this.dialler = new MemoryEnd(this, world, from, events)
    this.acceptor = new MemoryEnd(this, world, to, undefined)
    const forth = new Line(world, this.dialler, this.acceptor)
    const back = new Line(world, this.acceptor, this.dialler)
    this.dialler.out = forth
    this.dialler.in = back
    this.acceptor.out = back
    this.acceptor.in = forth
  }

  /** A cut has swallowed something. */
  get lossy(): boolean {
    return this.dialler.out.lossy || this.acceptor.out.lossy
  }

  get ends(): readonly [MemoryEnd, MemoryEnd] {
    return [this.dialler, this.acceptor]
  }

  other(end: MemoryEnd): MemoryEnd {
    return end === this.dialler ? this.acceptor : this.dialler
  }

  isBetween(a: PeerId, b: PeerId): boolean {
    const from = this.dialler.node
    const to = this.acceptor.node
    return (from === a && to === b) || (from === b && to === a)
  }

  /** Both ends learn of a loss, each in its own time. */
  lose(loss: LinkLoss, cause: Error): void {
    if (this.#breaking) return
    this.#breaking = true
    for (const end of this.ends)
      this.#world.clock.after(this.#world.latencyMs(), () => end.lose(loss, cause))
  }

  endIsOver(): void {
    if (this.dialler.over && this.acceptor.over) this.#world.forget(this)
  }
}

const SILENT: StreamEvents = { onOpen() {}, onData() {}, onDrain() {}, onClose() {} }
