/**
 * B1, B2: what a node shows of each key is what the writes that it was given make of it, at every
 * moment; and once all is quiet every node shows the same, made of all that any of them was given.
 * So nothing is lost that one of them holds, nothing comes back, and no version goes back.
 */
import { stampMs } from '../../core/hybrid-clock.js'
import type { Checker } from '../checkers/checker.js'
import type { SimulatedCluster } from '../cluster.js'
import type { SimulatedNode } from '../simulated-node.js'
import type { Held, HeldKey } from './held.js'
import type { Watch } from './watch.js'
import type { Write } from './writes.js'

const LOOK_EVERY = 5

export function recordsAreThoseGiven(cluster: SimulatedCluster, watch: Watch): Checker {
  let ticks = 0

  function look(node: SimulatedNode, held: Held, law: string): void {
    for (const [name, key] of held.keys) if (!watch.unjudged.has(name)) judge(node, held, key, law)
  }

  function judge(node: SimulatedNode, held: Held, key: HeldKey, law: string): void {
    const record = node.record(key.cache, key.key)
    const winner = held.winner(key)
    const what = `${key.cache}/${key.key} of ${node.life}`
    if (record === undefined) {
      if (winner !== undefined && !mayBeGone(winner.write, key, node, law === 'B1'))
        cluster.fail(law, `${what} is gone, though it was given ${nameOf(winner.write)}`)
      return
    }
    if (winner === undefined) cluster.fail(law, `${what} shows ${record.version}: ended or unknown`)
    if (record.version !== winner.write.stamp)
      cluster.fail(law, `${what} shows ${record.version}, not ${nameOf(winner.write)}`)
    if (law === 'B1' && record.value !== winner.write.value)
      cluster.fail(law, `${what} shows another value than ${nameOf(winner.write)}`)
    if (law === 'B1' && record.changed !== winner.changed)
      cluster.fail(law, `${what} was changed at ${record.changed}, not at ${winner.changed}`)
  }

  return {
    name: 'records are those given',
    onTick() {
      if (++ticks % LOOK_EVERY !== 0) return
      for (const node of cluster.live()) look(node, watch.of(node.life).held, 'B2')
    },
    onQuiet() {
      const all = watch.everything()
      for (const node of cluster.live()) look(node, all, 'B1')
      const [first, ...others] = cluster.live()
      for (const key of all.keys.values()) {
        const record = JSON.stringify(first.record(key.cache, key.key))
        for (const other of others)
          if (JSON.stringify(other.record(key.cache, key.key)) !== record)
            cluster.fail(
              'B1',
              `${key.cache}/${key.key} is another at ${other.id} than at ${first.id}`,
            )
      }
    },
  }
}

/** Its life is over here; or a touch that it got came too late to save it from an eviction, which
 *  is made good once records are compared. */
function mayBeGone(write: Write, key: HeldKey, node: SimulatedNode, isQuiet: boolean): boolean {
  if (!isQuiet && key.evictedOf >= write.stamp) return true
  let lifeMs = Number.POSITIVE_INFINITY
  for (const one of [write, ...key.touches]) {
    if (one !== write && one.base !== write.stamp) continue
    if (one.ttlMs > 0) lifeMs = Math.min(lifeMs, one.ttlMs)
    if (one.idleMs > 0) lifeMs = Math.min(lifeMs, one.idleMs)
  }
  return node.clusterTime() - stampMs(write.stamp) >= lifeMs
}

function nameOf({ stamp, life, kind }: Write): string {
  return `${kind} ${stamp} of ${life}`
}
