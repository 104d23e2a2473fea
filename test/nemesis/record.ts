/**
 * What clients saw: every write with its start, end, outcome and receipt, on the one clock of this
 * process. Verdicts are drawn from these records alone, never from what nodes say of themselves.
 */
import type { WriteReceipt } from '../../src/contracts/cache.js'
import { GcacheError } from '../../src/errors.js'

export type Outcome = 'ok' | 'rejected' | 'unknown'

/** Times in ms of performance.now(). */
export interface Write {
  readonly client: string
  readonly key: string
  readonly value: unknown
  readonly startMs: number
  endMs: number
  outcome: Outcome
  /** With outcome ok. Deletes return none, so theirs is that of their client's latest set. */
  receipt: WriteReceipt | undefined
  /** The error's code, without outcome ok. */
  code: string | undefined
}

/** An acknowledged write, as figures and overlaps need it. */
export type Ack = Pick<Write, 'startMs' | 'endMs'> & { readonly receipt: WriteReceipt }

export class Recorder {
  calls = 0
  acked = 0
  unknown = 0
  rejected = 0
  longestCallMs = 0
  /** Failed calls by code. */
  readonly codes = new Map<string, number>()
  /** In the order of their ends. */
  readonly acks: Ack[] = []
  readonly #latest = new Map<string, WriteReceipt>()

  /** The node that acknowledged last: `epoch = counter * 256 + ordinal`. */
  get masterOrdinal(): number | undefined {
    const last = this.acks.at(-1)
    return last === undefined ? undefined : last.receipt.epoch % 256
  }

  /** Runs a write and notes how it ended. Only what is no GcacheError is thrown. */
  async write(
    client: string,
    key: string,
    value: unknown,
    call: () => Promise<WriteReceipt | boolean>,
  ): Promise<Write> {
    const startMs = performance.now()
    const write: Write = {
      client,
      key,
      value,
      startMs,
      endMs: Number.POSITIVE_INFINITY,
      outcome: 'unknown',
      receipt: undefined,
      code: undefined,
    }
    this.calls++
    try {
      const answer = await call()
      write.outcome = 'ok'
      write.receipt = typeof answer === 'boolean' ? this.#latest.get(client) : answer
    } catch (error) {
      if (!(error instanceof GcacheError)) throw error
      write.outcome = error.outcome ?? 'unknown'
      write.code = error.code
    }
    write.endMs = performance.now()
    this.#count(write)
    return write
  }

  /** A read; undefined if it failed, else what it gave. */
  async read<T>(call: () => Promise<T>): Promise<{ value: T } | undefined> {
    const startMs = performance.now()
    this.calls++
    try {
      return { value: await call() }
    } catch (error) {
      if (!(error instanceof GcacheError)) throw error
      this.#countCode(error.code)
      return undefined
    } finally {
      this.longestCallMs = Math.max(this.longestCallMs, performance.now() - startMs)
    }
  }

  #count(write: Write): void {
    const { startMs, endMs, outcome, receipt } = write
    this.longestCallMs = Math.max(this.longestCallMs, endMs - startMs)
    if (outcome === 'ok') {
      this.acked++
      if (receipt === undefined) return
      this.acks.push({ startMs, endMs, receipt })
      this.#latest.set(write.client, receipt)
      return
    }
    if (outcome === 'unknown') this.unknown++
    else this.rejected++
    this.#countCode(write.code ?? 'none')
  }

  #countCode(code: string): void {
    this.codes.set(code, (this.codes.get(code) ?? 0) + 1)
  }
}
