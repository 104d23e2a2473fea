/** Where nothing is broken every call succeeds, unless it asks for more copies than there are. */
import type { Call } from '../simulated-client.js'
import type { Checker, World } from './checker.js'
import { copiesFor } from './receipts.js'

/** Answers about the record, not about the cluster. */
const ANSWERS: readonly string[] = [
  'ALREADY_EXISTS',
  'VERSION_MISMATCH',
  'NOT_FOUND',
  'CACHE_FULL',
  'LIMIT',
]

/** `fromMs`, `inSyncMin`: calls begun before are passed over; what an `insync` needs. */
export function callsSucceed(world: World, fromMs: number, inSyncMin: number): Checker {
  let healed = false
  return {
    name: 'calls succeed',
    onHeal: () => {
      healed = true
    },
    onCallEnd(call: Call) {
      if (healed || call.outcome === 'ok' || call.startedAt < fromMs) return
      if (copiesFor(call.ack ?? 'insync', world.nodes, inSyncMin) > world.nodes) return
      const code = call.reply?.code
      if (code !== undefined && ANSWERS.includes(code)) return
      world.fail(
        'I20',
        `${call.kind} ${call.client}#${call.seq} ended ${call.outcome} (${code ?? 'deadline'}), ` +
          'though nothing was broken',
      )
    },
  }
}
