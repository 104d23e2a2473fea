/**
 * Network splits. Nodes are cut from nodes; clients reach all nodes, or, half of the time, each but
 * the first stands on one side, so that masters on both sides are written to.
 */

import { stand } from './faults.js'
import { type CutMode, OBSERVER } from './network.js'
import type { Separation } from './schedule.js'
import { pause, victimOf, type World } from './world.js'

const SPLIT_MS_MIN = 2_000

/** One node, a minority, or a single pair; both ways. */
export async function split(world: World): Promise<void> {
  const { random, network } = world
  const kind = random.pick(['one', 'one', 'minority', 'pair'])
  const mode = random.pick<CutMode>(['vanish', 'vanish', 'stall', 'reset'])
  const [first, second] = shuffled(world)
  const side = kind === 'one' ? [victimOf(world)] : kind === 'pair' ? [first] : minority(world)
  const rest = network.nodes.filter(id => !side.includes(id))
  const there = kind === 'pair' ? [second] : rest
  const apart = kind === 'pair' ? new Set<string>() : clientsApart(world)
  for (const one of side)
    for (const other of there) {
      network.cut(one, other, mode)
      network.cut(other, one, mode)
    }
  for (const client of apart) {
    const unreached = random.chance(0.5) ? side : there
    for (const id of unreached) {
      network.cut(client, id, mode)
      network.cut(id, client, mode)
    }
  }
  const also = random.chance(0.2) ? random.pick(network.nodes) : undefined
  await hold(world, 'split', `${side.join('')} | ${there.join('')} (${mode})`, [...apart], also)
}

/** What one node says to one or all others is lost, or what they say to it. */
export async function oneWay(world: World): Promise<void> {
  const { random, network } = world
  const mode = random.pick<CutMode>(['vanish', 'vanish', 'stall'])
  const id = victimOf(world)
  const others = network.nodes.filter(other => other !== id)
  const deaf = random.chance(0.5)
  const some = random.chance(0.7) ? others : [random.pick(others)]
  for (const other of some)
    if (deaf) network.cut(other, id, mode)
    else network.cut(id, other, mode)
  const arrow = deaf ? '<-/-' : '-/->'
  await hold(world, 'one-way', `${id} ${arrow} ${some.join('')} (${mode})`, [], undefined)
}

/** For 2 s to 10 s; `also` stands still for a part of it. */
async function hold(
  world: World,
  name: string,
  how: string,
  apart: readonly string[],
  also: string | undefined,
): Promise<void> {
  const { network, schedule, random, limits } = world
  const forMs = SPLIT_MS_MIN + random.below(Math.max(1, limits.splitMsMax - SPLIT_MS_MIN))
  const clients = apart.length === 0 ? '' : `, on one side: ${apart.join(' ')}`
  const stopped = also === undefined ? '' : `, ${also} stopped`
  world.say(`${name} ${how} for ${forMs} ms${clients}${stopped}`)
  schedule.mark(`${name}${also === undefined ? '' : ' + stop'}`)
  const separation: Separation = schedule.separate(frozen(world))
  const standing = also === undefined ? undefined : stand(world, also, random.below(forMs))
  await pause(forMs)
  await standing
  network.heal()
  separation.untilMs = performance.now()
}

/** Who is linked now, for verdicts after the heal. */
function frozen({ network }: World): Separation['linked'] {
  const linked = new Set<string>()
  for (const one of network.nodes)
    for (const other of network.nodes) if (network.linked(one, other)) linked.add(`${one} ${other}`)
  return (one, other) => linked.has(`${one} ${other}`)
}

/** Less than half of the nodes, at least one. */
function minority(world: World): string[] {
  const size = Math.max(1, Math.floor((world.network.nodes.length - 1) / 2))
  return shuffled(world).slice(0, size)
}

function clientsApart({ random, network }: World): Set<string> {
  if (random.chance(0.5)) return new Set()
  return new Set(network.clients.slice(1).filter(client => client !== OBSERVER))
}

function shuffled({ random, network }: World): string[] {
  const ids = [...network.nodes]
  for (let i = ids.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    const held = ids[i]
    ids[i] = ids[j]
    ids[j] = held
  }
  return ids
}
