/** What a fault needs: the nodes, their network, somebody who watches, and the seeded choices. */
import type { Client } from '../../src/client/connect.js'
import type { ClusterStatus } from '../../src/client/status.js'
import type { SeededRandom } from '../../src/core/prng.js'
import type { Cluster } from './cluster.js'
import type { Network } from './network.js'
import type { Recorder } from './record.js'
import type { Schedule } from './schedule.js'

/** Convergence is asserted by being waited for: two cores may be shared with much else. */
const WHOLE_MS_MAX = 90_000
const SERVED_MS_MAX = 10_000
const POLL_MS = 100

export interface Limits {
  /** A SIGSTOP lasts 0.2 s up to so long. */
  readonly stopMsMax: number
  /** A split lasts 2 s up to so long. */
  readonly splitMsMax: number
}

export interface World {
  readonly network: Network
  readonly cluster: Cluster
  readonly observer: Client
  readonly recorder: Recorder
  readonly schedule: Schedule
  readonly random: SeededRandom
  readonly limits: Limits
  /** `gcache handover` exists. */
  readonly hasHandover: boolean
  readonly findings: string[]
  say(line: string): void
}

export function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

/** The node whose ack came last. */
export function masterOf(world: World): string {
  return world.cluster.ids[world.recorder.masterOrdinal ?? 0]
}

/** The master with 60 %, else one of the others. */
export function victimOf(world: World): string {
  const master = masterOf(world)
  if (world.random.chance(0.6)) return master
  return world.random.pick(world.cluster.ids.filter(id => id !== master))
}

export function roleOf(world: World, id: string): string {
  return id === masterOf(world) ? 'master' : 'slave'
}

/**
 * Resolves once one master serves, all others are online and hold all that it held when this began:
 * from then on any one memory may be lost. Rejects after 90 s.
 */
export async function whole(world: World): Promise<void> {
  let floor = Number.POSITIVE_INFINITY
  await until(world, 'sync of all nodes', WHOLE_MS_MAX, status => {
    if (!status.members.every(member => member.state === 'online')) return false
    if (status.members.filter(member => member.role === 'master').length !== 1) return false
    const offsets = status.members.map(member => member.offset)
    const held = Math.min(...offsets) >= floor
    floor = Math.min(floor, Math.max(...offsets))
    return held && status.members.length === world.cluster.ids.length
  })
}

/**
 * Resolves once a node other than `but` is master, at most 10 s later. It need not serve: where a
 * write needs every node, as in profile strict, it cannot before `but` is back.
 */
export async function served(world: World, but: string): Promise<void> {
  await until(world, `master beside ${but}`, SERVED_MS_MAX, status =>
    status.members.some(
      ({ id, role, state }) => id !== but && role === 'master' && state !== 'down',
    ),
  ).catch((error: Error) => world.say(`${error.message}; going on`))
}

/** Resolves once nobody writes and all nodes hold the same log. */
export async function even(world: World): Promise<void> {
  await until(world, 'equal logs', WHOLE_MS_MAX, status => {
    const offsets = new Set(status.members.map(member => member.offset))
    return offsets.size === 1 && status.members.every(member => member.state === 'online')
  })
}

async function until(
  world: World,
  what: string,
  msMax: number,
  holds: (status: ClusterStatus) => boolean,
): Promise<void> {
  const deadline = performance.now() + msMax
  let last = 'nobody answered'
  for (;;) {
    const status = await world.observer.status().catch(() => undefined)
    if (status !== undefined) {
      if (holds(status)) return
      last = status.members.map(m => `${m.id} ${m.role} ${m.state} ${m.offset}`).join(', ')
    }
    if (performance.now() > deadline) throw new Error(`no ${what} in ${msMax} ms: ${last}`)
    await pause(POLL_MS)
  }
}
