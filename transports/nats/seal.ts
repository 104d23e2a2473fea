/**
 * Data that only the other side can have sent: the broker, and whoever may publish there, is not
 * trusted (SECURITY 14). 16 bytes of HMAC-SHA256 under the key that the proofs of both sides left
 * behind, over direction, number, limit and the data's own SHA-256, which is made once for many.
 */
import { createHmac, hash, timingSafeEqual } from 'node:crypto'

export const SEAL_BYTES = 16

/** Number and limit of a message, as its head says. */
interface Numbered {
  readonly seq: number
  readonly limit: number
}

const NUMBERS_BYTES = 13

export class Seal {
  readonly #key: Uint8Array
  readonly #dialled: boolean
  readonly #covered = Buffer.alloc(NUMBERS_BYTES)

  /** `dialled`: ours is the dialler's side, whose data nobody can send back as the acceptor's. */
  constructor(key: Uint8Array, dialled: boolean) {
    this.#key = key
    this.#dialled = dialled
  }

  /** Of data that we send. */
  make(message: Numbered, digest: Uint8Array): Uint8Array {
    return this.#make(message, digest, this.#dialled)
  }

  /** True if the other side made `seal`. */
  isTheirs(seal: Uint8Array, message: Numbered, digest: Uint8Array): boolean {
    return timingSafeEqual(seal, this.#make(message, digest, !this.#dialled))
  }

  #make({ seq, limit }: Numbered, digest: Uint8Array, byDialler: boolean): Uint8Array {
    this.#covered.writeUInt8(byDialler ? 1 : 2, 0)
    this.#covered.writeUInt32LE(seq, 1)
    this.#covered.writeDoubleLE(limit, 5)
    const whole = createHmac('sha256', this.#key).update(this.#covered).update(digest).digest()
    return whole.subarray(0, SEAL_BYTES)
  }
}

export function digestOf(data: Uint8Array): Buffer {
  return hash('sha256', data, 'buffer')
}
