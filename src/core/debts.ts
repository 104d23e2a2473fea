/**
 * What callers owe for what went wrong with them, by key: each fault adds one, time forgives
 * steadily, and the key that was touched longest ago is forgotten beyond the bound (KIP-306).
 */
interface Debt {
  /** A fraction, since time forgives steadily. */
  faults: number
  atMs: number
}

export interface DebtLimits {
  /** More are not counted. */
  readonly faultsMax: number
  readonly forgivenPerMinute: number
  readonly keysMax: number
}

export class Debts {
  readonly #limits: DebtLimits
  /** The one that was touched longest ago first. */
  readonly #debts = new Map<string, Debt>()

  constructor(limits: DebtLimits) {
    this.#limits = limits
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#debts.size
  }

  /** Faults of `key` that are not forgiven yet. */
  of(key: string, nowMs: number): number {
    const debt = this.#debts.get(key)
    if (debt === undefined) return 0
    const minutes = (nowMs - debt.atMs) / 60_000
    return Math.max(0, debt.faults - minutes * this.#limits.forgivenPerMinute)
  }

  /** Counts one more; returns what was owed before it. */
  add(key: string, nowMs: number): number {
    const { faultsMax, keysMax } = this.#limits
    const before = this.of(key, nowMs)
    this.#debts.delete(key)
    this.#debts.set(key, { faults: Math.min(before + 1, faultsMax), atMs: nowMs })
    for (const oldest of this.#debts.keys()) {
      if (this.#debts.size <= keysMax) break
      this.#debts.delete(oldest)
    }
    return before
  }

  forget(key: string): void {
    this.#debts.delete(key)
  }
}
