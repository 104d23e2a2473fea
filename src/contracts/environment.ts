/** What the outside world gives to the engine: time, chance and a place for log lines. */

export interface Clock {
  /** Monotonic milliseconds, fractions allowed. */
  now(): number
  /** Milliseconds since 1970; may jump either way. */
  wall(): number
  /** Calls `task` once, `delayMs` (>= 0) from now, never before it returns. */
  after(delayMs: number, task: () => void): Timer
}

export interface Timer {
  /** The task will not be called any more. Idempotent. */
  cancel(): void
}

/** Uniform numbers in [0, 1). Seeded everywhere but at the roof. */
export interface Random {
  next(): number
}

export interface Logger {
  debug(fields: Record<string, unknown>, text: string): void
  info(fields: Record<string, unknown>, text: string): void
  warn(fields: Record<string, unknown>, text: string): void
  error(fields: Record<string, unknown>, text: string): void
}
