/**
 * The options of a seed of strategy partitioned: the faults, network and clocks that a control
 * group of profile majority would get from the same seed, and what partitions add to them, from a
 * stream of its own. One seed in eight restarts its nodes one after the other and does nothing
 * else; in one of sixteen a machine is away for longer than it is waited for. A seed is short, and
 * most have few partitions: what goes wrong does so between the faults and the leases, of which a
 * short seed has as many since its faults come faster.
 */
import { type SeededRandom, seededRandom } from '../../core/prng.js'
import { type FaultRates, NO_FAULTS } from '../nemesis.js'
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
  /** The first faults come after it: the first table is made within a second or so, or not yet. */
  warmUpMs: number
  /** Mean a second: a node lives on, and every link to it is reset for a while. */
  outcasts: number
  /** One machine after the other is gone for longer than it is waited for, without a word. */
  absences?: boolean
}

export interface PartitionedOptions extends SimulationOptions {
  partitioned: PartitionDraw
}

/** Two nodes have no majority without each other: their control group promises less. */
const NODES_MIN = 3

/** Who leads what is decided by leases, so what parts nodes that live on comes most often. */
const DRAWN: readonly Style[] = [
  ...['calm', 'stalls', 'resets', 'loss', 'links', 'laggards', 'resync', 'clocks'],
  ...['one crash at a time', 'crashes', 'crashes', 'splits', 'splits', 'splits', 'pauses'],
  ...['pauses', 'deposed', 'deposed', 'everything', 'everything', 'handovers', 'membership'],
  ...['membership'],
] as readonly Style[]

/** What is drawn for longer seeds comes so much faster in these. */
const HURRY = 2
const HURRIED = [
  ...['crash', 'restart', 'pause', 'resume', 'split', 'heal', 'cut', 'ambush', 'coup', 'reset'],
  ...['clog', 'clockJump', 'join', 'leave'],
] as readonly (keyof FaultRates)[]

/** The same options for the same seed. `style` overrides the drawn one. */
export function drawPartitioned(seed: number, seconds: number, style?: Style): PartitionedOptions {
  const random = seededRandom(seed ^ 0x9a47)
  const drawn = drawOptions(seed, seconds, style ?? random.pick(DRAWN), 'majority')
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
    workload: { ...workload, rate: random.pick([10, 20, 40, 60]), reads: random.pick([0.3, 0.5]) },
    partitioned,
    caches: cutCaches(drawn.caches, partitioned.partitions),
  }
  if (options.style === 'stalls') stall(options, random)
  // Elsewhere it is promised that nobody is deposed, or that no call fails.
  if (options.steadyAfterMs === undefined && options.calmAfterMs === undefined)
    hurry(options, random)
  const rolls = style === undefined && random.chance(0.125)
  if (rolls) rollOn(options)
  const apart = seededRandom(seed ^ 0xa3a1)
  if (style === 'away' || (style === undefined && !rolls && apart.chance(0.07)))
    goAway(options, apart)
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
    partitions: random.pick([2, 2, 4, 4, 4, 4, 8, 16]),
    backups: Math.min(random.pick([0, 1, 1, 1, 1, 2]), nodes - 1),
    zones: random.chance(0.3) ? random.pick([2, 3]) : 0,
    graceMs: random.pick([500, 3_000, 10_000]),
    copyBytesPerSec: random.pick([65_536, 1_000_000, 20_000_000]),
    rolling: false,
    loneStalls: false,
    resetMs: random.pick([0, 500, 5_000]),
    warmUpMs: random.pick([1_000, 2_000, 3_000]),
    outcasts: 0,
  }
}

function hurry(options: PartitionedOptions, random: SeededRandom): void {
  const { faults, partitioned } = options
  const faster = HURRIED.map(name => [name, (faults[name] as number) * HURRY])
  options.faults = { ...faults, ...Object.fromEntries(faster) }
  if (random.chance(0.3)) partitioned.outcasts = random.pick([0.2, 0.5])
}

/** A lease bears one busy loop; a master of the control group that is busy as well costs it. */
function stall(options: PartitionedOptions, random: SeededRandom): void {
  if (random.chance(0.5)) {
    options.faults = { ...options.faults, stall: 0 }
    options.partitioned.loneStalls = true
  } else options.steadyAfterMs = undefined
}

/** Most often nobody has another copy, and nobody is in a hurry to begin it anew. */
function goAway(options: PartitionedOptions, random: SeededRandom): void {
  rest(options)
  options.style = 'away'
  const { partitioned } = options
  partitioned.absences = true
  partitioned.graceMs = random.pick([0, 500, 3_000])
  if (random.chance(0.7)) partitioned.backups = 0
  partitioned.resetMs = random.pick([0, 0, 500, 5_000])
}

function rollOn(options: PartitionedOptions): void {
  rest(options)
  options.partitioned.rolling = true
}

/** Nothing befalls it. */
function rest(options: PartitionedOptions): void {
  options.faults = { ...NO_FAULTS }
  options.network = { ...options.network, loss: 0, duplicate: 0, reorder: 0, bytesPerMs: 0 }
  options.staleChance = 0
  options.steadyAfterMs = options.calmAfterMs = undefined
  options.mayLose = false
  options.partitioned.outcasts = 0
  options.partitioned.loneStalls = false
}
