/**
 * A copy of the whole state from one node to another, piece after piece: for strategies whose log
 * is too short for a node that starts anew. The taker says how many pieces it has, as often as it
 * likes; each word is answered by the next piece or the same one again, so nothing that is lost,
 * said twice or late harms. One piece is on its way at a time.
 */
import type { LogView } from '../contracts/store.js'
import type { Effects, Input } from '../contracts/strategy.js'
import type { Epoch, Offset } from '../contracts/types.js'
import { assert } from './assert.js'

/** What a piece holds: the state before entry `at`, whose log ended with `base` and `crc`. */
export interface Piece {
  readonly index: number
  readonly at: Offset
  readonly base: Epoch
  readonly crc: number
  /** No other follows. */
  readonly done: boolean
  readonly slice: Uint8Array
}

/** The fields of a piece, for the table of messageCodec(). */
export const PIECE = {
  ...({ index: 'whole', at: 'whole', base: 'epoch' } as const),
  ...({ crc: 'whole', done: 'flag', slice: 'bytes' } as const),
} as const

type CopyEffects = Pick<Effects<never>, 'openSnapshot' | 'readSnapshot' | 'closeSnapshot'>

/** The side that has the state. One for each taker; ids of snapshots are its own. */
export class CopyGiver {
  readonly #log: LogView
  readonly #bytesMax: number
  #id = 0
  #open = false
  #at = 0
  /** Pieces read so far; the newest one, unless it is being read. */
  #read = 0
  #piece: Piece | undefined

  /** `bytesMax`: of a slice, more or less. */
  constructor(log: LogView, bytesMax: number) {
    this.#log = log
    this.#bytesMax = bytesMax
  }

  /**
   * The taker has `held` pieces. Returns what to send now, or undefined: it is being read, and
   * onSnapshot() returns it. `applied`: what the log will have applied when this step's effects
   * have been carried out; a new copy begins there.
   */
  ask(held: number, applied: Offset, effects: CopyEffects): Piece | undefined {
    assert(applied >= 1, 'a copy begins where the state is')
    if (!this.#open) {
      this.#open = true
      this.#at = applied
      this.#read = 0
      effects.openSnapshot(0, ++this.#id)
    } else if (this.#piece === undefined || held <= this.#piece.index) return this.#piece
    this.#piece = undefined
    effects.readSnapshot(0, this.#id, this.#bytesMax)
    return undefined
  }

  /** What was read, to be sent; undefined if it is of another copy, or if this one has ended. */
  onSnapshot(
    { id, slice, state }: Extract<Input<never>, { kind: 'snapshot' }>,
    effects: CopyEffects,
  ): Piece | undefined {
    if (!this.#open || id !== this.#id) return undefined
    const at = this.#at
    const [base, crc] = [this.#log.epochBefore(at), this.#log.crcBefore(at)]
    // The log has moved on, or too much was changed meanwhile: from the beginning.
    if (base === undefined || crc === undefined || state === 'overflow') {
      this.end(effects)
      return undefined
    }
    this.#piece = { index: this.#read++, at, base, crc, done: state === 'done', slice }
    return this.#piece
  }

  /** The taker is gone, is another process, or has it all. */
  end(effects: CopyEffects): void {
    if (this.#open) effects.closeSnapshot(0, this.#id)
    this.#open = false
    this.#piece = undefined
  }
}

/** The side that fills its log and state anew. */
export class CopyTaker {
  /** Pieces that are here; 0 before the first and after the last one. */
  held = 0

  /**
   * Installs `piece` if it is the next one, or the first of another copy: then the old state and
   * log are gone, and the log ends at `piece.at`. False: it is none of these.
   */
  take(piece: Piece, effects: Pick<Effects<never>, 'install'>): boolean {
    const { index, at, base, crc, done, slice } = piece
    if (index !== 0 && index !== this.held) return false
    effects.install(0, at, slice, index === 0 ? { epoch: base, crc } : undefined)
    this.held = done ? 0 : index + 1
    return true
  }
}
