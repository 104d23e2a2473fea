/**
 * Copies of what a strategy knows. A state of the search is never changed: a step works on a copy.
 * Left out is what only reads go by (no read is asked) and cluster time, which stands at 0 because
 * the wall clock does.
 */
import type { StrategyEnv } from '../../src/contracts/strategy.js'
import { Waiting } from '../../strategies/master-slave/acks.js'
import type { Settings } from '../../strategies/master-slave/options.js'
import { GroupState, type Peer } from '../../strategies/master-slave/state.js'
import { WitnessState } from '../../strategies/master-slave/witness.js'

/** A write that its master has not answered; kept beside Waiting, which shows nothing. */
export interface Outstanding {
  readonly id: number
  readonly offset: number
  readonly copies: number
}

export function copyGroup(
  from: GroupState,
  env: StrategyEnv,
  settings: Settings,
  outstanding: readonly Outstanding[],
): GroupState {
  const to = new GroupState(env, settings)
  const { peers: _, env: __, clock, reads, charter, merges, late, settings: ___, ...plain } = from
  Object.assign(to, plain)
  for (const [id, peer] of from.peers) to.peers.set(id, copyPeer(peer))
  for (const [id, incarnation] of charter) to.charter.set(id, incarnation)
  for (const [id, merge] of merges) to.merges.set(id, { ...merge })
  to.starts = [...from.starts]
  to.views = [...from.views]
  to.hints = { ...from.hints }
  if (from.copying !== undefined) to.copying = { ...from.copying }
  if (from.giving !== undefined) to.giving = { ...from.giving }
  if (from.hunt !== undefined) to.hunt = { ...from.hunt, asked: new Set(from.hunt.asked) }
  const { candidacy } = from
  if (candidacy !== undefined)
    to.candidacy = {
      ...candidacy,
      asked: new Set(candidacy.asked),
      promises: new Map(candidacy.promises),
    }
  if (from.waiting !== undefined) {
    to.waiting = new Waiting()
    for (const { id, offset, copies } of outstanding) to.waiting.add(copies, id, offset, 1, to.now)
  }
  return to
}

function copyPeer(from: Peer): Peer {
  const { said, progress } = from
  return {
    ...from,
    said: said === undefined ? undefined : { ...said },
    progress:
      progress === undefined
        ? undefined
        : { ...progress, entries: [...progress.entries], held: [...progress.held] },
  }
}

export function copyWitness(from: WitnessState, env: StrategyEnv): WitnessState {
  const to = new WitnessState(env)
  const { memory, others, env: _, ...plain } = from
  Object.assign(to, plain)
  for (const [id, other] of others) to.others.set(id, { ...other })
  Object.assign(to.memory, memory)
  return to
}
