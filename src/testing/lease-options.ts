/** What befalls the store of leases, by seed; from a stream of its own, as the other draws are. */
import { seededRandom } from '../core/prng.js'
import { FAULTLESS } from './leases.js'
import type { SimulationOptions } from './swarm.js'

/** In a third of the seeds nothing befalls the store; clocks run up to 8 % fast or slow in all. */
export function drawLease(options: SimulationOptions): void {
  const random = seededRandom(options.seed ^ 0x1ea5e)
  options.lease = { ...FAULTLESS, latencyMsMax: random.pick([1, 5]) }
  if (options.style !== 'clocks')
    for (const clock of options.clocks)
      clock.rate = random.pick([0.92, 1.08, 0.95 + random.next() * 0.1])
  if (random.chance(0.33)) return
  options.lease = {
    ttlMs: random.pick([1_000, 2_000]),
    latencyMsMax: random.pick([5, 20, 50]),
    loss: random.pick([0, 0.02, 0.2]),
    late: random.pick([0, 0.1, 0.5]),
    cuts: random.pick([0, 0.1, 0.3]),
    aways: random.pick([0, 0.05, 0.2]),
    awayMsMax: random.pick([3_000, 8_000]),
    forgets: random.pick([0, 0, 0.5]),
  }
  options.steadyAfterMs = undefined
  options.calmAfterMs = undefined
}
