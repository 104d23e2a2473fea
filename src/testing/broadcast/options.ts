/**
 * What befalls a cluster of strategy broadcast, by seed: styles as those of swarm.ts, each with a
 * random subset of its faults, and a workload whose keys collide.
 */
import { LIMITS } from '../../config.js'
import type { CacheOptions } from '../../contracts/store.js'
import type { Ack } from '../../contracts/types.js'
import { type SeededRandom, seededRandom } from '../../core/prng.js'
import { type FaultRates, NO_FAULTS } from '../nemesis.js'
import { links, loss, splits } from '../styles.js'
import { drawOptions, type SimulationOptions, type Style } from '../swarm.js'
import type { WritersOptions } from './writers.js'

const STYLES: readonly Style[] = [
  'calm',
  'loss',
  'links',
  'splits',
  'crashes',
  'pauses',
  'clocks',
  'slow lines',
  'away',
  'everything',
]

/** What is drawn of the strategy's own options. */
export interface BroadcastTimes {
  readonly compareEveryMs: number
  readonly endsKeptMs: number
  readonly ackTimeoutMs: number
}

/** Of SimulationOptions what speaks of one master is not looked at. */
export interface BroadcastSimulation extends SimulationOptions {
  writers: WritersOptions
  times: BroadcastTimes
  /** All clocks stay within 2 s: nobody may be refused. */
  honest: boolean
}

const ACKS: readonly Ack[] = ['none', 'master', 'slaves:1', 'majority', 'insync', 'all']
const CACHE: CacheOptions = {
  maxEntries: 1e6,
  maxBytes: 2 ** 30,
  ttlMs: 0,
  idleMs: 0,
  eviction: 'lru',
}
const DAY_MS = 24 * 3_600_000

/** The same options for the same seed. `style` overrides the drawn one. */
export function drawBroadcast(seed: number, seconds: number, style?: Style): BroadcastSimulation {
  const random = seededRandom(seed ^ 0xb0ad)
  const drawn = random.pick(STYLES)
  const options = baseOptions(seed, seconds, style ?? drawn, random)
  applyStyle(options, random)
  const least = options.nodes > 2 ? 2 : 1
  if (random.chance(0.3)) options.core = least + random.below(options.nodes - least + 1)
  return options
}

function baseOptions(
  seed: number,
  seconds: number,
  style: Style,
  random: SeededRandom,
): BroadcastSimulation {
  const nodes = random.pick([2, 2, 3, 3, 3, 3, 4, 5])
  const latencyMsMin = random.pick([0.1, 0.5, 1])
  const latencyMsMax = latencyMsMin + random.pick([0, 1, 5, 30])
  const caches = ['plain', 'mortal', 'few', 'full'].filter(() => random.chance(0.5))
  const apartMs = random.pick([0, 300, 800])
  return {
    ...drawOptions(seed, seconds, 'calm'),
    ...{ style, nodes, witness: false, core: nodes, honest: true, mayLose: true },
    network: { latencyMsMin, latencyMsMax, loss: 0, duplicate: 0, reorder: 0, bytesPerMs: 0 },
    faults: { ...NO_FAULTS },
    writers: {
      rate: random.pick([5, 20, 40]),
      keys: random.pick([2, 10, 40]),
      valueBytesMax: random.pick([10, 100, 1_000]),
      acks: random.chance(0.5) ? ['master'] : ACKS.filter((_, i) => i === 1 || random.chance(0.5)),
      caches: caches.length > 0 ? caches : ['plain'],
      ...{ reads: 0.2, conditions: 0.2, burstMax: random.pick([1, 4, 20]) },
      clears: random.chance(0.3) ? 0.2 : 0,
      ...{ windows: random.pick([0, 0.3]), repeats: 0.3 },
    },
    clocks: Array.from({ length: nodes }, () => ({
      offsetMs: random.next() * 1e7,
      wallOffsetMs: (random.next() * 2 - 1) * apartMs,
      turnMs: random.pick([0, 0.2, 3]),
    })),
    caches: {
      few: { ...CACHE, maxEntries: 8 },
      full: { ...CACHE, maxEntries: 8, eviction: 'none' },
    },
    backlogBytesMax: LIMITS.backlogBytesMax,
    backlogEntriesMax: random.chance(0.4) ? random.pick([10, 50, 200]) : LIMITS.backlogEntriesMax,
    sliceBytesMax: random.pick([200, 1_000, LIMITS.snapshotSliceBytes]),
    times: {
      compareEveryMs: random.pick([1_000, 3_000, 10_000]),
      endsKeptMs: DAY_MS,
      ackTimeoutMs: 3_000,
    },
  }
}

function applyStyle(options: BroadcastSimulation, random: SeededRandom): void {
  const { faults, network } = options
  switch (options.style) {
    case 'calm':
      return
    case 'loss':
      loss(network, random)
      options.staleChance = random.pick([0, 0.1])
      if (options.staleChance > 0) links(faults, random)
      if (random.chance(0.3)) crashes(faults, random)
      return
    case 'links':
      options.staleChance = random.pick([0, 0.3])
      return links(faults, random)
    case 'splits':
      return splits(faults, random)
    case 'crashes':
      crashes(faults, random)
      if (random.chance(0.5)) splits(faults, random)
      return
    case 'pauses':
      faults.pause = random.pick([0.05, 0.2])
      faults.resume = random.pick([0.1, 0.5])
      faults.stall = random.pick([0, 1])
      faults.stallMsMax = 2_000
      return
    case 'clocks':
      clocks(options, random)
      if (random.chance(0.5)) crashes(faults, random)
      if (random.chance(0.3)) splits(faults, random)
      return
    case 'slow lines':
      slow(options, random)
      if (random.chance(0.3)) splits(faults, random)
      if (random.chance(0.3)) crashes(faults, random)
      return
    case 'away':
      return away(options, random)
    default:
      return everything(options, random)
  }
}

/** Who is cut off for longer than ends are kept must begin anew. */
function away(options: BroadcastSimulation, random: SeededRandom): void {
  options.times = { ...options.times, endsKeptMs: random.pick([2_000, 5_000, 15_000]) }
  splits(options.faults, random)
  options.faults.heal = random.pick([0.05, 0.2])
  if (random.chance(0.4)) crashes(options.faults, random)
}

function everything(options: BroadcastSimulation, random: SeededRandom): void {
  const { faults, network } = options
  if (random.chance(0.5)) crashes(faults, random)
  if (random.chance(0.5)) splits(faults, random)
  if (random.chance(0.3)) loss(network, random)
  if (random.chance(0.4)) links(faults, random)
  if (random.chance(0.3)) clocks(options, random)
  if (random.chance(0.1)) slow(options, random)
  if (random.chance(0.4)) {
    faults.pause = 0.1
    faults.resume = 0.3
    faults.stall = 0.5
    faults.stallMsMax = 2_000
  }
  options.staleChance = random.pick([0, 0.1])
  if (random.chance(0.2))
    options.times = { ...options.times, endsKeptMs: random.pick([5_000, 15_000]) }
}

/** 20 and 1 bytes a ms: at the latter a heartbeat takes 200 ms, and entries wait for minutes. */
function slow(options: BroadcastSimulation, random: SeededRandom): void {
  options.network.bytesPerMs = random.pick([1, 20])
  if (options.network.bytesPerMs === 1)
    options.writers = { ...options.writers, rate: 5, valueBytesMax: 100 }
}

function crashes(faults: FaultRates, random: SeededRandom): void {
  faults.crash = random.pick([0.05, 0.2])
  faults.restart = random.pick([0.2, 1])
  faults.powerShare = random.pick([0, 0, 0.3])
}

function clocks(options: BroadcastSimulation, random: SeededRandom): void {
  options.honest = false
  options.faults.clockJump = random.pick([0.05, 0.3])
  options.faults.clockJumpMsMax = random.pick([2_000, 10_000, 3_600_000])
  options.clocks = options.clocks.map(clock => ({
    ...clock,
    rate: 0.9 + random.next() * 0.2,
    wallOffsetMs: (random.next() * 2 - 1) * random.pick([0, 1_000, 3_600_000]),
  }))
}
