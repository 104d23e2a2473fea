/**
 * Frames that are heard again, late, in the session in which they were said. No transport that
 * keeps its law does so; a strategy bears it. Of each kind one frame is kept, and any kind is as
 * likely to come again as any other: what is said once a session is what nobody expects twice.
 */
import type { Random } from '../contracts/environment.js'
import type { PeerId, Session } from '../contracts/types.js'

/** Frames that begin alike are of one kind; how they go on says whose and how far. */
const KIND_BYTES = 12
/** Kinds of frames kept of a peer, at most. */
const KINDS_MAX = 16
/** How often a newer frame takes the place of the one that is kept of its kind. */
const REPLACED = 0.5

export interface EchoRate {
  /** That a frame which arrives is followed by an old one, 0..1; may be changed at any time. */
  chance: number
}

export class Echoes {
  readonly #rate: EchoRate
  readonly #random: Random
  readonly #byPeer = new Map<PeerId, { session: Session; kept: Map<string, Uint8Array> }>()

  constructor(rate: EchoRate, random: Random) {
    this.#rate = rate
    this.#random = random
  }

  /** Takes notice of `frame`; the result is an old one of its session, to be heard after it. */
  after(peer: PeerId, session: Session, frame: Uint8Array): Uint8Array | undefined {
    let of = this.#byPeer.get(peer)
    if (of?.session !== session) {
      of = { session, kept: new Map() }
      this.#byPeer.set(peer, of)
    }
    const { kept } = of
    const kind = Buffer.from(frame.subarray(0, KIND_BYTES)).toString('latin1')
    const known = kept.has(kind)
    if (known ? this.#random.next() < REPLACED : kept.size < KINDS_MAX)
      kept.set(kind, new Uint8Array(frame))
    if (this.#random.next() >= this.#rate.chance) return undefined
    const frames = [...kept.values()]
    return frames[Math.floor(this.#random.next() * frames.length)]
  }
}
