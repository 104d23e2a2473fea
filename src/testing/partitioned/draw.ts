/**
 * The options of a seed of strategy partitioned: the faults, network and clocks that a control
 * group of profile majority would get from the same seed, and what partitions add to them, from a
 * stream of its own. One seed in eight restarts its nodes one after the other and does nothing
 * else.
 */
import { type SeededRandom, seededRandom } from '../../core/prng.js'
import { NO_FAULTS } from '../nemesis.js'
import { drawOptions, type SimulationOptions, type Style } from '../swarm.js'

export interface PartitionDraw {
  partitions: number
  backups: number
  /** Nodes lie in so many zones in turn; 0: in none. */
  zones: number
  graceMs: number
  copyBytesPerSec: number
  /** Nodes are restarted one by one, each once the last one has its copies back. */
  rolling: boolean
  /** One loop after the other is blocked for 500 ms, never two at once. */
  loneStalls: boolean
  /** A lost partition is begun anew by somebody about so soon, ms; 0: not before the faults end. */
  resetMs: number
}

export interface PartitionedOptions extends SimulationOptions {
  partitioned: PartitionDraw
}

/** Two nodes have no majority without each other: their control group promises less. */
const NODES_MIN = 3

/** The same options for the same seed. `style` overrides the drawn one. */
export function drawPartitioned(seed: number, seconds: number, style?: Style): PartitionedOptions {
  const random = seededRandom(seed ^ 0x9a47)
  const drawn = drawOptions(seed, seconds, style, 'majority')
  const { faults, clocks, workload } = drawn
  const nodes = Math.max(NODES_MIN, drawn.nodes, random.pick([3, 3, 4, 5]))
  while (clocks.length < nodes)
    clocks.push({ offsetMs: random.next() * 1e7, turnMs: random.pick([0, 0.2, 3]) })
  // What these do to group 0 is told from what its clients saw, and it has none here.
  const none = { relapse: 0, twin: 0, recopy: 0, closeWindow: 0, hint: 0 }
  const partitioned = drawPartitions(random, nodes)
  const options: PartitionedOptions = {
    ...drawn,
    ...{ nodes, witness: false, core: nodes },
    faults: { ...faults, ...none },
    workload: { ...workload, rate: random.pick([20, 40, 80]), reads: random.pick([0.3, 0.5]) },
    partitioned,
    caches: cutCaches(drawn.caches, partitioned.partitions),
  }
  if (options.style === 'stalls') stall(options, random)
  if (style === undefined && random.chance(0.125)) rollOn(options)
  if (options.partitioned.backups === 0) options.mayLose = true
  return options
}

/** The limits are those of a partition: the product cuts what a cluster has by their number. */
function cutCaches(
  caches: SimulationOptions['caches'],
  partitions: number,
): SimulationOptions['caches'] {
  const whole = Object.entries(caches).map(([name, cache]) => [
    name,
    { ...cache, maxEntries: cache.maxEntries * partitions },
  ])
  return Object.fromEntries(whole)
}

function drawPartitions(random: SeededRandom, nodes: number): PartitionDraw {
  return {
    partitions: random.pick([4, 4, 8, 16]),
    backups: Math.min(random.pick([0, 1, 1, 1, 1, 2]), nodes - 1),
    zones: random.chance(0.3) ? random.pick([2, 3]) : 0,
    graceMs: random.pick([500, 3_000, 10_000]),
    copyBytesPerSec: random.pick([65_536, 1_000_000, 20_000_000]),
    rolling: false,
    loneStalls: false,
    resetMs: random.pick([0, 500, 5_000]),
  }
}

/** A lease bears one busy loop; a master of the control group that is busy as well costs it. */
function stall(options: PartitionedOptions, random: SeededRandom): void {
  if (random.chance(0.5)) {
    options.faults = { ...options.faults, stall: 0 }
    options.partitioned.loneStalls = true
  } else options.steadyAfterMs = undefined
}

function rollOn(options: PartitionedOptions): void {
  options.faults = { ...NO_FAULTS }
  options.network = { ...options.network, loss: 0, duplicate: 0, reorder: 0, bytesPerMs: 0 }
  options.staleChance = 0
  options.steadyAfterMs = options.calmAfterMs = undefined
  options.mayLose = false
  options.partitioned.rolling = true
  options.partitioned.loneStalls = false
}
