/** What one clear may cost whoever offers conflicts: all that it wiped is counted, some offered. */
import { describe, expect, it } from 'vitest'
import { type ConflictsEnv, offerConflicts } from '../src/conflicts.js'
import { firstStampOf } from '../src/core/hybrid-clock.js'
import { StampedStore } from '../src/store/stamped.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { encodeBatch } from '../src/wire/batch.js'
import { Writer } from '../src/wire/bytes.js'
import { writeClear } from '../src/wire/clears.js'
import { writeSet } from '../src/wire/command.js'

const STEP = 4
const FIRST = firstStampOf(1_700_000_000_000)
const EPOCH = { number: 1, incarnation: 'a'.repeat(16) }

class Loser {
  readonly store = new StampedStore({ self: 0, step: STEP, salt: 'test' })
  readonly #clock = new VirtualClock()
  readonly #out = new Writer()
  #next = 1
  asked = 0
  told = 0

  constructor() {
    const env = { clock: this.#clock, onConflict: () => void this.asked++, tell: () => this.told++ }
    offerConflicts(this.store, env as unknown as ConflictsEnv)
  }

  set(key: string, value: Uint8Array): void {
    const bytes = this.#written(out => writeSet(out, 'c', key, value, {}))
    const entry = { id: 1, ack: 'none', client: null, seq: 0, bytes, start: 0 } as const
    const stamp = FIRST + this.#next * STEP
    const proposals = [{ ...entry, end: bytes.length }]
    this.store.apply(encodeBatch(EPOCH, this.#next++, stamp, 0, proposals))
  }

  /** By the origin with ordinal 1, which had met the first `met` of them. */
  clear(met: number): void {
    const upto = FIRST + met * STEP
    const bytes = this.#written(out => writeClear(out, 'c', [{ ordinal: 0, upto }]))
    const entry = { id: 1, ack: 'none', client: null, seq: 0, bytes, start: 0 } as const
    const stamp = FIRST + this.#next * STEP + 1
    const proposals = [{ ...entry, end: bytes.length }]
    this.store.face(2).apply(encodeBatch(EPOCH, 1, stamp, 0, proposals))
    while (this.#clock.step()) {}
  }

  #written(write: (out: Writer) => void): Uint8Array {
    this.#out.reset()
    write(this.#out)
    return this.#out.copy()
  }
}

describe('a clear that had not met the writes it wipes', () => {
  it('loses each of those, and none that it had met', () => {
    const loser = new Loser()
    for (let i = 0; i < 10; i++) loser.set(`k${i}`, Buffer.from('x'))
    loser.clear(4)
    expect(loser.store.stats().entries).toBe(0)
    expect([loser.store.conflicts, loser.asked, loser.told]).toEqual([6, 6, 6])
  })

  it('offers 10,000 of a turn at most', () => {
    const loser = new Loser()
    for (let i = 0; i < 10_002; i++) loser.set(`k${i}`, Buffer.from('x'))
    loser.clear(0)
    expect([loser.store.conflicts, loser.asked, loser.told]).toEqual([10_002, 10_000, 10_000])
  })

  it('offers 64 MiB of values at most', () => {
    const loser = new Loser()
    const value = Buffer.alloc(2 ** 23)
    for (let i = 0; i < 10; i++) loser.set(`k${i}`, value)
    loser.clear(0)
    expect([loser.store.conflicts, loser.asked]).toEqual([10, 8])
  })
})
