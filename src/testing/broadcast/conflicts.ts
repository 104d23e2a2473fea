/**
 * B10: a node counts its writes that a concurrent one replaced: the later one's origin had not met
 * them. By a log each such pair is counted, and nothing else. Where records are compared there are
 * bounds only: a slice says of all its records at once what its sender had met, which may be less
 * than their origins had, and a write in between hides the one that it replaced.
 */
import type { Checker } from '../checkers/checker.js'
import type { SimulatedCluster } from '../cluster.js'
import type { Watch } from './watch.js'

export function conflictsAreCounted(
  cluster: SimulatedCluster,
  watch: Watch,
  step: number,
): Checker {
  watch.onGiven.push((to, write, how) => {
    if (how === 'own' || (write.kind !== 'set' && write.kind !== 'delete')) return
    const { ordinal } = to.life
    if (write.stamp % step === ordinal) return
    const key = to.held.key(write.cache, write.key)
    const winner = to.held.winner(key)
    const latest = Math.max(key.set?.stamp ?? 0, key.ended)
    if (latest === 0 || latest % step !== ordinal) return
    if (latest >= write.stamp || (how === 'log' && write.base >= latest)) return
    to.lostAtMost++
    // What has expired or was deleted may be forgotten by now.
    const isThere = winner?.write.stamp === latest && !isMortalName(write.cache)
    if (how === 'log' && isThere && key.evicted === 0) to.lostAtLeast++
  })
  return {
    name: 'conflicts are counted',
    onTick() {
      for (const node of cluster.live()) {
        const { life } = node
        const { lostAtLeast, lostAtMost } = watch.of(life)
        const counted = node.stamped?.conflicts ?? 0
        if (counted < lostAtLeast || counted > lostAtMost)
          cluster.fail(
            'B10',
            `${life} counts ${counted} conflicts, not ${lostAtLeast} to ${lostAtMost}`,
          )
      }
    },
  }
}

function isMortalName(cache: string): boolean {
  return cache.startsWith('mortal')
}
