/** B5: whoever says that it holds an origin's entries does. */
import { compareEpochs } from '../../core/epochs.js'
import { type Known, originOfLife } from '../../core/version-vector.js'
import type { Checker } from '../checkers/checker.js'
import type { SimulatedCluster } from '../cluster.js'
import type { Life } from '../life.js'
import type { Held } from './held.js'
import type { Watch } from './watch.js'
import { isMortal, type Write } from './writes.js'

export function vectorsAreTrue(cluster: SimulatedCluster, watch: Watch): Checker {
  /** What was said since a life's last step, and what was found true, by origin. */
  const said = new Map<Life, readonly Known[]>()
  const proved = new Map<Life, Map<number, Known>>()

  function judge(life: Life, known: Known): void {
    const ordinal = originOfLife(known.life)
    const mine = proved.get(life) ?? new Map<number, Known>()
    proved.set(life, mine)
    const before = mine.get(ordinal)
    if (before === known) return
    mine.set(ordinal, known)
    if (ordinal === life.ordinal) return
    const isNext =
      before !== undefined &&
      compareEpochs(before.life, known.life) === 0 &&
      before.from === known.from
    for (const write of isNext
      ? added(cluster, watch, known, before)
      : claimed(cluster, watch, known))
      if (!watch.unjudged.has(`${write.cache}/${write.key}`) && lacks(watch.of(life).held, write))
        cluster.fail(
          'B5',
          `${life} says that it holds ${ordinal} up to ${known.next}, and lacks a ${write.kind}`,
        )
  }

  return {
    name: 'vectors are true',
    onSend(life, message) {
      const { type, vector } = message as { type: string; vector?: readonly Known[] }
      if (type === 'heartbeat' && vector !== undefined) said.set(life, vector)
    },
    onInput(life) {
      const vector = said.get(life)
      if (vector === undefined) return
      said.delete(life)
      for (const known of vector) judge(life, known)
    },
    onEnd(life) {
      said.delete(life)
      proved.delete(life)
    },
    onInstall(life, _group, _at, _slice, first) {
      if (!first) return
      said.delete(life)
      proved.delete(life)
    },
  }
}

/** What somebody has replaced or ended is no one's to hold any more. */
function lacks(held: Held, write: Write): boolean {
  if (write.kind === 'set' && (write.over || isMortal(write))) return false
  return !held.includes(write)
}

function* added(
  cluster: SimulatedCluster,
  watch: Watch,
  known: Known,
  before: Known,
): Iterable<Write> {
  const { incarnation } = known.life
  const ordinal = originOfLife(known.life)
  const life = cluster
    .lives()
    .find(one => one.ordinal === ordinal && one.incarnation === incarnation)
  if (life === undefined) return
  const writes = watch.writes.ofLife(life)
  for (let offset = before.next; offset < known.next; offset++) {
    const write = writes.get(offset)
    if (write !== undefined) yield write
  }
}

/** By offset and by stamp. Who begins alone, its clock set back, or behind one that its earlier
 *  life followed, may be born below what that wrote: what nobody holds any more does no harm. */
function* claimed(cluster: SimulatedCluster, watch: Watch, known: Known): Iterable<Write> {
  for (const life of cluster.lives()) {
    if (life.ordinal !== originOfLife(known.life)) continue
    const isThis = life.incarnation === known.life.incarnation
    for (const write of watch.writes.ofLife(life).values()) {
      const inLife = isThis && write.offset < known.next
      const inStamps = known.from < write.stamp && write.stamp <= known.upto
      if (inLife || (inStamps && !watch.isGone(write))) yield write
    }
  }
}
