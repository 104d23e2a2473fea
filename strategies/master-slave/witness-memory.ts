/**
 * What a witness must not forget: its history, whether it votes, the highest epoch promised and the
 * last entry acked. Held durably before anything that depends on it is said.
 */
import type { StrategyEnv } from '../../src/contracts/strategy.js'
import type { Epoch, Offset } from '../../src/contracts/types.js'
import { compareEpochs, isBetterLog, NO_EPOCH } from '../../src/core/epochs.js'
import { GcacheError } from '../../src/errors.js'
import { checkFields, packMessage, unpackMessage } from '../../src/wire/control.js'
import type { LogFacts, Message } from './messages.js'
import { GROUP, type Sink } from './state.js'
import { isLess, type Stated } from './stated.js'

/** The first byte of the note; grows with its layout. */
const NOTE_VERSION = 1

export class WitnessMemory {
  history = ''
  incarnation: string
  voter = false
  promised: Epoch = NO_EPOCH
  lastEpoch: Epoch = NO_EPOCH
  next: Offset = 1
  readonly #process: string

  /** Takes up what an earlier process left. Throws CONFIG for a note that is none. */
  constructor(env: StrategyEnv) {
    this.incarnation = env.incarnation
    this.#process = env.incarnation
    if (env.note !== undefined) this.#recall(env.note)
  }

  isOf(history: string): boolean {
    return this.history === '' || history === '' || this.history === history
  }

  promise(effects: Sink, epoch: Epoch): void {
    if (compareEpochs(epoch, this.promised) <= 0) return
    this.promised = epoch
    // Without a vote nothing hangs on it, and a note would make the next process an old one.
    if (this.voter) this.#save(effects)
  }

  /** The log goes up to `m.next`; said by its master. */
  note(effects: Sink, m: { lastEpoch: Epoch; next: Offset }): void {
    this.lastEpoch = m.lastEpoch
    this.next = m.next
    this.#save(effects)
  }

  /** It may vote from now on, and never for a log that is worse than this one. */
  admit(effects: Sink, m: Extract<Message, { type: 'admit' }>): void {
    if (this.voter) return
    this.voter = true
    this.history = m.history
    this.note(effects, m)
  }

  /** Takes up what it had said and does not know; from then on it votes only once it is admitted.
   *  False if it knows all that. */
  forget(effects: Sink, stated: Stated): boolean {
    if (!isLess(this, stated)) return false
    if (compareEpochs(stated.promised, this.promised) > 0) this.promised = stated.promised
    const { lastEpoch, next } = stated
    if (isBetterLog(lastEpoch, next, this.lastEpoch, this.next)) {
      this.lastEpoch = lastEpoch
      this.next = next
    }
    this.voter = false
    // The process that the note names may be in the charter of its history.
    this.incarnation = this.#process
    this.#save(effects)
    return true
  }

  /** Its history was forced anew: it knows nothing of that one yet, and has no vote in it. What it
   *  noted goes when it is admitted; until then the note is that of the old one. */
  forsake(): void {
    this.history = ''
    this.voter = false
    this.lastEpoch = NO_EPOCH
    this.next = 1
  }

  facts(): LogFacts {
    const { incarnation, history, lastEpoch, next, voter } = this
    return { data: 'ready', incarnation, history, starts: [], lastEpoch, next, commit: 1, voter }
  }

  #save(effects: Sink): void {
    const { history, incarnation, voter, next } = this
    const promised = [this.promised.number, this.promised.incarnation]
    const lastEpoch = [this.lastEpoch.number, this.lastEpoch.incarnation]
    const note = packMessage(NOTE_VERSION, {
      history,
      incarnation,
      voter,
      next,
      promised,
      lastEpoch,
    })
    effects.persist(GROUP, this.promised, note)
  }

  #recall(note: Uint8Array): void {
    const kept = keptIn(note)
    this.history = kept.history as string
    this.incarnation = kept.incarnation as string
    this.voter = kept.voter as boolean
    this.next = kept.next as number
    this.promised = epochOf(kept.promised)
    this.lastEpoch = epochOf(kept.lastEpoch)
  }
}

/** The fields of a note, each of its kind. */
function keptIn(note: Uint8Array): Record<string, unknown> {
  try {
    const kept = unpackMessage(note)
    checkFields(kept, {
      history: 'text',
      incarnation: 'text',
      voter: 'flag',
      next: 'whole',
      promised: 'list',
      lastEpoch: 'list',
    })
    if (note[0] === NOTE_VERSION && isIncarnation(kept.incarnation) && kept.next !== 0) return kept
  } catch (cause) {
    throw new GcacheError('CONFIG', DAMAGED, { cause })
  }
  throw new GcacheError('CONFIG', DAMAGED)
}

const DAMAGED = 'the witness file holds no note of this version: it is damaged'

function isIncarnation(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{16}$/.test(value)
}

function epochOf(value: unknown): Epoch {
  const [number, incarnation] = value as unknown[]
  if (!Number.isSafeInteger(number) || !isIncarnation(incarnation))
    throw new GcacheError('CONFIG', 'the witness file holds no epoch: it is damaged')
  return { number: number as number, incarnation: incarnation as string }
}
