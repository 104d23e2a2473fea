/**
 * The load generator, a process of its own: K loops, each with one call in flight, go over the keys
 * until the time is up. It is told by messages (harness.ts) and answers each with one.
 */
import type { LoadOptions, RunOptions, RunResult } from './harness.js'
import { percentile, roundMs, Samples } from './statistics.js'
import { type Call, openTarget, type Target } from './targets.js'

/** With many in flight, one call of 8 is timed: a clock read costs a tenth of a fast call. */
const TIMED_MASK = 7
/** Walks all keys in an order that no cache line guesses; shares no divisor with 1,000. */
const STRIDE = 617

let target: Target
let keys: string[] = []

async function open({ target: where, keys: count, valueBytes }: LoadOptions): Promise<void> {
  target = await openTarget(where, valueBytes)
  keys = Array.from({ length: count }, (_, i) => `key:${i}`)
  await Promise.all(keys.map(target.call('set')))
  const found = await Promise.all(keys.map(target.call('get')))
  const short = found.filter(value => (value as string | undefined)?.length !== valueBytes)
  if (short.length > 0) throw new Error(`${short.length} of ${count} keys came back wrong`)
}

async function run({ work, inFlight, ms }: RunOptions): Promise<RunResult> {
  const samples = new Samples()
  const call = target.call(work)
  const mask = inFlight === 1 ? 0 : TIMED_MASK
  const began = performance.now()
  const until = began + ms
  const counts = await Promise.all(
    Array.from({ length: inFlight }, (_, lane) => drive(call, lane, mask, until, samples)),
  )
  const seconds = (performance.now() - began) / 1_000
  const sorted = samples.sorted()
  return {
    opsPerSec: Math.round(counts.reduce((sum, count) => sum + count, 0) / seconds),
    p50Ms: roundMs(percentile(sorted, 0.5)),
    p99Ms: roundMs(percentile(sorted, 0.99)),
  }
}

async function drive(
  call: Call,
  lane: number,
  mask: number,
  until: number,
  samples: Samples,
): Promise<number> {
  let at = (lane * 31) % keys.length
  // Lanes time their calls in turn, or all would read the clock in the same one.
  let count = 0
  for (;;) {
    at = (at + STRIDE) % keys.length
    if (((count + lane) & mask) === 0) {
      const began = performance.now()
      await call(keys[at])
      const ended = performance.now()
      samples.add(ended - began)
      if (ended >= until) return count + 1
    } else await call(keys[at])
    count++
  }
}

process.on('message', (message: { open?: LoadOptions; run?: RunOptions }) => {
  const work = message.open ? open(message.open) : run(message.run as RunOptions)
  work.then(
    result => process.send?.({ result }),
    (error: Error) => process.send?.({ error: error.message }),
  )
})
// The benchmark is gone: so is the reason to be here.
process.on('disconnect', () => process.exit(0))
