/**
 * What hostile reviewers found, each as the history that showed it. Virtual time; the clusters are
 * those of the simulator.
 */
import { describe, expect, it } from 'vitest'
import type { Ack } from '../src/contracts/types.js'
import { seededRandom } from '../src/core/prng.js'
import { SimulatedCluster } from '../src/testing/cluster.js'
import type { SimulatedNode } from '../src/testing/simulated-node.js'
import { masterSlave } from '../strategies/master-slave/index.js'
import { Asker } from './harness/asker.js'

class Attack extends Asker {
  constructor(nodes: number, backlogEntriesMax?: number) {
    const strategy = masterSlave() as never
    const random = seededRandom(1)
    const limits = backlogEntriesMax === undefined ? {} : { backlogEntriesMax }
    super(new SimulatedCluster({ nodes, random, strategy, ...limits }))
    this.cluster.startAll()
    this.cluster.run(6_000)
  }
}

const value = Buffer.from('v')

describe('a slave of three that is cut off for two seconds', () => {
  //  a, b  ---- write, acknowledge ----------- still masters of their data
  //  c     ---- alone: must not lead --------- follows again, takes nothing away
  it.each(['insync', 'majority', 'slaves:1'] as Ack[])('wipes nothing at heal (%s)', ack => {
    const attack = new Attack(3)
    const { cluster, master } = attack
    const far = cluster.live().findLast(node => node !== master) as SimulatedNode
    cluster.split([far.id])
    const writes: [string, number][] = []
    for (let i = 0; i < 40; i++) {
      writes.push([`k${i}`, attack.set(master, `k${i}`, value, ack)])
      cluster.run(50)
    }
    cluster.mendAll()
    cluster.run(5_000)
    const acked = writes.filter(([, id]) => attack.answers.get(id) === 'written')
    expect(acked.length).toBeGreaterThan(20)
    const lost = acked.filter(([key]) => attack.master.version('c', key) === undefined)
    expect(lost).toEqual([])
  })
})

describe('a kill of the master while a slave is busy', () => {
  //  a  acks by c only (b is slow) -- dies
  //  b  stale, finds a dead         -- must wait for c's promise
  //  c  holds all, busy for 300 ms  ------------^
  it.each([
    ['majority', 400],
    ['insync', 3_200],
  ] as [Ack, number][])('loses nothing that only it holds (%s)', (ack, slowMs) => {
    const attack = new Attack(3)
    const { cluster, master } = attack
    const [near, busy] = cluster.live().filter(node => node !== master)
    cluster.clog(master.id, near.id, slowMs + 200)
    const writes: [string, number][] = []
    for (let t = 0; t < slowMs; t += 20) {
      writes.push([`k${t}`, attack.set(master, `k${t}`, value, ack)])
      cluster.run(20)
    }
    cluster.stall(busy.id, 300)
    cluster.crash(master.id)
    cluster.run(4_000)
    const acked = writes.filter(([, id]) => attack.answers.get(id) === 'written')
    expect(acked.length).toBeGreaterThan(5)
    expect(acked.filter(([key]) => attack.master.version('c', key) === undefined)).toEqual([])
  })
})

describe('large values', () => {
  it('behind a few unsent bytes do not stop time: a refused frame waits for room', () => {
    const attack = new Attack(2)
    const { cluster, master } = attack
    cluster.network.setFaults({ bytesPerMs: 100_000 })
    attack.set(master, 'x', Buffer.alloc(200_000), 'master')
    attack.set(master, 'y', Buffer.alloc(1_000_000), 'master')
    const until = cluster.now() + 1_000
    let events = 0
    while (events < 100_000 && cluster.clock.step(until)) events++
    expect(events).toBeLessThan(20_000)
  })

  it.each([400, 600, 1_000])('of %d KiB are copied to a node that comes back empty', kib => {
    // A backlog of 20 entries: only a full copy will do.
    const attack = new Attack(2, 20)
    const { cluster, master } = attack
    cluster.network.setFaults({ bytesPerMs: 100_000, latencyMsMin: 0.2, latencyMsMax: 0.2 })
    const slave = cluster.live().find(node => node !== master) as SimulatedNode
    cluster.crash(slave.id)
    for (let i = 0; i < 30; i++) {
      attack.set(master, `k${i}`, Buffer.alloc(kib * 1_024), 'master')
      cluster.run(20)
    }
    cluster.run(1_000)
    cluster.start(slave.id)
    cluster.run(12_000)
    const back = cluster.live().find(node => node.id === slave.id) as SimulatedNode
    expect(back.status().self.state).toBe('online')
    expect(back.digest()).toBe(attack.master.digest())
  })
})

describe('a backlog of 20 entries', () => {
  // Seed 177 of the simulator: writes during a copy ran away from the backlog, again and again.
  it('does not keep a node from being copied while writes go on', () => {
    const attack = new Attack(2, 20)
    const { cluster, master } = attack
    const slave = cluster.live().find(node => node !== master) as SimulatedNode
    cluster.crash(slave.id)
    for (let i = 0; i < 300; i++) attack.set(master, `k${i}`, Buffer.alloc(10_000), 'master')
    cluster.run(2_000)
    cluster.network.setFaults({ bytesPerMs: 1_000 })
    cluster.start(slave.id)
    for (let i = 0; i < 3_000; i++) {
      attack.set(master, `k${i % 300}`, Buffer.alloc(100), 'master')
      cluster.run(1)
    }
    cluster.run(1_000)
    const back = cluster.live().find(node => node.id === slave.id) as SimulatedNode
    expect(back.status().self.state).toBe('online')
    expect(back.digest()).toBe(attack.master.digest())
  })
})

describe('a node that was fed half of the log when all others died', () => {
  // Seeds 1846 and 1855: it dropped what it had, though nobody in reach had anything.
  it('keeps that half: the others come back empty and get it', () => {
    const attack = new Attack(3)
    const { cluster, master } = attack
    const [late, other] = cluster.live().filter(node => node !== master)
    cluster.crash(late.id)
    for (let i = 0; i < 200; i++) {
      attack.set(master, `k${i}`, Buffer.alloc(10_000), 'master')
      cluster.run(5)
    }
    cluster.run(1_000)
    cluster.network.setFaults({ bytesPerMs: 1_000 })
    cluster.start(late.id)
    cluster.runUntil(() => cluster.node(late.id).applied() > 30, 5_000)
    cluster.crash(master.id)
    cluster.crash(other.id)
    cluster.run(1_000)
    cluster.start(master.id)
    cluster.start(other.id)
    cluster.run(8_000)
    expect(attack.master.version('c', 'k20')).toBeGreaterThan(0)
    expect(cluster.converged(['a', 'b', 'c'])).toBe(true)
  })
})

describe('a node that reaches nobody and has no data', () => {
  // Seed 1077: the history it minted was the older one, so it replaced what others acknowledged.
  it('mints no history in a cluster of three', () => {
    const attack = new Attack(3)
    const { cluster } = attack
    for (const { id } of cluster.members) cluster.crash(id, 'power')
    cluster.start('a')
    cluster.run(20_000)
    expect(cluster.master()).toBe(undefined)
    expect(cluster.node('a').status().self.state).toBe('empty')
  })
})

describe('a master that nobody answers', () => {
  // Found on real processes: its heartbeats still arrived, so nobody suspected it, and writes
  // stopped for as long as the network failed in that direction.
  it('is replaced, though it is heard', () => {
    const attack = new Attack(3)
    const { cluster, master } = attack
    for (const other of cluster.live()) if (other !== master) cluster.cut(other.id, master.id, true)
    const id = master.id
    expect(cluster.runUntil(() => cluster.master()?.id !== id, 4_000)).toBe(true)
    cluster.run(500)
    const write = attack.set(attack.master, 'k', value)
    cluster.run(300)
    expect(attack.answers.get(write)).toBe('written')
  })
})

describe('a slave whose master was fenced after a split', () => {
  // Nemesis, five nodes, seed 19: it had not heard of the majority's epoch, promoted itself within
  // 121 ms of the heal, and all that the majority had written had to be merged.
  it.each([0, 20, 45, 70, 90])('waits for the one that fenced it (heal %i ms later)', ms => {
    const attack = new Attack(5)
    const { cluster, master } = attack
    const companion = cluster.live().findLast(node => node !== master) as SimulatedNode
    cluster.split([master.id, companion.id])
    cluster.run(9_000 + ms)
    const winner = cluster.live().find(node => {
      const { role, serving } = node.engine.standing
      return role === 'master' && serving && node !== master
    }) as SimulatedNode
    const { epoch } = winner.engine.standing
    cluster.mendAll()
    cluster.run(6_000)
    expect(attack.master.id).toBe(winner.id)
    expect(attack.master.engine.standing.epoch).toEqual(epoch)
  })
})

describe('a window', () => {
  it('at the end of numbers ends that call, not the cluster', () => {
    const attack = new Attack(3)
    const window = { id: 'p'.repeat(16), lowest: Number.MAX_SAFE_INTEGER }
    expect(() => attack.open(attack.master, window)).toThrow(/window of/)
    const id = attack.set(attack.master, 'k', value)
    attack.cluster.run(200)
    expect(attack.answers.get(id)).toBe('written')
  })

  it('of its own for each of 30,000 strangers leaves no more than about 10,000', () => {
    const attack = new Attack(1)
    for (let i = 0; i < 30_000; i++) {
      attack.open(attack.master, { id: i.toString(16).padStart(16, '0'), lowest: 1 })
      if (i % 50 === 0) attack.cluster.run(10)
    }
    attack.cluster.run(100)
    expect(attack.master.windows()).toBeLessThan(10_200)
  })
})
