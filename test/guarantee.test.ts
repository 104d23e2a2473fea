/**
 * The guarantee in one sentence. What it says of nodes that are down and of memories that are lost
 * is compared with a count of all cases, which knows the rules of acks and promises and none of the
 * sentence's own sums; and with simulated clusters, where the nodes are really down.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Ack, Member } from '../src/contracts/types.js'
import { seededRandom } from '../src/core/prng.js'
import { SimulatedCluster } from '../src/testing/cluster.js'
import { type MasterSlaveOptions, masterSlave } from '../strategies/master-slave/index.js'
import type { Profile } from '../strategies/master-slave/options.js'
import { MAJORITY, World } from './harness/profile-world.js'

describe('the guarantee', () => {
  it.each<[MasterSlaveOptions, number, boolean, RegExp]>([
    [
      {},
      2,
      false,
      /^2 nodes, no witness, ordinal: survives one crash.*two masters, merged on heal/,
    ],
    [{}, 3, false, /survives one crash.*W 2 \+ P 1 <= N 3.*without a slave refuses/],
    [{ ack: 'master' }, 3, false, /crash of the master may lose/],
    [MAJORITY, 3, false, /never loses.*one memory.*W 2 \+ P 2 > N 3.*with 1 down.*at most one/],
    [MAJORITY, 5, false, /up to 2 memories.*W 3 \+ P 3 > N 5.*fails over with 2 down/],
    [MAJORITY, 2, true, /one witness.*unless a node that writes alone.*W 2 \+ P 2 > N 3/],
    [{ profile: 'strict' }, 3, false, /never loses.*W 3 \+ P 1 > N 3.*writes with 0 down/],
    [{}, 1, false, /survives no crash/],
  ])('of %o with %i nodes, witness %s', (options, nodes, witness, text) => {
    const strategy = masterSlave(options) as never
    const random = seededRandom(1)
    const cluster = new SimulatedCluster({ nodes, random, strategy, witness })
    cluster.startAll()
    cluster.run(100)
    expect(cluster.node('a').status().guarantee).toMatch(text)
  })

  const rows = readFileSync(new URL('../ARCHITECTURE.md', import.meta.url), 'utf8')
    .split('\n')
    .map(line => /^\| `(.*)`, (\d) nodes?( and a witness)? +\| (.*?) +\|$/.exec(line))
    .filter(match => match !== null)

  it('of ARCHITECTURE.md is what the server prints, row by row', () => {
    expect(rows.length).toBeGreaterThanOrEqual(6)
    for (const [, text, nodes, witness, printed] of rows) {
      const strategy = masterSlave(JSON.parse(text) as MasterSlaveOptions) as never
      const cluster = new SimulatedCluster({
        ...{ nodes: Number(nodes), random: seededRandom(1), strategy },
        witness: witness !== undefined,
      })
      cluster.startAll()
      cluster.run(100)
      expect(cluster.node('a').status().guarantee).toBe(printed)
    }
  })
})

interface Case {
  readonly profile: Profile
  readonly ack: Ack
  readonly inSyncMin: number
  readonly slavesToWriteMin: number
  readonly data: number
  readonly witnesses: number
}

/** Nodes that run: those that hold data, and witnesses. */
interface Up {
  readonly data: number
  readonly witnesses: number
}

const PROFILES: readonly Profile[] = ['ordinal', 'strict', 'majority']
const ACKS: readonly Ack[] = [
  ...(['none', 'master', 'slaves:0', 'slaves:1', 'slaves:2', 'slaves:4'] as const),
  ...(['majority', 'insync', 'all'] as const),
]

function* cases(): Generator<Case> {
  for (const profile of PROFILES)
    for (const ack of ACKS)
      for (const inSyncMin of [1, 2])
        for (const slavesToWriteMin of [0, 1, 2])
          for (const data of [2, 3, 4, 5])
            for (const witnesses of [0, 1, 2])
              yield { profile, ack, inSyncMin, slavesToWriteMin, data, witnesses }
}

/** What one node prints; undefined: the options are refused. */
function sentenceOf(c: Case, durability: 'memory' | 'fsync' = 'memory'): string | undefined {
  const { data, witnesses, ...options } = c
  const members = Array.from({ length: data + witnesses }, (_, i) => ({
    ...{ id: `n${i}`, ordinal: i, address: `memory://n${i}` },
    ...(i < data ? {} : { witness: true }),
  }))
  try {
    return printed(options, members, members, durability)
  } catch (error) {
    expect(error).toMatchObject({ code: 'CONFIG' })
    return undefined
  }
}

function printed(
  options: MasterSlaveOptions,
  made: readonly Member[],
  members: readonly Member[],
  durability: 'memory' | 'fsync' = 'memory',
): string {
  const log = {
    ...{ first: 1, next: 1, durable: 1, applied: 1 },
    ...{ read: () => [], crcBefore: () => 0, epochBefore: () => undefined },
  }
  const strategy = masterSlave(options)({
    ...{ self: 'n0', incarnation: 'a'.repeat(16), random: seededRandom(1) },
    ...{ frameBytesMax: 2 ** 20, durability, members: made, log: () => log as never },
  })
  const nothing = new Proxy({}, { get: () => () => {} }) as never
  strategy.step({ kind: 'view', view: 1, members }, nothing)
  return strategy.status().guarantee
}

/** Logs that hold data and must have a write before its answer, the commit aside. */
function logsOf({ profile, ack, inSyncMin, data }: Case): number {
  if (ack === 'insync') return inSyncMin
  if (ack === 'all') return data
  // A commit in this profile is just that.
  if (ack === 'majority') return profile === 'majority' ? 1 : Math.floor(data / 2) + 1
  return ack === 'none' || ack === 'master' ? 1 : 1 + Number(ack.slice('slaves:'.length))
}

function most(nodes: number): number {
  return Math.floor(nodes / 2) + 1
}

/** Can one of `up` lead and answer, if those that are down are merely silent? */
function canLead(c: Case, up: Up): boolean {
  if (up.data === 0) return false
  if (c.profile === 'strict') return up.data === c.data
  if (c.profile === 'ordinal') return up.data - 1 >= c.slavesToWriteMin
  return up.data + up.witnesses >= most(c.data + c.witnesses)
}

/** Can a write with the default ack be answered? */
function canWrite(c: Case, up: Up): boolean {
  if (!canLead(c, up) || up.data - 1 < c.slavesToWriteMin || up.data < logsOf(c)) return false
  return c.profile !== 'majority' || up.data + up.witnesses >= most(c.data + c.witnesses)
}

/** The subsets of `nodes` things, as numbers whose bits are those in them. */
function subsets(nodes: number): number[] {
  return Array.from({ length: 2 ** nodes }, (_, bits) => bits)
}

function sizeOf(bits: number): number {
  let size = 0
  for (let rest = bits; rest > 0; rest &= rest - 1) size++
  return size
}

/** Most nodes of which any may be down while `can` holds; -1: it never does. */
function mostDown({ data, witnesses }: Case, can: (up: Up) => boolean): number {
  const dataBits = 2 ** data - 1
  const failing = subsets(data + witnesses).filter(down => {
    const dataDown = sizeOf(down & dataBits)
    const up = { data: data - dataDown, witnesses: witnesses - (sizeOf(down) - dataDown) }
    return !can(up)
  })
  return Math.min(...failing.map(sizeOf)) - 1
}

/** Most data nodes whose memories may be gone, any of them, with each answered write left. */
function mostForgotten(c: Case): number {
  const nodes = c.data + c.witnesses
  const dataBits = 2 ** c.data - 1
  const commit = c.profile === 'strict' ? nodes : c.profile === 'majority' ? most(nodes) : 1
  const holders = subsets(nodes).filter(
    held => sizeOf(held) >= commit && sizeOf(held & dataBits) >= Math.max(1, logsOf(c)),
  )
  const fatal = subsets(c.data).filter(lost =>
    holders.some(held => (held & dataBits & ~lost) === 0),
  )
  return Math.min(...fatal.map(sizeOf)) - 1
}

function numbersOf(text: string) {
  const [, failover, proved, writes] =
    /fails over with (\d) down(?: \((\d) if proved dead\))?, writes with (\d) down/.exec(text) ?? []
  const never = text.includes('never loses')
  const memories = /unless a node that writes alone/.test(text)
    ? 0
    : /one memory is lost/.test(text)
      ? 1
      : Number(/up to (\d) memories/.exec(text)?.[1])
  return {
    ...{ failover: Number(failover), proved: Number(proved ?? failover) },
    ...{ writes: Number(writes), memories: never ? memories : undefined },
  }
}

describe('of nodes down and memories lost the guarantee says as much as is true', () => {
  it('in every profile, with every ack, of two to five nodes and up to two witnesses', () => {
    let accepted = 0
    for (const c of cases()) {
      const text = sentenceOf(c)
      if (text === undefined) continue
      accepted++
      const numbers = numbersOf(text)
      const silent = mostDown(c, up => canLead(c, up))
      const proved = c.profile === 'ordinal' ? c.data - 1 : silent
      const writes = mostDown(c, up => canWrite(c, up))
      const memories = numbers.memories === undefined ? undefined : mostForgotten(c)
      expect(numbers, `${JSON.stringify(c)} prints: ${text}`).toEqual({
        ...{ failover: silent, proved, writes, memories },
      })
    }
    expect(accepted).toBeGreaterThan(700)
  })

  // In the other profiles who lost a network split cuts off what was never committed, no more.
  it('in profile ordinal a copy drops what was held, so while one is made less is promised', () => {
    let found = 0
    for (const c of cases()) {
      const text = sentenceOf(c) ?? ''
      const exposed = c.profile === 'ordinal' && text.includes('never loses')
      expect(/(memory|memories) .* and no node is being copied \(W/.test(text), text).toBe(exposed)
      if (!exposed) continue
      found++
      // What is on disk comes back with its node.
      expect(sentenceOf(c, 'fsync')).toContain('never loses an acknowledged write (W ')
    }
    expect(found).toBeGreaterThan(20)
  })

  it('says that nobody can write where too few nodes are left for what was asked', () => {
    const members = ['n0', 'n1', 'n2'].map((id, ordinal) => ({ id, ordinal, address: id }))
    const text = printed({ slavesToWriteMin: 2 }, members, members.slice(0, 2))
    expect(text).toContain(
      '; fails over with 0 down (1 if proved dead), too few nodes are left to write;',
    )
  })

  it.each<[MasterSlaveOptions, number, boolean]>([
    [{ profile: 'majority' }, 2, true],
    [{ profile: 'majority', ack: 'all' }, 2, true],
    [{ profile: 'majority', ack: 'slaves:1' }, 2, true],
    [{ profile: 'majority', slavesToWriteMin: 1 }, 2, true],
    [{ profile: 'majority', ack: 'insync', inSyncMin: 2 }, 2, true],
    [{ profile: 'majority', ack: 'all' }, 3, true],
    [{ profile: 'majority', ack: 'all' }, 3, false],
    [{ profile: 'strict' }, 3, false],
    [{}, 2, false],
    [{}, 3, false],
    [{ ack: 'all' }, 3, false],
    [{ slavesToWriteMin: 2 }, 3, false],
  ])('of %o with %i nodes, witness %s, where nodes are really down', (options, nodes, witness) => {
    const ids = [...['a', 'b', 'c'].slice(0, nodes), ...(witness ? ['w'] : [])]
    const { writes } = numbersOf(new World(nodes, options, witness).master.status().guarantee)
    const failed = (size: number) =>
      subsets(ids.length)
        .filter(down => sizeOf(down) === size)
        .map(down => ids.filter((_, i) => (down >> i) % 2 === 1))
        .filter(down => !isWritten(options, nodes, witness, down))
    expect(failed(writes)).toEqual([])
    expect(failed(writes + 1)).not.toEqual([])
  })

  it.each<[MasterSlaveOptions, number]>([
    [{}, 2],
    [{}, 3],
    [{}, 5],
    [{ slavesToWriteMin: 1 }, 2],
    [{ slavesToWriteMin: 2 }, 3],
    [{ slavesToWriteMin: 0 }, 3],
    [{ profile: 'strict' }, 3],
    [MAJORITY, 5],
  ])('of failover of %o with %i nodes, silent or proved dead', (options, nodes) => {
    const { master } = new World(nodes, options)
    const { failover, proved } = numbersOf(master.status().guarantee)
    const down = Array.from({ length: nodes + 1 }, (_, size) => size)
    const silent = down.map(size => isLed(options, nodes, size, 'power'))
    expect(silent).toEqual(down.map(size => size <= failover))
    const dead = down.map(size => isLed(options, nodes, size, 'kill'))
    expect(dead).toEqual(down.map(size => size <= proved))
  })

  /** The master and others are down, `size` in all: does one of the rest lead and answer? */
  function isLed(
    options: MasterSlaveOptions,
    nodes: number,
    size: number,
    how: 'kill' | 'power',
  ): boolean {
    const world = new World(nodes, options)
    const { cluster, master } = world
    for (const { id } of [master, ...world.others()].slice(0, size)) cluster.crash(id, how)
    cluster.run(10_000)
    return cluster.master() !== undefined
  }

  function isWritten(
    options: MasterSlaveOptions,
    nodes: number,
    witness: boolean,
    down: readonly string[],
  ): boolean {
    const world = new World(nodes, options, witness)
    const { cluster } = world
    for (const id of down) cluster.crash(id, 'power')
    cluster.run(10_000)
    const master = cluster.master()
    if (master === undefined) return false
    const call = world.set(master, 'k', Buffer.from('v'))
    cluster.run(4_000)
    return world.answers.get(call) === 'written'
  }
})
