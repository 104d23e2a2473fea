/**
 * One message for many: what several streams send in one turn, byte for byte the same, is published
 * once, with a head for each of them. A strategy that broadcasts needs to know nothing of it, since
 * equal bytes are all that it takes; what only one stream sends goes to its own inbox.
 *
 *   turn:    a A B   b A B   c A C      published:  A for a b c,  B for a b,  C for c
 */
import { BROKER } from '../../src/config.js'
import { HEAD_BYTES, KIND, messageOf, SEALED, writeHead } from './messages.js'
import { digestOf, SEAL_BYTES, type Seal } from './seal.js'
import type { NatsStream } from './stream.js'

/** Where what was gathered goes. */
export interface ManyWay {
  /** Bytes of a message behind its head. */
  readonly bodyBytesMax: number
  /** To whoever hears our `many`. */
  publishMany(message: Buffer): void
  defer(task: () => void): void
}

/** One stream's share of what is published. */
export interface Share {
  readonly stream: NatsStream
  readonly seq: number
  readonly limit: number
  /** What it is to be sealed with. */
  readonly seal: Seal | undefined
}

/** A head and its seal in a `many`. */
export const SHARE_BYTES = HEAD_BYTES + SEAL_BYTES

interface Piece {
  readonly data: Buffer
  readonly shares: Share[]
}

const NOBODY = { id: 0, check: 0 }

export class Many {
  readonly #way: ManyWay
  #pieces: Piece[] = []
  /** By stream: where its next piece may stand, after all that it gave before. */
  readonly #after = new Map<NatsStream, number>()

  constructor(way: ManyWay) {
    this.#way = way
  }

  /** Takes a copy of `data`, unless another stream has given the same. */
  offer(share: Share, data: Uint8Array): void {
    if (this.#pieces.length === 0) this.#way.defer(this.flush)
    const { stream } = share
    let at = this.#after.get(stream) ?? 0
    const end = Math.min(this.#pieces.length, at + BROKER.manyLooksMax)
    while (at < end && !this.#pieces[at].data.equals(data)) at++
    if (at === end) {
      at = this.#pieces.length
      this.#pieces.push({ data: Buffer.from(data), shares: [] })
    }
    this.#pieces[at].shares.push(share)
    this.#after.set(stream, at + 1)
  }

  /** Publishes what was gathered: at the turn's end, and before anything else of these streams. */
  readonly flush = (): void => {
    const pieces = this.#pieces
    if (pieces.length === 0) return
    this.#pieces = []
    this.#after.clear()
    for (const { data, shares } of pieces) {
      const fits = shares.length * SHARE_BYTES + data.length <= this.#way.bodyBytesMax
      if (shares.length > 1 && fits) this.#way.publishMany(manyOf(data, shares))
      else for (const share of shares) share.stream.sendAlone(share, data)
    }
  }
}

function manyOf(data: Buffer, shares: readonly Share[]): Buffer {
  const heads = shares.length * SHARE_BYTES
  const digest = shares.some(({ seal }) => seal !== undefined) ? digestOf(data) : undefined
  const to = { id: shares.length, check: NOBODY.check }
  const message = messageOf(KIND.many, to, 0, 0, heads + data.length)
  let at = HEAD_BYTES
  for (const share of shares) {
    const { stream, seq, limit, seal } = share
    const flags = stream.flags | (seal === undefined ? 0 : SEALED)
    writeHead(message, at, KIND.data, stream.remote ?? NOBODY, seq, limit, flags)
    message.fill(0, at + HEAD_BYTES, at + SHARE_BYTES)
    if (seal !== undefined && digest !== undefined)
      message.set(seal.make(share, digest), at + HEAD_BYTES)
    at += SHARE_BYTES
  }
  message.set(data, at)
  return message
}
