/**
 * Watches in a cluster of partitions: each is asked for at every node that leads a partition, since
 * a node's watch hears all that it leads. Who is an owner only now is asked then, and what may have
 * been missed meanwhile is a 'gap'.
 */
import type { CachePort, ChangeEvent } from '../contracts/cache.js'
import type { SendResult } from '../contracts/transport.js'
import type { PeerId } from '../contracts/types.js'
import type { GcacheError } from '../errors.js'
import { ClientWatches } from './client-watches.js'

interface Wanted {
  readonly cache: string
  readonly prefix: string
  readonly sink: (event: ChangeEvent<Uint8Array>) => void
  readonly fail: ((error: Error) => void) | undefined
  /** By owner. */
  readonly ends: Map<PeerId, () => void>
}

export class OwnerWatches {
  readonly #send: (target: PeerId, frame: Uint8Array) => SendResult
  readonly #owners = new Map<PeerId, ClientWatches>()
  readonly #wanted = new Set<Wanted>()

  constructor(send: (target: PeerId, frame: Uint8Array) => SendResult) {
    this.#send = send
  }

  /** LIMIT if there are too many. */
  watch(...[cache, prefix, sink, fail]: Parameters<CachePort['watch']>): () => void {
    const wanted: Wanted = { cache, prefix, sink, fail, ends: new Map() }
    try {
      for (const [peer, watches] of this.#owners) this.#ask(wanted, peer, watches)
    } catch (error) {
      this.#end(wanted)
      throw error
    }
    this.#wanted.add(wanted)
    return () => this.#end(wanted)
  }

  /** Those that lead a partition now and are linked. */
  route(owners: ReadonlySet<PeerId>): void {
    for (const peer of this.#owners.keys())
      if (!owners.has(peer)) {
        for (const { ends } of this.#wanted) {
          ends.get(peer)?.()
          ends.delete(peer)
        }
        this.#owners.delete(peer)
      }
    for (const peer of owners) {
      if (this.#owners.has(peer)) continue
      const watches = new ClientWatches(this.#send)
      this.#owners.set(peer, watches)
      for (const wanted of this.#wanted) this.#ask(wanted, peer, watches)
      watches.route(peer)
    }
  }

  /** Its link is gone, and with it what it was asked. */
  onTargetDown(peer: PeerId): void {
    if (!this.#owners.delete(peer)) return
    for (const { ends } of this.#wanted) ends.delete(peer)
  }

  /** What a full link did not take is asked again. */
  onWritable(peer: PeerId): void {
    this.#owners.get(peer)?.retry()
  }

  onEvent(peer: PeerId, frame: Uint8Array): void {
    this.#owners.get(peer)?.onEvent(peer, frame)
  }

  onRefused(peer: PeerId, id: number, error: GcacheError): void {
    this.#owners.get(peer)?.onRefused(peer, id, error)
  }

  /** Ends every watch with `error`, once. */
  close(error: GcacheError): void {
    const wanted = [...this.#wanted]
    this.#owners.clear()
    this.#wanted.clear()
    for (const { fail } of wanted) fail?.(error)
  }

  #ask(wanted: Wanted, peer: PeerId, watches: ClientWatches): void {
    const { cache, prefix, sink, fail } = wanted
    const end = watches.watch(cache, prefix, sink, error => {
      // One refusal is enough, and is told once.
      if (!this.#wanted.has(wanted)) return
      this.#end(wanted)
      fail?.(error)
    })
    wanted.ends.set(peer, end)
  }

  #end(wanted: Wanted): void {
    this.#wanted.delete(wanted)
    for (const end of wanted.ends.values()) end()
    wanted.ends.clear()
  }
}
