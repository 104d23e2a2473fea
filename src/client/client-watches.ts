/**
 * The client's watches: registered anew at each master, with a 'gap' event whenever something may
 * have been missed in between.
 */
import type { ChangeEvent } from '../contracts/cache.js'
import type { SendResult } from '../contracts/transport.js'
import type { PeerId } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import { Reader } from '../wire/bytes.js'
import { encodeControl } from '../wire/control.js'
import { EVENT_KINDS, FRAME } from '../wire/requests.js'

type Sink = (event: ChangeEvent<Uint8Array>) => void

/** As many as a node grants one link. */
const WATCHES_MAX = 1_024
const GAP: ChangeEvent<Uint8Array> = { kind: 'gap', key: '', value: undefined, version: 0 }

interface Watch {
  readonly cache: string
  readonly prefix: string
  readonly sink: Sink
  readonly fail: ((error: Error) => void) | undefined
  /** The master that was asked; undefined: none yet. */
  target: PeerId | undefined
}

export class ClientWatches {
  readonly #send: (target: PeerId, frame: Uint8Array) => SendResult
  readonly #watches = new Map<number, Watch>()
  readonly #reader = new Reader()
  #next = 1
  #target: PeerId | undefined

  constructor(send: (target: PeerId, frame: Uint8Array) => SendResult) {
    this.#send = send
  }

  /** LIMIT if there are too many. */
  watch(cache: string, prefix: string, sink: Sink, fail?: (error: Error) => void): () => void {
    if (this.#watches.size >= WATCHES_MAX)
      throw new GcacheError('LIMIT', `more than ${WATCHES_MAX} watches`)
    const id = this.#next++
    const watch: Watch = { cache, prefix, sink, fail, target: undefined }
    this.#watches.set(id, watch)
    this.#register(id, watch)
    return () => {
      if (!this.#watches.delete(id) || watch.target === undefined) return
      this.#send(watch.target, encodeControl({ type: 'unwatch', id }))
    }
  }

  /** The master that serves now. */
  route(target: PeerId | undefined): void {
    if (target === this.#target) return
    this.#target = target
    for (const [id, watch] of this.#watches) {
      if (watch.target !== undefined && target !== undefined)
        this.#send(watch.target, encodeControl({ type: 'unwatch', id }))
      watch.target = undefined
      if (this.#register(id, watch)) watch.sink(GAP)
    }
  }

  /** Watches that a dropped frame left unregistered are asked for again. */
  retry(): void {
    for (const [id, watch] of this.#watches)
      if (watch.target === undefined && this.#register(id, watch)) watch.sink(GAP)
  }

  /** Refuses the watch `id`; what a node says that was not asked is passed over. */
  onRefused(target: PeerId, id: number, error: GcacheError): void {
    const watch = this.#watches.get(id)
    if (watch === undefined || watch.target !== target) return
    this.#watches.delete(id)
    watch.fail?.(error)
  }

  /** Ends every watch with `error`: a loop over one would wait for ever. */
  close(error: GcacheError): void {
    const watches = [...this.#watches.values()]
    this.#watches.clear()
    for (const watch of watches) watch.fail?.(error)
  }

  /** Throws PROTOCOL_ERROR for what is no event frame. */
  onEvent(target: PeerId, frame: Uint8Array): void {
    const reader = this.#reader.open(frame)
    if (reader.u8() !== FRAME.event) reader.fail('no event frame')
    const watch = this.#watches.get(reader.u32())
    const count = reader.u16()
    for (let i = 0; i < count; i++) {
      const kind = EVENT_KINDS[reader.u8()]
      if (kind === undefined) reader.fail('unknown kind of event')
      const key = reader.text16()
      const version = reader.f64()
      const bytes = reader.copy(reader.u32())
      if (watch === undefined || watch.target !== target) continue
      watch.sink({ kind, key, value: kind === 'set' ? bytes : undefined, version })
    }
    reader.finish()
  }

  #register(id: number, watch: Watch): boolean {
    const target = this.#target
    if (target === undefined) return false
    const { cache, prefix } = watch
    if (this.#send(target, encodeControl({ type: 'watch', id, cache, prefix })) === 'dropped')
      return false
    watch.target = target
    return true
  }
}
