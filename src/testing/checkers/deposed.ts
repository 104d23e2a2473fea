/**
 * I27: where W + P > N, no read of mode master is answered in an epoch when, before it was asked, a
 * write of a higher one was acknowledged. Whom the others have left has fallen silent by then: he
 * needs a majority that hears him, and it follows another only later (PROTOCOL 9).
 */
import type { Call } from '../simulated-client.js'
import type { Checker, World } from './checker.js'

export function theDeposedAreSilent(world: World): Checker {
  /** Epochs in which writes were acknowledged, the highest last, each from `at` on. */
  const acked: { readonly epoch: number; readonly at: number }[] = []
  return {
    name: 'the deposed are silent',
    onCallEnd({ kind, read = 'master', outcome, reply, startedAt, key }: Call) {
      if (outcome !== 'ok' || reply === undefined) return
      const { epoch, from } = reply
      if (kind !== 'get') {
        const highest = acked.at(-1)?.epoch ?? 0
        if (reply.kind === 'written' && epoch > highest) acked.push({ epoch, at: world.now() })
        return
      }
      if (read !== 'master') return
      const newer = acked.find(one => one.epoch > epoch && one.at < startedAt)
      if (newer !== undefined)
        world.fail(
          'I27',
          `${from} answered a read of ${key}, asked at ${startedAt}, in epoch ${epoch}, and at ` +
            `${newer.at} a write was acknowledged in ${newer.epoch}`,
        )
    },
  }
}
