/**
 * Options by seed (swarm testing, Groce 2012; two phases as TigerBeetle's VOPR): every seed enables
 * a random subset of faults. Modest draws of one kind of fault come often, because only there the
 * laws have no excuse: no fault at all, one crash at a time, stalls that nobody may mistake.
 */
import { LIMITS } from '../config.js'
import type { CacheOptions } from '../contracts/store.js'
import type { Ack } from '../contracts/types.js'
import { type SeededRandom, seededRandom } from '../core/prng.js'
import type { NodeClockOptions } from './gate.js'
import { drawLease } from './lease-options.js'
import type { LeaseFaults } from './leases.js'
import { type FaultRates, NO_FAULTS } from './nemesis.js'
import type { PartitionDraw } from './partitioned/draw.js'
import { addHandovers, applyStyle } from './styles.js'
import { CALM_WORKLOAD, type WorkloadOptions } from './workload.js'

export const STYLES = [
  'calm',
  'stalls',
  'one crash at a time',
  'crashes',
  'splits',
  'loss',
  'resets',
  'links',
  'laggards',
  'pauses',
  'deposed',
  'resync',
  'clocks',
  'everything',
  'handovers',
  'membership',
  'echoes',
] as const
/** Drawn by broadcast alone; any strategy's seeds may be given them by name. */
export const STYLES_NAMED = ['slow lines', 'away'] as const
export type Style = (typeof STYLES)[number] | (typeof STYLES_NAMED)[number]
/** Drawn apart, so that most seeds keep their meaning. */
const APART: readonly Style[] = ['handovers', 'membership', 'echoes']
const DRAWN = STYLES.filter(style => !APART.includes(style))

/** 'lease' is ordinal with an election. */
export const PROFILES = ['ordinal', 'strict', 'majority', 'lease'] as const
export type SimulatedProfile = (typeof PROFILES)[number]

export interface NetworkFaults {
  latencyMsMin: number
  latencyMsMax: number
  loss: number
  duplicate: number
  reorder: number
  /** 0: unlimited. */
  bytesPerMs: number
}

export interface SimulationOptions {
  seed: number
  style: Style
  /** Virtual seconds, both phases together, at least 30. */
  seconds: number
  /** What is promised: 'ordinal' excuses losses by the faults, the others excuse none. */
  profile: Exclude<SimulatedProfile, 'lease'>
  /** Who leads is decided by leases, and this befalls them. */
  lease?: LeaseFaults
  /** Data nodes. */
  nodes: number
  /** A third voter without data. */
  witness: boolean
  network: NetworkFaults
  faults: FaultRates
  workload: WorkloadOptions
  clocks: NodeClockOptions[]
  caches: Record<string, CacheOptions>
  backlogBytesMax: number
  backlogEntriesMax: number
  sliceBytesMax: number
  snapshotPendingBytesMax: number
  /** Frames of ended sessions that come again, as a share of all frames after a new link. */
  staleChance: number
  /** Frames of the same session that come again, as a share of all frames. */
  echoChance?: number
  /** Promotions are violations from then on; undefined where faults excuse them. */
  steadyAfterMs: number | undefined
  /** Calls must succeed from then on; undefined where faults excuse them. */
  calmAfterMs: number | undefined
  /** Calls must be linearizable for each key of a cache that keeps its records (I10). */
  linearizable?: boolean
  /** False: a write with two copies must survive whatever this style does. */
  mayLose: boolean
  /** Nodes that live in the second phase. */
  core: number
  /** Keys lie in partitions, so many and so. */
  partitioned?: PartitionDraw
}

const ACKS: readonly Ack[] = ['none', 'master', 'slaves:1', 'majority', 'insync', 'all']
const CACHE: CacheOptions = {
  maxEntries: 1e6,
  maxBytes: 2 ** 30,
  ttlMs: 0,
  idleMs: 0,
  eviction: 'lru',
}

/** The same options for the same seed. `style` overrides the drawn one. */
export function drawOptions(
  seed: number,
  seconds: number,
  style?: Style,
  profile: SimulatedProfile = 'ordinal',
): SimulationOptions {
  const random = seededRandom(seed)
  const late = seededRandom(seed ^ 0x4a0d)
  const usual = random.pick(DRAWN)
  const changes = seededRandom(seed ^ 0x3e3b).chance(0.07)
  const echoed = seededRandom(seed ^ 0xec40).chance(0.05)
  const apart = late.chance(0.05) ? 'handovers' : echoed ? 'echoes' : usual
  const drawn = changes ? 'membership' : apart
  const options = baseOptions(seed, seconds, style ?? drawn, random)
  if (random.chance(0.3))
    options.snapshotPendingBytesMax = 2_000 + 10 * options.workload.valueBytesMax
  applyStyle(options, random)
  drawReads(options)
  drawWindows(options)
  addHandovers(options, late)
  if (options.nodes === 1)
    options.faults = { ...options.faults, split: 0, cut: 0, ambush: 0, coup: 0, handover: 0 }
  const least = options.nodes > 2 ? 2 : 1
  options.core = random.chance(0.6)
    ? options.nodes
    : least + random.below(options.nodes - least + 1)
  if (profile === 'lease') drawLease(options)
  else if (profile !== 'ordinal') drawLate(options, profile, random)
  return options
}

/** Where W + P > N, a core that can serve is more than half of the nodes, or all of them. */
function drawLate(
  options: SimulationOptions,
  profile: 'strict' | 'majority',
  random: SeededRandom,
): void {
  options.profile = profile
  if (profile === 'majority' && options.nodes === 2) options.witness = true
  const { nodes } = options
  const whole = profile === 'strict' || options.witness
  options.core = whole ? nodes : Math.max(options.core, Math.floor(nodes / 2) + 1)
  const ack: Ack = profile === 'strict' ? 'all' : 'majority'
  options.workload.acks = random.chance(0.6) ? [ack] : [ack, ...options.workload.acks]
  drawTwins(options)
  if (profile === 'majority') {
    drawLinearizable(options)
    drawRelapses(options)
    drawRecopies(options)
  }
}

/** In every fifth seed of majority whose faults may depose a master; from a stream of its own. A
 *  short backlog would have voters copied, and a copy cut short is one more memory lost. */
function drawRelapses(options: SimulationOptions): void {
  const random = seededRandom(options.seed ^ 0x7e1a)
  if (!random.chance(0.2) || !maySuffer(options)) return
  if (options.nodes < 2 || options.nodes > 3) return
  const hint = random.pick([options.faults.hint, 20])
  options.faults = { ...options.faults, relapse: 0.1, restart: 1, heal: 0, hint }
  options.backlogEntriesMax = LIMITS.backlogEntriesMax
}

/** In every tenth seed of strict and majority; from a stream of its own. */
function drawTwins(options: SimulationOptions): void {
  const random = seededRandom(options.seed ^ 0x7715)
  if (!random.chance(0.1) || !maySuffer(options)) return
  if (options.nodes < 3 || options.witness || options.faults.join > 0) return
  const { restart, heal } = options.faults
  options.faults = {
    ...options.faults,
    twin: 0.3,
    restart: Math.max(0.5, restart),
    heal: Math.max(0.2, heal),
  }
}

/** In every tenth seed of majority; from a stream of its own, too. Copies must last. */
function drawRecopies(options: SimulationOptions): void {
  const random = seededRandom(options.seed ^ 0xc0b7)
  const { nodes, faults, workload } = options
  if (!random.chance(0.1) || !maySuffer(options) || nodes < 3 || faults.relapse > 0) return
  options.faults = { ...faults, recopy: 0.15, restart: Math.max(1, faults.restart), heal: 0 }
  options.backlogEntriesMax = 20
  options.sliceBytesMax = 200
  workload.rate = 30
  workload.keys = 40
  for (const clock of options.clocks) clock.turnMs = 10
}

/** False where the style promises that calls succeed, that nobody is deposed, or one fault only. */
function maySuffer({ calmAfterMs, steadyAfterMs, faults }: SimulationOptions): boolean {
  return calmAfterMs === undefined && steadyAfterMs === undefined && !faults.oneAtATime
}

/** In every tenth seed; from a stream of its own. */
function drawWindows(options: SimulationOptions): void {
  const random = seededRandom(options.seed ^ 0x31d0)
  if (!random.chance(0.1) || options.calmAfterMs !== undefined) return
  // An opening that comes twice, over a second apart, would open anew what was closed meanwhile;
  // the product closes a window after half an hour (majority, seed 2047 of echoes).
  if (options.style === 'echoes') return
  options.faults = { ...options.faults, closeWindow: random.pick([0.2, 1]) }
}

/** In half of the seeds of majority; from a stream of its own, too. */
function drawLinearizable(options: SimulationOptions): void {
  const random = seededRandom(options.seed ^ 0x11ea)
  if (!random.chance(0.5)) return
  const { workload } = options
  options.linearizable = true
  workload.linearizableReads = random.pick([0.5, 1])
  workload.reads = random.pick([0.25, 0.5])
  // Only records that stay until somebody deletes them are judged.
  if (!workload.caches.includes('plain')) workload.caches = [...workload.caches, 'plain']
}

/** From a stream of its own: the other draws of a seed stay what they were. */
function drawReads({ seed, workload }: SimulationOptions): void {
  const random = seededRandom(seed ^ 0x4ead)
  workload.localReads = random.pick([0, 0.3, 0.8])
  workload.tokenReads = random.pick([0, 0.3])
  workload.maxStaleMs = random.pick([[5_000], [500, 5_000], [150, 300, 1_000]])
  if (workload.localReads > 0 && random.chance(0.5)) workload.reads = 0.5
}

function baseOptions(
  seed: number,
  seconds: number,
  style: Style,
  random: SeededRandom,
): SimulationOptions {
  const nodes = random.pick([1, 2, 2, 3, 3, 3, 3, 4, 5])
  const latencyMsMin = random.pick([0.1, 0.5, 1])
  const acks = random.chance(0.4) ? ACKS.filter(() => random.chance(0.5)) : []
  const caches = ['plain', 'ttl3000', 'idle2000', 'ttl500', 'few', 'full'].filter(() =>
    random.chance(0.4),
  )
  return {
    seed,
    style,
    seconds,
    profile: 'ordinal',
    nodes,
    witness: false,
    network: {
      latencyMsMin,
      latencyMsMax: latencyMsMin + random.pick([0, 1, 5]),
      loss: 0,
      duplicate: 0,
      reorder: 0,
      bytesPerMs: 0,
    },
    faults: { ...NO_FAULTS },
    workload: {
      ...CALM_WORKLOAD,
      clients: 1 + random.below(3),
      rate: random.pick([3, 10, 30]),
      keys: random.pick([2, 10, 40]),
      valueBytesMax: random.pick([10, 100, 100, 1_000, 20_000]),
      acks: acks.length > 0 ? acks : ['insync'],
      caches: caches.length > 0 ? caches : ['plain'],
      clears: random.chance(0.3) ? 0.2 : 0,
      deaths: random.chance(0.3) ? 0.05 : 0,
    },
    clocks: Array.from({ length: nodes }, () => ({
      offsetMs: random.next() * 1e7,
      turnMs: random.pick([0, 0.2, 3]),
    })),
    caches: {
      few: { ...CACHE, maxEntries: 8 },
      full: { ...CACHE, maxEntries: 8, eviction: 'none' },
    },
    backlogBytesMax: LIMITS.backlogBytesMax,
    backlogEntriesMax: random.chance(0.3) ? random.pick([20, 100, 500]) : LIMITS.backlogEntriesMax,
    sliceBytesMax: random.pick([200, 1_000, LIMITS.snapshotSliceBytes]),
    snapshotPendingBytesMax: LIMITS.snapshotPendingBytesMax,
    staleChance: 0,
    steadyAfterMs: undefined,
    calmAfterMs: undefined,
    mayLose: true,
    core: nodes,
  }
}
