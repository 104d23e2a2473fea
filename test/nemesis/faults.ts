/**
 * The faults. Each begins with all nodes in sync and ends with all nodes running, so that of nodes
 * which hold data in memory only one memory at a time is lost; `whole()` between them sees to it.
 */
import { CLUSTER } from './cluster.js'
import { OBSERVER } from './network.js'
import type { FaultKind } from './schedule.js'
import { oneWay, split } from './splits.js'
import { masterOf, pause, roleOf, served, victimOf, type World, whole } from './world.js'

export const INJECT: Record<FaultKind, (world: World) => Promise<void>> = {
  kill,
  stop,
  split,
  'one-way': oneWay,
  handover,
  'restart-all': restartAll,
}

const STOP_MS_MIN = 200

/** kill -9; sometimes while another node stands still. */
async function kill(world: World): Promise<void> {
  const { random, cluster, schedule } = world
  const id = victimOf(world)
  const others = cluster.ids.filter(other => other !== id)
  const still = random.chance(0.2) ? random.pick(others) : undefined
  const ailment = still === undefined ? undefined : schedule.ail(still, 'stopped')
  if (still !== undefined) {
    cluster.signal(still, 'SIGSTOP')
    await pause(200 + random.below(2_500))
  }
  const role = roleOf(world, id)
  world.say(`kill ${id} (${role})${still === undefined ? '' : ` while ${still} is stopped`}`)
  const death = schedule.ail(id, 'killed')
  schedule.mark(`kill ${role}${still === undefined ? '' : ' + stop'}`)
  cluster.signal(id, 'SIGKILL')
  await cluster.ended(id)
  death.untilMs = performance.now()
  await pause(1_000 + random.below(2_000))
  if (still !== undefined) cluster.signal(still, 'SIGCONT')
  if (ailment !== undefined) ailment.untilMs = performance.now()
  await served(world, id)
  await cluster.serve(id)
}

/** SIGSTOP of 0.2 s to 20 s, short ones more often. */
async function stop(world: World): Promise<void> {
  const id = victimOf(world)
  const role = roleOf(world, id)
  const forMs = stopMs(world, world.limits.stopMsMax)
  world.say(`stop ${id} (${role}) for ${forMs} ms`)
  world.schedule.mark(`stop ${role}`)
  await stand(world, id, forMs)
}

function stopMs({ random }: World, msMax: number): number {
  return Math.round(STOP_MS_MIN * (msMax / STOP_MS_MIN) ** random.next())
}

export async function stand({ cluster, schedule }: World, id: string, ms: number): Promise<void> {
  const ailment = schedule.ail(id, 'stopped')
  cluster.signal(id, 'SIGSTOP')
  await pause(ms)
  cluster.signal(id, 'SIGCONT')
  ailment.untilMs = performance.now()
}

/** By the command where this version has it, and by SIGTERM, which hands over before it exits. */
async function handover(world: World): Promise<void> {
  const { cluster, network, schedule } = world
  const id = masterOf(world)
  if (world.hasHandover && world.random.chance(0.7)) {
    world.say(`gcache handover from ${id}`)
    schedule.mark('handover')
    const server = network.address(OBSERVER, id)
    await cluster
      .command(['handover', '--cluster', CLUSTER, '--server', server])
      // Exit 1 is a no, which a busy machine may earn; what it must not do is lose or double.
      .catch((error: Error) => schedule.skipped.push(error.message))
    return
  }
  world.say(`SIGTERM to ${id} (master)`)
  schedule.mark('SIGTERM master')
  await restart(world, id, 'SIGTERM')
}

/** One after the other, politely or not. */
async function restartAll(world: World): Promise<void> {
  for (const id of world.cluster.ids) {
    const signal = world.random.chance(0.5) ? 'SIGTERM' : 'SIGKILL'
    const role = roleOf(world, id)
    world.say(`restart ${id} (${role}) by ${signal}`)
    world.schedule.mark(`restart ${role}`)
    await restart(world, id, signal)
    await whole(world)
  }
}

async function restart(world: World, id: string, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const { cluster, schedule } = world
  const death = schedule.ail(id, 'killed')
  cluster.signal(id, signal)
  const code = await cluster.ended(id)
  death.untilMs = performance.now()
  if (signal === 'SIGTERM' && code !== 0) world.findings.push(`${id} ended with ${code} on SIGTERM`)
  await served(world, id)
  await cluster.serve(id)
}
