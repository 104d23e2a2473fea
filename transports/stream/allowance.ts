/**
 * What a stranger may say before its handshake is through (SECURITY 1): frames, their bytes, and
 * the bytes of each. Judged before a frame is read.
 */
import { LIMITS } from '../../src/config.js'
import { GcacheError } from '../../src/errors.js'
import { FRAME_HEAD_BYTES } from '../../src/wire/frame.js'

export class Allowance {
  #frames = 0
  #bytes = 0

  /**
   * Counts a frame of `bytes`, its head not included. Returns the most that the next one may have;
   * PREAUTH_LIMIT if this one is too much.
   */
  take(bytes: number): number {
    const { greetingFramesMax, greetingBytesMax, helloBytesMax } = LIMITS
    this.#frames++
    this.#bytes += FRAME_HEAD_BYTES + bytes
    if (this.#frames > greetingFramesMax)
      throw new GcacheError('PREAUTH_LIMIT', `more than ${greetingFramesMax} frames of a stranger`)
    if (this.#bytes > greetingBytesMax)
      throw new GcacheError('PREAUTH_LIMIT', `more than ${greetingBytesMax} bytes of a stranger`)
    return Math.min(helloBytesMax, greetingBytesMax - this.#bytes)
  }
}

/** An error of the decoder as a stranger's: a frame that is too big for it breaks this limit. */
export function strangersError(error: GcacheError): GcacheError {
  if (error.code !== 'FRAME_TOO_BIG') return error
  const text = `a stranger's frame exceeds ${LIMITS.helloBytesMax} bytes`
  return new GcacheError('PREAUTH_LIMIT', text, { cause: error })
}
