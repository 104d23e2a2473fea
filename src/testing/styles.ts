/**
 * What befalls the nodes of a seed in each style: which faults, how often, and what they need of
 * the cluster and its workload. A draw that is added to one moves the meaning of its seeds alone.
 */
import { LIMITS } from '../config.js'
import type { SeededRandom } from '../core/prng.js'
import type { FaultRates } from './nemesis.js'
import type { NetworkFaults, SimulationOptions } from './swarm.js'

export function applyStyle(options: SimulationOptions, random: SeededRandom): void {
  const { faults, network, workload } = options
  switch (options.style) {
    case 'calm':
      faults.hint = random.pick([0, 5, 50])
      options.steadyAfterMs = 8_000
      options.mayLose = false
      options.calmAfterMs = 8_000
      workload.deaths = 0
      return
    case 'stalls':
      return stalls(options, random)
    case 'one crash at a time':
      options.nodes = Math.max(3, options.nodes)
      fillClocks(options, random)
      crashes(faults, random)
      faults.oneAtATime = true
      options.backlogEntriesMax = LIMITS.backlogEntriesMax
      options.mayLose = false
      return
    case 'crashes':
      return crashes(faults, random)
    case 'splits':
      return splits(faults, random)
    case 'loss':
      options.staleChance = random.pick([0, 0.1])
      if (options.staleChance > 0) links(faults, random)
      if (random.chance(0.3)) crashes(faults, random)
      return loss(network, random)
    case 'resets':
      faults.reset = random.pick([0.1, 0.5])
      options.staleChance = random.pick([0, 0.3])
      options.steadyAfterMs = 8_000
      options.mayLose = false
      return
    case 'links':
      return links(faults, random)
    case 'laggards':
      return laggards(options, random)
    case 'deposed':
      return deposed(options, random)
    case 'pauses':
      return pauses(faults, random)
    case 'resync':
      return resync(options, random)
    case 'clocks':
      clocks(options, random)
      if (random.chance(0.5)) crashes(faults, random)
      return
    case 'everything':
      return everything(options, random)
    case 'handovers':
      return handovers(options, random)
    case 'membership':
      return membership(options, random)
    case 'slow lines':
      network.bytesPerMs = random.pick([1, 20])
      return
    case 'echoes':
      return echoes(options, random)
    case 'away':
      splits(faults, random)
      faults.heal = 0.05
      return
  }
}

/** In every seventh seed, whatever else happens. */
export function addHandovers(options: SimulationOptions, random: SeededRandom): void {
  if (options.style === 'handovers' || !random.chance(0.15)) return
  options.faults = { ...options.faults, handover: random.pick([0.1, 0.5]) }
  options.steadyAfterMs = undefined
}

/** Without mishaps no call may notice; with them an old epoch must stay over. */
function handovers(options: SimulationOptions, random: SeededRandom): void {
  const { faults, workload } = options
  options.nodes = random.pick([2, 3, 3, 5])
  fillClocks(options, random)
  faults.handover = random.pick([0.3, 1, 3])
  faults.mishapShare = random.pick([0, 0.4])
  faults.restart = 1
  workload.rate = 30
  if (faults.mishapShare > 0) {
    workload.acks = random.pick([['slaves:1'], ['master', 'slaves:1'], ['insync']] as const)
    return
  }
  workload.deaths = 0
  options.mayLose = false
  options.calmAfterMs = 8_000
}

/** Nodes come and go while others fail; a whole cluster is at least three. */
function membership(options: SimulationOptions, random: SeededRandom): void {
  const { faults } = options
  options.nodes = random.pick([3, 3, 4])
  fillClocks(options, random)
  faults.join = random.pick([0.1, 0.3])
  faults.leave = random.pick([0.1, 0.3])
  faults.restart = 1
  faults.resume = 1
  faults.heal = 0.5
  if (random.chance(0.6)) faults.crash = random.pick([0.05, 0.3])
  if (random.chance(0.4)) faults.split = 0.1
  if (random.chance(0.3)) faults.pause = 0.1
  if (random.chance(0.5)) faults.handover = 0.3
  if (random.chance(0.3)) links(faults, random)
}

/** Whole copies in small slices, while much is written. */
function resync(options: SimulationOptions, random: SeededRandom): void {
  const { faults, network, workload } = options
  crashes(faults, random)
  options.nodes = Math.max(2, options.nodes)
  fillClocks(options, random)
  options.backlogEntriesMax = random.pick([20, 50, 100])
  workload.rate = 30
  workload.keys = random.pick([40, 200])
  workload.clears = random.pick([0, 2])
  if (random.chance(0.6)) {
    options.sliceBytesMax = 200
    for (const clock of options.clocks) clock.turnMs = 10
  }
  if (random.chance(0.3)) network.bytesPerMs = random.pick([20, 200])
  if (random.chance(0.5)) links(faults, random)
}

/** As long as nobody may be declared dead for. */
function stalls(options: SimulationOptions, random: SeededRandom): void {
  const { faults } = options
  options.nodes = random.pick([2, 2, 3, 5])
  fillClocks(options, random)
  faults.hint = random.pick([0, 0, 50])
  faults.stall = random.pick([1, 3])
  faults.stallMsMax = 500
  options.steadyAfterMs = 8_000
  options.mayLose = false
}

/** What was said once is heard again, over lines so long that much is on its way meanwhile. */
function echoes(options: SimulationOptions, random: SeededRandom): void {
  const { faults, network, workload } = options
  options.nodes = 3
  fillClocks(options, random)
  options.echoChance = random.pick([0.01, 0.05])
  network.latencyMsMax = network.latencyMsMin + random.pick([5, 20, 50])
  network.loss = random.pick([0.01, 0.1])
  network.duplicate = random.pick([0.05, 0.5])
  if (random.chance(0.5)) links(faults, random)
  if (random.chance(0.5)) crashes(faults, random)
  workload.rate = 30
  if (!random.chance(0.5)) return
  options.backlogEntriesMax = 20
  options.sliceBytesMax = 200
  workload.keys = 40
  for (const clock of options.clocks) clock.turnMs = 10
}

/** Slaves far apart, and then the master dies: only the best log has it all. */
function laggards(options: SimulationOptions, random: SeededRandom): void {
  const { faults, workload } = options
  options.nodes = random.pick([3, 3, 4, 5])
  fillClocks(options, random)
  crashes(faults, random)
  faults.powerShare = 0
  faults.ambush = 0.3
  faults.restart = 1
  faults.clog = random.pick([0, 1, 3])
  faults.clogMsMax = 700
  workload.acks = random.pick([['slaves:1'], ['majority'], ['slaves:1', 'master']] as const)
  workload.rate = 30
}

/** Masters that stop, write on when they wake, and meet their successors. */
function deposed(options: SimulationOptions, random: SeededRandom): void {
  const { faults, workload } = options
  options.nodes = random.pick([2, 3, 3, 5])
  fillClocks(options, random)
  if (random.chance(0.4)) faults.coup = 0.2
  else faults.pause = 0.3
  faults.resume = 0.5
  faults.split = random.pick([0, 0.2])
  faults.heal = 0.5
  faults.crash = random.pick([0, 0.2])
  faults.restart = 1
  workload.acks = random.pick([['master'], ['master', 'slaves:1'], ['insync']] as const)
  workload.rate = 30
  if (random.chance(0.3)) faults.harry = 0.2
}

function fillClocks(options: SimulationOptions, random: SeededRandom): void {
  while (options.clocks.length < options.nodes)
    options.clocks.push({ offsetMs: random.next() * 1e7 })
}

function everything(options: SimulationOptions, random: SeededRandom): void {
  const { faults, network } = options
  if (random.chance(0.5)) crashes(faults, random)
  if (random.chance(0.5)) splits(faults, random)
  if (random.chance(0.3)) {
    loss(network, random)
    options.staleChance = random.pick([0, 0.1])
  }
  if (random.chance(0.4)) links(faults, random)
  if (random.chance(0.4)) pauses(faults, random)
  if (random.chance(0.3)) clocks(options, random)
  if (random.chance(0.3)) faults.hint = 20
  if (random.chance(0.3)) {
    faults.stall = 1
    faults.stallMsMax = 2_000
  }
  if (random.chance(0.1)) network.bytesPerMs = random.pick([1, 20])
}

function crashes(faults: FaultRates, random: SeededRandom): void {
  faults.crash = random.pick([0.05, 0.2, 0.5])
  faults.restart = random.pick([0.2, 1])
  faults.powerShare = random.pick([0, 0, 0.3])
}

export function splits(faults: FaultRates, random: SeededRandom): void {
  faults.split = random.pick([0.05, 0.2])
  faults.heal = random.pick([0.1, 0.5])
  faults.oneWayShare = random.pick([0, 0, 0.5])
  if (random.chance(0.3)) faults.cut = 0.2
}

export function loss(network: NetworkFaults, random: SeededRandom): void {
  if (random.chance(0.8)) network.loss = random.pick([0.01, 0.1, 0.3])
  if (random.chance(0.5)) network.duplicate = random.pick([0.05, 0.5])
  if (random.chance(0.5)) network.reorder = random.pick([0.05, 0.3])
}

export function links(faults: FaultRates, random: SeededRandom): void {
  faults.reset = random.pick([0.1, 1])
  faults.clog = random.pick([0, 0.3, 1])
  faults.clogMsMax = random.pick([50, 500, 2_000])
}

function pauses(faults: FaultRates, random: SeededRandom): void {
  faults.pause = random.pick([0.05, 0.2])
  faults.resume = random.pick([0.1, 0.5])
}

function clocks(options: SimulationOptions, random: SeededRandom): void {
  options.faults.clockJump = random.pick([0.05, 0.5])
  options.faults.clockJumpMsMax = random.pick([2_000, 3_600_000])
  options.clocks = options.clocks.map(clock => ({
    ...clock,
    rate: 0.9 + random.next() * 0.2,
    wallOffsetMs: (random.next() * 2 - 1) * random.pick([0, 1_000, 3_600_000]),
  }))
}
