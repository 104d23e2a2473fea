/**
 * On the surviving side of a network split: compares what the losing side changed with what is
 * here, key by key, and says which commands make one state of both. It writes nothing itself: each
 * command is conditioned on the record that was compared, so that a write in between wins.
 *
 *   changed there only        theirs
 *   changed here only         mine
 *   changed on both           the user's function, else the newer value by cluster time; mine if
 *                             equally old, or if the log does not tell any more
 */
import { LIMITS } from '../config.js'
import type { Logger } from '../contracts/environment.js'
import type { MergeCounts, MergeFunction, MergeSide, Origin } from '../contracts/merge.js'
import type { LogStore, StateMachine, WholeRecord } from '../contracts/store.js'
import type { Offset } from '../contracts/types.js'
import { compareEpochs } from '../core/epochs.js'
import { Writer } from '../wire/bytes.js'
import { OP, writeMerged } from '../wire/command.js'
import { type MergeRecord, type PieceVisitor, readPiece } from '../wire/merge-records.js'
import { Suffix } from './merge-suffix.js'

export interface MergerEnv {
  readonly store: StateMachine
  readonly log: LogStore
  readonly logger: Logger
  readonly onMerge: MergeFunction | undefined
  /** One value. Default LIMITS.valueBytesMax. */
  readonly valueBytesMax?: number | undefined
  /** Cluster time in ms. */
  time(): number
}

const NO_LIFE = { deadline: 0, idleMs: 0, expiresAt: 0 }
const OUT = new Writer(65_536)

/** What this side has of a key. */
interface Mine {
  /** Undefined: absent, or past its life. */
  readonly record: WholeRecord | undefined
  /** The write that set it, or that removed it. Undefined: no entry since the common point did. */
  readonly origin: Origin | undefined
}

/** What the other side has: a record that lives, or a removal. */
interface Theirs {
  readonly record: MergeRecord | undefined
  readonly origin: Origin
}

export class Merger implements PieceVisitor {
  readonly #env: MergerEnv
  readonly #suffix: Suffix
  #commands: Uint8Array[] = []
  #merged = 0
  #discarded = 0
  #conflicts = 0

  constructor(
    env: MergerEnv,
    readonly id: number,
    from: Offset,
  ) {
    this.#env = env
    this.#suffix = new Suffix(env.log, from, false)
  }

  /** Takes in what the log has become; false: call again in another turn. */
  isReady(): boolean {
    return this.#suffix.read()
  }

  /** Only when ready, in the same turn. Throws PROTOCOL_ERROR for what is no piece. */
  decide(piece: Uint8Array): { commands: readonly Uint8Array[]; counts: MergeCounts } {
    this.#commands = []
    this.#merged = 0
    this.#discarded = 0
    this.#conflicts = 0
    const head = readPiece(piece, this)
    const [merged, discarded, conflicts] = [this.#merged, this.#discarded, this.#conflicts]
    const counts = { records: merged + discarded, merged, discarded, conflicts, ...head }
    return { commands: this.#commands, counts }
  }

  onRecord(cache: string, theirs: MergeRecord): void {
    const { key, expiresAt, origin } = theirs
    if (this.#suffix.repeats(origin)) {
      this.#merged++
      return
    }
    // Past its life: it took the place of what was before, and left nothing.
    if (expiresAt !== 0 && expiresAt <= this.#env.time())
      return this.#onKey(cache, key, { record: undefined, origin })
    const mine = this.#env.store.peek(cache, key)
    if (mine !== undefined && this.#isSameWrite(mine, theirs)) this.#onTouch(cache, mine, theirs)
    else if (theirs.version < this.#suffix.from) {
      // Touched there, set or removed here.
      this.#discarded++
      this.#conflicts++
    } else this.#onKey(cache, key, { record: theirs, origin })
  }

  onRemoved(cache: string, key: string, origin: Origin): void {
    this.#onKey(cache, key, { record: undefined, origin })
  }

  /** Both have the value that one write has set; where it was before the split, its offset says. */
  #isSameWrite(mine: WholeRecord, theirs: MergeRecord): boolean {
    const { from } = this.#suffix
    if (theirs.version < from) return mine.version === theirs.version
    if (mine.version < from || theirs.origin.offset === 0) return false
    const { epoch, offset } = this.#suffix.origin(mine.version)
    return offset === theirs.origin.offset && compareEpochs(epoch, theirs.origin.epoch) === 0
  }

  /** Only lives can differ. */
  #onTouch(cache: string, mine: WholeRecord, theirs: MergeRecord): void {
    if (sameLife(mine, theirs)) {
      this.#merged++
      return
    }
    const touchedHere = mine.changed >= this.#suffix.from && mine.changed !== mine.version
    if (touchedHere) this.#conflicts++
    if (touchedHere && this.#suffix.origin(mine.changed).time >= theirs.touchedAt) {
      this.#discarded++
      return
    }
    this.#merged++
    const { key, deadline, idleMs, expiresAt, origin, touchedAt } = theirs
    const merged = { deadline, idleMs, expiresAt, ...origin, time: touchedAt }
    this.#write(OP.touch, cache, key, { ifVersion: mine.version }, merged)
  }

  #onKey(cache: string, key: string, theirs: Theirs): void {
    if (this.#suffix.repeats(theirs.origin)) {
      this.#merged++
      return
    }
    const mine = this.#look(cache, key)
    if (isSameState(mine, theirs)) {
      this.#merged++
      return
    }
    const isNews = mine.record !== undefined || theirs.record !== undefined
    const isConflict = isNews && mine.origin !== undefined
    if (isConflict) this.#conflicts++
    const choice = isConflict ? this.#choose(cache, key, mine, theirs) : 'theirs'
    if (choice === 'mine') {
      this.#discarded++
      return
    }
    this.#merged++
    if (choice === 'theirs') this.#take(cache, key, mine, theirs)
    else this.#set(cache, key, mine, theirs, choice)
  }

  #look(cache: string, key: string): Mine {
    const suffix = this.#suffix
    const record = this.#env.store.peek(cache, key)
    if (record === undefined) return { record, origin: suffix.removal(cache, key) }
    const origin = record.version < suffix.from ? undefined : suffix.origin(record.version)
    const isOver = record.expiresAt !== 0 && record.expiresAt <= this.#env.time()
    return { record: isOver ? undefined : record, origin }
  }

  #choose(cache: string, key: string, mine: Mine, theirs: Theirs): 'mine' | 'theirs' | Uint8Array {
    const { onMerge, logger, valueBytesMax = LIMITS.valueBytesMax } = this.#env
    const newest = isNewer(theirs, mine) ? 'theirs' : 'mine'
    if (onMerge === undefined) return newest
    try {
      const choice = onMerge(
        cache,
        key,
        sideOf(mine.record, mine.origin),
        sideOf(theirs.record, theirs.origin),
      )
      if (choice === 'mine' || choice === 'theirs') return choice
      if (choice instanceof Uint8Array && choice.length <= valueBytesMax) return choice
      logger.warn({ cache }, "onMerge answered neither 'mine', 'theirs' nor a value that fits")
    } catch (error) {
      logger.warn({ cache, error: String(error) }, 'onMerge threw')
    }
    return newest
  }

  /** This side becomes what theirs is. */
  #take(cache: string, key: string, mine: Mine, theirs: Theirs): void {
    const { record, origin } = theirs
    if (record !== undefined)
      return this.#set(cache, key, mine, theirs, Buffer.from(record.value, 'latin1'))
    // What is absent is removed all the same: a third side may have an older value of it.
    const ifVersion = mine.record?.version ?? 0
    this.#write(OP.delete, cache, key, { ifVersion }, { ...NO_LIFE, ...origin })
  }

  #set(cache: string, key: string, mine: Mine, theirs: Theirs, value: Uint8Array): void {
    const life = (isNewer(theirs, mine) ? theirs.record : mine.record) ?? theirs.record
    const { deadline, idleMs, expiresAt } = life ?? mine.record ?? NO_LIFE
    const time = Math.max(theirs.origin.time, mine.origin?.time ?? 0)
    const condition =
      mine.record === undefined ? { ifAbsent: true } : { ifVersion: mine.record.version }
    const merged = { deadline, idleMs, expiresAt, ...theirs.origin, time }
    this.#write(OP.set, cache, key, condition, merged, value)
  }

  #write(
    op: Parameters<typeof writeMerged>[1],
    cache: string,
    key: string,
    condition: Parameters<typeof writeMerged>[4],
    merged: Parameters<typeof writeMerged>[5],
    value?: Uint8Array,
  ): void {
    OUT.reset()
    writeMerged(OUT, op, cache, key, condition, merged)
    if (value !== undefined) OUT.bytes(value)
    this.#commands.push(OUT.copy())
  }
}

/** By cluster time; what nothing changed since the common point is older than anything. */
function isNewer(theirs: Theirs, mine: Mine): boolean {
  if (mine.origin === undefined) return true
  return mine.origin.offset !== 0 && theirs.origin.time > mine.origin.time
}

/** Changed on both sides to the same, or removed here no earlier. */
function isSameState(mine: Mine, theirs: Theirs): boolean {
  if (mine.origin === undefined) return false
  if (theirs.record === undefined) return mine.record === undefined && !isNewer(theirs, mine)
  if (mine.record?.value !== theirs.record.value) return false
  return sameLife(mine.record, theirs.record)
}

function sameLife(a: typeof NO_LIFE, b: typeof NO_LIFE): boolean {
  return a.deadline === b.deadline && a.idleMs === b.idleMs && a.expiresAt === b.expiresAt
}

function sideOf(
  record: WholeRecord | MergeRecord | undefined,
  origin: Origin | undefined,
): MergeSide | undefined {
  if (record === undefined) return undefined
  const { value, expiresAt } = record
  return { value: Buffer.from(value, 'latin1'), time: origin?.time ?? 0, expiresAt }
}
