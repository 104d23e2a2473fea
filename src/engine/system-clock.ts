/** The machine's clock, the only timers below the roof. */
import { performance } from 'node:perf_hooks'
import type { Clock, Timer } from '../contracts/environment.js'

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(delayMs: number, task: () => void): Timer {
    if (delayMs <= 0) {
      const soon = setImmediate(task)
      return { cancel: () => clearImmediate(soon) }
    }
    const timer = setTimeout(task, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
}
