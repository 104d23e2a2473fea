/**
 * Changes of the store to the clients that watch them. The events of a turn leave as one frame a
 * watch; a link that does not read loses events, never silently: its watches get 'gap' as soon as
 * it is writable again. Nothing is collected while nobody watches.
 */
import { LIMITS } from '../config.js'
import type { ChangeKind, ChangeSink, StateMachine } from '../contracts/store.js'
import type { SendResult } from '../contracts/transport.js'
import type { Offset, PeerId, Session } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import { Writer } from '../wire/bytes.js'
import type { Control } from '../wire/control.js'
import { EVENT_KINDS, FRAME } from '../wire/requests.js'

export interface WatchesEnv {
  /** Takes the sink as long as somebody watches. */
  readonly store: Pick<StateMachine, 'changes'>
  send(peer: PeerId, frame: Uint8Array): SendResult
}

/** Watches of one link. */
const WATCHES_MAX = 1_024
/** Bytes sent to a link after 'congested'; then its events become a gap. */
const CONGESTED_BYTES_MAX = 256 * 1_024
/** Events and bytes collected before they are sent without waiting for the end of the step. */
const TURN_EVENTS_MAX = 4_096
const TURN_BYTES_MAX = 2 ** 20
const EVENT_BYTES = 15
const KIND_CODES = new Map<string, number>(EVENT_KINDS.map((kind, code) => [kind, code]))
const GAP = EVENT_KINDS.indexOf('gap')

interface Change {
  readonly kind: number
  readonly key: string
  readonly value: string
  readonly version: Offset
}

interface Watch {
  readonly id: number
  readonly link: WatchLink
  readonly cache: string
  readonly prefix: string
  gap: boolean
}

interface WatchLink {
  readonly peer: PeerId
  readonly session: Session
  readonly watches: Map<number, Watch>
  congestedBytes: number
}

/** The watchers of one cache by prefix: each prefix is encoded once. */
interface Watched {
  readonly byPrefix: Map<string, Set<Watch>>
  changes: Change[]
}

export class Watches implements ChangeSink {
  readonly #env: WatchesEnv
  readonly #links = new Map<PeerId, WatchLink>()
  readonly #caches = new Map<string, Watched>()
  readonly #out = new Writer(4_096)
  #changed: Watched[] = []
  #events = 0
  #bytes = 0
  #gapDue = false

  constructor(env: WatchesEnv) {
    this.#env = env
  }

  /** A watch or unwatch message of a client. PROTOCOL_ERROR if the link has too
   *  many: the caller ends it. */
  onControl(peer: PeerId, session: Session, message: Control): void {
    if (message.type === 'watch') this.#watch(peer, session, message)
    else if (message.type === 'unwatch') {
      const watch = this.#links.get(peer)?.watches.get(message.id)
      if (watch !== undefined) this.#unwatch(watch)
    }
  }

  onLinkDown(peer: PeerId, session: Session): void {
    const link = this.#links.get(peer)
    if (link === undefined || link.session !== session) return
    for (const watch of link.watches.values()) this.#unwatch(watch)
  }

  /** Tells the link's watches of the gap, if there is one. */
  onWritable(peer: PeerId, session: Session): void {
    const link = this.#links.get(peer)
    if (link === undefined || link.session !== session) return
    link.congestedBytes = -1
    this.#sendGaps(link)
  }

  /** All watches may have missed something: the state was replaced by a snapshot. */
  gap(): void {
    for (const link of this.#links.values()) {
      for (const watch of link.watches.values()) watch.gap = true
      this.#sendGaps(link)
    }
  }

  /** As gap(), at the end of the step, however many groups come or go in it. */
  gapLater(): void {
    this.#gapDue = true
  }

  onChange(
    cache: string,
    kind: ChangeKind,
    key: string,
    value: string | undefined,
    version: Offset,
  ): void {
    const watched = this.#caches.get(cache)
    if (watched === undefined) return
    if (watched.changes.length === 0) this.#changed.push(watched)
    watched.changes.push({ kind: KIND_CODES.get(kind) ?? GAP, key, value: value ?? '', version })
    this.#bytes += key.length + (value?.length ?? 0)
    if (++this.#events >= TURN_EVENTS_MAX || this.#bytes >= TURN_BYTES_MAX) this.#sendEvents()
  }

  /** After the effects of a step: sends the events. */
  finish(): void {
    if (this.#events > 0) this.#sendEvents()
    if (!this.#gapDue) return
    this.#gapDue = false
    this.gap()
  }

  #sendEvents(): void {
    const changed = this.#changed
    this.#changed = []
    this.#events = 0
    this.#bytes = 0
    for (const watched of changed) {
      const changes = watched.changes
      watched.changes = []
      for (const [prefix, watches] of watched.byPrefix) this.#tell(prefix, watches, changes)
    }
  }

  #tell(prefix: string, watches: Set<Watch>, changes: readonly Change[]): void {
    const out = this.#out
    let count = 0
    begin(out)
    for (const change of changes) {
      // A clear has no key and concerns every prefix.
      if (change.key !== '' && !change.key.startsWith(prefix)) continue
      const bytes = EVENT_BYTES + change.key.length * 3 + change.value.length
      if (count > 0 && out.length + bytes > LIMITS.clientFrameBytesMax) {
        this.#sendAll(watches, count)
        count = 0
        begin(out)
      }
      out.u8(change.kind)
      out.text16(change.key)
      out.f64(change.version)
      out.u32(change.value.length)
      out.latin1(change.value)
      count++
    }
    if (count > 0) this.#sendAll(watches, count)
  }

  #sendAll(watches: Set<Watch>, count: number): void {
    this.#out.patchU16(5, count)
    let frame: Uint8Array | undefined
    let id = 0
    for (const watch of watches) {
      const link = watch.link
      if (watch.gap || link.congestedBytes > CONGESTED_BYTES_MAX) {
        watch.gap = true
        continue
      }
      // Clients that watch one thing number it alike: a thousand of them share a frame.
      if (frame === undefined || watch.id !== id) {
        id = watch.id
        this.#out.patchU32(1, id)
        frame = this.#out.copy()
      }
      this.#send(link, watch, frame)
    }
  }

  #send(link: WatchLink, watch: Watch, frame: Uint8Array): void {
    const result = this.#env.send(link.peer, frame)
    if (result === 'dropped') watch.gap = true
    else if (result === 'congested')
      link.congestedBytes = Math.max(0, link.congestedBytes) + frame.length
  }

  #sendGaps(link: WatchLink): void {
    for (const watch of link.watches.values()) {
      if (!watch.gap || link.congestedBytes > CONGESTED_BYTES_MAX) continue
      const out = this.#out
      begin(out)
      out.patchU32(1, watch.id)
      out.patchU16(5, 1)
      out.u8(GAP)
      out.text16('')
      out.f64(0)
      out.u32(0)
      watch.gap = false
      this.#send(link, watch, out.copy())
    }
  }

  #watch(peer: PeerId, session: Session, message: Extract<Control, { type: 'watch' }>): void {
    let link = this.#links.get(peer)
    if (link !== undefined && link.session !== session) {
      this.onLinkDown(peer, link.session)
      link = undefined
    }
    if (link === undefined) {
      link = { peer, session, watches: new Map(), congestedBytes: -1 }
      this.#links.set(peer, link)
    }
    const { id, cache, prefix } = message
    const former = link.watches.get(id)
    if (former === undefined && link.watches.size >= WATCHES_MAX)
      throw new GcacheError('PROTOCOL_ERROR', `more than ${WATCHES_MAX} watches on one link`)
    if (former !== undefined) this.#unwatch(former)
    const watch: Watch = { id, link, cache, prefix, gap: false }
    this.#links.set(peer, link)
    link.watches.set(id, watch)
    let watched = this.#caches.get(cache)
    if (watched === undefined) {
      watched = { byPrefix: new Map(), changes: [] }
      this.#caches.set(cache, watched)
    }
    const same = watched.byPrefix.get(prefix)
    if (same === undefined) watched.byPrefix.set(prefix, new Set([watch]))
    else same.add(watch)
    this.#env.store.changes = this
  }

  #unwatch(watch: Watch): void {
    const { link, cache, prefix } = watch
    link.watches.delete(watch.id)
    if (link.watches.size === 0) this.#links.delete(link.peer)
    const watched = this.#caches.get(cache)
    const same = watched?.byPrefix.get(prefix)
    same?.delete(watch)
    if (watched !== undefined && same?.size === 0) {
      watched.byPrefix.delete(prefix)
      if (watched.byPrefix.size === 0) this.#caches.delete(cache)
    }
    if (this.#caches.size === 0) this.#env.store.changes = undefined
  }
}

/** Head of an event frame; watch and count are patched in. */
function begin(out: Writer): void {
  out.reset()
  out.u8(FRAME.event)
  out.u32(0)
  out.u16(0)
}
