/**
 * Histories of the shared registers, a file a key, for `npm run lincheck -- DIR`. A line is one
 * call: `{client, key, kind, value, expected, startMs, endMs, outcome, result}`. Null is absence.
 * `fail`: surely without effect. A compare-and-set that met another version is `ok` with result
 * false: versions and values go together, because every value is written once.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Write } from './record.js'

export interface HistoryCall {
  readonly client: string
  readonly key: string
  readonly kind: 'read' | 'write' | 'cas' | 'delete'
  /** What a write or compare-and-set puts there. */
  readonly value?: unknown
  /** What a compare-and-set had read: it asked for its version, and every value is unique. */
  readonly expected?: unknown
  readonly startMs: number
  /** For outcome unknown: when the client gave up; it may take effect later. */
  readonly endMs: number
  readonly outcome: 'ok' | 'fail' | 'unknown'
  /** What a read found; false for a compare-and-set that met another value; an error's code. */
  readonly result?: unknown
}

export class Histories {
  readonly #calls = new Map<string, HistoryCall[]>()

  add(call: HistoryCall): void {
    const calls = this.#calls.get(call.key)
    if (calls === undefined) this.#calls.set(call.key, [call])
    else calls.push(call)
  }

  callsOf(key: string): number {
    return this.#calls.get(key)?.length ?? 0
  }

  get keys(): string[] {
    return [...this.#calls.keys()]
  }

  /** Writes `folder`/KEY.jsonl, slashes as dashes; makes the folder. */
  save(folder: string): void {
    mkdirSync(folder, { recursive: true })
    for (const [key, calls] of this.#calls) {
      const lines = [...calls].sort((a, b) => a.startMs - b.startMs).map(call => line(call))
      writeFileSync(join(folder, `${key.replaceAll('/', '-')}.jsonl`), lines.join(''))
    }
  }
}

/** A condition that did not hold is an answer: it says what was not there. */
const NOT_SO = new Set(['VERSION_MISMATCH', 'ALREADY_EXISTS', 'NOT_FOUND'])

/** The fields of a history that a write has. */
export function timed(write: Write): Pick<HistoryCall, 'startMs' | 'endMs' | 'outcome' | 'result'> {
  const { startMs, endMs, outcome, code } = write
  if (outcome === 'rejected' && code !== undefined && NOT_SO.has(code))
    return { startMs, endMs, outcome: 'ok', result: false }
  const result = code === undefined ? {} : { result: code }
  return { startMs, endMs, outcome: outcome === 'rejected' ? 'fail' : outcome, ...result }
}

function line(call: HistoryCall): string {
  return `${JSON.stringify(call)}\n`
}
