/**
 * One run: nodes, clients, faults until the time is over, heal, quiet, verdict. Everything that it
 * opens it closes; logs and findings of a red run stay in their folder.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type SeededRandom, seededRandom } from '../../src/core/prng.js'
import { type Client, connect } from '../../src/index.js'
import { copiesPromised, type Judge } from './allowed.js'
import { CLUSTER, Cluster } from './cluster.js'
import { INJECT } from './faults.js'
import { type Unavailable, unavailability } from './figures.js'
import { Histories } from './histories.js'
import { Network, OBSERVER } from './network.js'
import type { NemesisOptions } from './options.js'
import { Recorder } from './record.js'
import { type FaultKind, Schedule } from './schedule.js'
import { emptyVerdict, judgeAll, type Verdict, violationsOf } from './verdict.js'
import { Load, type Shared } from './workload.js'
import { even, pause, type World, whole } from './world.js'

const CLIENTS = 4
const CALL_MS_MAX = 5_000
const FIRST_ACK_MS_MAX = 30_000
/** How often each kind comes in one round of the seeded order. */
const WEIGHTS: Record<FaultKind, number> = {
  kill: 3,
  stop: 2,
  split: 2,
  'one-way': 2,
  handover: 1,
  'restart-all': 1,
}

export interface NemesisResult {
  readonly profile: string
  readonly seconds: number
  readonly recorder: Recorder
  readonly schedule: Schedule
  readonly verdict: Verdict
  readonly unavailableMs: Unavailable
  /** Of the verdict and of the run itself. */
  readonly violations: number
  /** A line for each, of those that come by the thousand the first ones. */
  readonly findings: readonly string[]
  /** Where logs and findings are; undefined after a run without any loss. */
  readonly folder: string | undefined
}

export async function runNemesis(
  options: NemesisOptions,
  say: (line: string) => void,
): Promise<NemesisResult> {
  const folder = mkdtempSync(join(tmpdir(), `gcache-nemesis-${options.seed}-`))
  say(`logs of the nodes: ${folder}`)
  const random = seededRandom(options.seed)
  const nodes = Array.from({ length: options.nodes }, (_, i) => String.fromCharCode(97 + i))
  const network = await Network.open(nodes, CLIENTS)
  const flags = options.profile === undefined ? [] : ['--profile', options.profile]
  const cluster = new Cluster(network, folder, flags)
  const clients: Client[] = []
  const open = async (name: string) => {
    const servers = nodes.map(id => network.address(name, id))
    const transport = network.transport(name)
    const client = await connect({ cluster: CLUSTER, servers, transport, timeoutMs: CALL_MS_MAX })
    clients.push(client)
    return client
  }
  try {
    await Promise.all(nodes.map(id => cluster.serve(id)))
    const world: World = {
      network,
      cluster,
      observer: await open(OBSERVER),
      recorder: new Recorder(),
      schedule: new Schedule(),
      random,
      limits: options.limits,
      hasHandover: /^\s+handover\b/m.test(await cluster.command(['--help'])),
      findings: [],
      say,
    }
    const shared = sharedOf(options, world.recorder, random.fork())
    const loads: Load[] = []
    for (const name of network.clients) loads.push(new Load(shared, name, await open(name)))
    const result = await attack(options, world, shared, loads)
    if (options.histories !== undefined) shared.histories.save(options.histories)
    return { ...result, folder: keep(folder, result) }
  } finally {
    await Promise.all(clients.map(client => client.close()))
    await cluster.stop()
    await network.close()
  }
}

function sharedOf(options: NemesisOptions, recorder: Recorder, random: SeededRandom): Shared {
  const maps = { own: new Map(), lists: new Map(), registers: new Map(), rounds: new Map() }
  const { ack, nodes } = options
  return { recorder, histories: new Histories(), ack, nodes, random, ...maps }
}

async function attack(
  options: NemesisOptions,
  world: World,
  shared: Shared,
  loads: readonly Load[],
): Promise<Omit<NemesisResult, 'folder'>> {
  const { recorder, schedule, findings, cluster, network } = world
  await firstAck(recorder)
  const { profile, guarantee } = await world.observer.status()
  world.say(`guarantee: ${guarantee}`)
  const beganMs = performance.now()
  try {
    await whole(world)
    for (const kind of faultsOf(options, world)) {
      if (performance.now() - beganMs > options.minutes * 60_000) break
      await pause(1_000 + world.random.below(2_000))
      schedule.count(kind)
      await INJECT[kind](world)
      await whole(world)
    }
    await pause(500)
  } catch (error) {
    findings.push(`the run ended early: ${(error as Error).message}`)
  }
  network.heal()
  for (const id of cluster.ids) cluster.signal(id, 'SIGCONT')
  const seconds = Math.round((performance.now() - beganMs) / 1_000)
  await Promise.all(loads.map(load => load.stop()))
  await even(world).catch((error: Error) => findings.push(error.message))
  findings.push(...cluster.crashes)
  const nodes = cluster.ids
  const copiesMin = copiesPromised(options.ack, profile, nodes.length)
  const judge = { profile, copiesMin, nodes, schedule, epochsAt: epochsOf(recorder) }
  const verdict = emptyVerdict()
  await judgeAll(verdict, shared, judge, world.observer.cache('nemesis')).catch((error: Error) =>
    findings.push(`nothing could be read back: ${error.message}`),
  )
  const unavailableMs = unavailability(recorder.acks, schedule.marks)
  const facts = { profile, seconds, recorder, schedule, verdict, unavailableMs }
  const violations = findings.length + violationsOf(verdict)
  return { ...facts, violations, findings: [...findings, ...verdict.findings] }
}

/** The plan, or kinds in a seeded order for ever. */
function* faultsOf(options: NemesisOptions, world: World): Generator<FaultKind> {
  const { plan, faults } = options
  if (plan !== undefined) {
    yield* plan
    return
  }
  if (faults.includes('handover') && !world.hasHandover)
    world.schedule.skipped.push(
      'gcache handover: not in this version; SIGTERM to the master instead',
    )
  for (;;) {
    const round = faults.flatMap(kind => new Array<FaultKind>(WEIGHTS[kind]).fill(kind))
    while (round.length > 0) yield round.splice(world.random.below(round.length), 1)[0]
  }
}

async function firstAck(recorder: Recorder): Promise<void> {
  const deadline = performance.now() + FIRST_ACK_MS_MAX
  while (recorder.acked === 0) {
    if (performance.now() > deadline)
      throw new Error(`no write acknowledged: ${[...recorder.codes.keys()].join(', ')}`)
    await pause(50)
  }
}

function epochsOf(recorder: Recorder): Judge['epochsAt'] {
  const epochs = new Map<number, number>()
  for (const { receipt, endMs } of recorder.acks)
    if (!epochs.has(receipt.epoch)) epochs.set(receipt.epoch, endMs)
  return epochs
}

/** A run without any loss leaves nothing behind; a loss that is allowed is worth a look too. */
function keep(folder: string, result: Omit<NemesisResult, 'folder'>): string | undefined {
  const { findings, schedule, verdict } = result
  if (findings.length === 0 && verdict.lostAllowed + verdict.overlaps === 0) {
    rmSync(folder, { recursive: true, force: true })
    return undefined
  }
  const lines = [...findings, '', 'allowed:', ...verdict.excuses]
  writeFileSync(join(folder, 'findings.txt'), `${lines.join('\n')}\n`)
  const epochs = Object.fromEntries(epochsOf(result.recorder))
  const wallMs = Date.now() - performance.now()
  const facts = { wallMs, firstAckMsByEpoch: epochs, ...schedule }
  writeFileSync(join(folder, 'schedule.json'), JSON.stringify(facts, undefined, 2))
  return folder
}
