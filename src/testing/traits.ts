/**
 * What a strategy says of itself, so that it is proved by what it promises and not by what it never
 * did: the faults and laws that speak of something else are left out, by name. All that is not said
 * is taken for offered, so silence proves the most.
 */
import type { SimulationOptions, Style } from './swarm.js'

export interface StrategyTraits {
  /**
   * What an acknowledged write outlives. 'majority': whatever leaves more than half of the nodes
   * their memory. 'strict': whatever leaves one node its memory, and it waits for all nodes.
   * 'ordinal', unless told: crashes while one that holds it lives; a network split may lose it.
   */
  readonly profile?: SimulationOptions['profile']
  /** It hands mastership over when it is asked to. */
  readonly handovers?: boolean
  /** Nodes join and leave. */
  readonly members?: boolean
  /** One member may vote and hold no data. */
  readonly witness?: boolean
  /** It answers reads of mode linearizable. */
  readonly linearizable?: boolean
  /** It merges what the losing side of a network split had written. */
  readonly merges?: boolean
  /** A master that was stopped asks the others before it answers again (I23). Not needed where no
   *  write is acknowledged without it. */
  readonly asksWhenWoken?: boolean
  /** A process that slept while a younger one of its node took part is told from that one. */
  readonly twins?: boolean
}

/** Styles of faults that speak of nothing else. */
export const STYLE_TRAITS: Partial<Record<Style, keyof StrategyTraits>> = {
  handovers: 'handovers',
  membership: 'members',
}

/** `drawn`, without what `traits` does not offer. */
export function withinTraits(drawn: SimulationOptions, traits: StrategyTraits): SimulationOptions {
  const { handovers, members, witness, linearizable, twins } = traits
  const options = { ...drawn, faults: { ...drawn.faults }, workload: { ...drawn.workload } }
  const { faults, workload } = options
  if (handovers === false) faults.handover = 0
  if (members === false) faults.join = faults.leave = 0
  if (twins === false) faults.twin = 0
  if (linearizable === false) {
    delete options.linearizable
    workload.linearizableReads = 0
  }
  if (witness === false && options.witness) {
    options.witness = false
    // Without a third voter two nodes serve only together.
    options.core = options.nodes
  }
  return options
}
