/** Unavailability: times without an acknowledged write, as a whole and after each kind of fault. */
import type { Ack } from './record.js'
import type { Mark } from './schedule.js'

/** Shorter pauses belong to the load itself and to a busy machine. */
const GAP_MS_MIN = 100

export interface Spread {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export interface Unavailable {
  /** The longest time without an acknowledged write. */
  readonly longest: number
  /** All such times of at least 100 ms. */
  readonly total: number
  /** From a fault to the end of the first acknowledged write that began after it. */
  readonly byFault: Record<string, Spread>
}

/** `acks` in the order of their ends. All in ms. */
export function unavailability(acks: readonly Ack[], marks: readonly Mark[]): Unavailable {
  let longest = 0
  let total = 0
  for (let i = 1; i < acks.length; i++) {
    const gap = acks[i].endMs - acks[i - 1].endMs
    longest = Math.max(longest, gap)
    if (gap >= GAP_MS_MIN) total += gap
  }
  const times = new Map<string, number[]>()
  for (const { name, atMs } of marks) {
    const next = acks.find(ack => ack.startMs >= atMs)
    if (next === undefined) continue
    const list = times.get(name)
    if (list === undefined) times.set(name, [next.endMs - atMs])
    else list.push(next.endMs - atMs)
  }
  const byFault = Object.fromEntries([...times].map(([name, list]) => [name, spread(list)]))
  return { longest: Math.round(longest), total: Math.round(total), byFault }
}

function spread(list: readonly number[]): Spread {
  const sorted = [...list].sort((a, b) => a - b)
  const at = (part: number) =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))])
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) }
}
