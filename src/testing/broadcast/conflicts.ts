/**
 * B10: a node counts its writes that a concurrent one replaced, or a clear wiped: the later one's
 * origin had not met them. By a log each such pair is counted, and nothing else. Where records are
 * compared there are bounds only: a slice says of all its records at once what its sender had met,
 * which may be less than their origins had, and a write in between hides the one that it replaced.
 */
import type { Checker } from '../checkers/checker.js'
import type { SimulatedCluster } from '../cluster.js'
import type { Watch, Watched } from './watch.js'
import type { Write } from './writes.js'

export function conflictsAreCounted(
  cluster: SimulatedCluster,
  watch: Watch,
  step: number,
): Checker {
  watch.onGiven.push((to, write, how) => {
    const { ordinal } = to.life
    if (how === 'own' || write.stamp % step === ordinal) return
    if (write.kind === 'clear') return wiped(to, write, how, step)
    if (write.kind !== 'set' && write.kind !== 'delete') return
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

/** A clear is given to `to`: those of its own records that it wipes are lost, unless it knew. */
function wiped(to: Watched, clear: Write, how: 'log' | 'compared', step: number): void {
  const { ordinal } = to.life
  const knew = clear.knew.get(ordinal) ?? 0
  for (const key of to.held.keys.values()) {
    const { set } = key
    if (key.cache !== clear.cache || set === undefined || set.stamp % step !== ordinal) continue
    if (set.stamp > clear.stamp || (how === 'log' && set.stamp <= knew)) continue
    to.lostAtMost++
    const isThere = to.held.winner(key) !== undefined && !isMortalName(key.cache)
    if (how === 'log' && isThere && key.evicted === 0) to.lostAtLeast++
  }
}

function isMortalName(cache: string): boolean {
  return cache.startsWith('mortal')
}
