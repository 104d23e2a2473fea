/**
 * What a strategy says of itself, judged once before its node is anybody's: ready(), the command
 * `gcache status` and the banner of a server take it at its word.
 */
import { z } from 'zod'
import type { StrategyStatus } from './contracts/strategy.js'
import { isPromise } from './engine/strategy-answers.js'
import { GcacheError } from './errors.js'
import { type Given, judgeOf } from './strategy-made.js'

const count = z.number()
const counts = z.record(z.string(), count)

const memberSchema = z.looseObject({
  id: z.string(),
  ordinal: count,
  role: z.enum(['master', 'slave', 'witness']),
  state: z.string(),
  offset: count,
  lag: count,
  address: z.string(),
})

const statusSchema = z.looseObject({
  strategy: z.string(),
  profile: z.string(),
  guarantee: z.string(),
  epoch: count,
  history: z.string(),
  view: count.optional(),
  master: z.string().optional(),
  conflicts: count.optional(),
  self: memberSchema,
  members: z.array(memberSchema),
  partitions: z
    .looseObject({
      ...{ number: count, backups: count, unowned: count, moving: count },
      ...{ owned: counts, copies: counts, inSync: counts, lost: z.array(count) },
    })
    .optional(),
})

/** CONFIG for a status() that throws, or whose answer is none: whoever waits for a node asks it. */
export function checkStatus(given: Given, status: () => StrategyStatus): void {
  const refused = judgeOf(given)
  let answer: unknown
  try {
    answer = status()
  } catch (error) {
    throw refused('its status() threw', error instanceof GcacheError ? error.cause : error)
  }
  if (isPromise(answer)) throw refused('its status() returned a promise: make it synchronous')
  const result = statusSchema.safeParse(answer)
  if (result.success) return
  const [{ path, message }] = result.error.issues
  const place = path.length === 0 ? '' : `${path.join('.')}: `
  throw refused(`its status() returned no status: ${place}${message.replace(/^Invalid \w+: /, '')}`)
}
