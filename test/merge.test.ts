/**
 * What becomes of the losing side of a network split, as histories on the simulated cluster: its
 * writes are merged into the winner's log before the copy that replaces them, once and only once.
 *
 *   a, b  -- split --  each writes  -- mended --  loser gives its records  --  copy  -- equal
 */
import { describe, expect, it } from 'vitest'
import type { MergeFunction } from '../src/contracts/merge.js'
import { systemWorld } from '../src/defaults.js'
import { createNode } from '../src/node.js'
import { masterSlave } from '../strategies/master-slave/index.js'
import { MemoryNetwork } from '../transports/memory.js'
import { type Divergence, Heal, type HealOptions, names, pair } from './harness/heal.js'
import { World } from './harness/profile-world.js'

describe('two nodes that were split for two minutes', () => {
  function written(options: HealOptions = {}): Heal {
    const heal = new Heal(2, options)
    heal.set('a', 'kept', 'before')
    heal.split('b')
    for (const i of names('', 30)) {
      heal.set('a', `a${i}`, `of a ${i}`)
      heal.set('b', `b${i}`, `of b ${i}`)
      heal.cluster.run(4_000)
    }
    for (const i of names('', 5)) {
      heal.set('a', `old-a${i}`, 'older')
      heal.set('b', `old-a${i}`, 'newer')
      heal.set('b', `old-b${i}`, 'older')
      heal.set('a', `old-b${i}`, 'newer')
    }
    heal.heal()
    return heal
  }

  it('lose no key that one side alone wrote, and keep the newer value of the others', () => {
    const heal = written()
    for (const i of names('', 30)) {
      expect(heal.read(`a${i}`)).toBe(`of a ${i}`)
      expect(heal.read(`b${i}`)).toBe(`of b ${i}`)
    }
    for (const i of names('', 5)) {
      expect(heal.read(`old-a${i}`)).toBe('newer')
      expect(heal.read(`old-b${i}`)).toBe('newer')
    }
    expect(heal.read('kept')).toBe('before')
    heal.expectEqual()
  })

  it('tell on both sides what became of it', () => {
    const heal = written()
    const master = heal.master.id
    const loser = master === 'a' ? 'b' : 'a'
    expect(heal.divergences).toHaveLength(2)
    const { history } = heal.master.status()
    const counts = { records: 40, merged: 35, discarded: 5, conflicts: 10, clears: 0 }
    const entries = heal.merged?.entries as number
    expect(entries).toBeGreaterThanOrEqual(40)
    expect(heal.merged).toEqual({
      ...{ node: master, peer: loser, history, entries, ...counts, removalsKnown: true },
    })
    expect(heal.divergences[1]).toEqual({ node: loser, entries, history, into: history, master })
  })

  it('drop and count the losing side under discard', () => {
    const heal = written({ merge: 'discard' })
    const master = heal.master.id
    const loser = master === 'a' ? 'b' : 'a'
    expect(heal.read(`${master}1`)).toBe(`of ${master} 1`)
    for (const i of names('', 30)) expect(heal.read(`${loser}${i}`)).toBeUndefined()
    const { entries } = heal.merged as Divergence
    expect(heal.merged).toMatchObject({ merged: 0, lost: entries, reason: 'discard' })
    heal.expectEqual()
  })

  it('ask the function of the application, for keys that both wrote and no others', () => {
    const asked: string[] = []
    const heal = written({
      onMerge: (cache, key, mine, theirs) => {
        asked.push(`${cache}/${key}`)
        if (key === 'old-a0') return 'mine'
        if (key === 'old-a1') return 'theirs'
        if (key === 'old-a2') throw new Error('I do not know')
        if (key === 'old-a3') return 'neither' as never
        const [one, two] = [mine, theirs].map(side => Buffer.from(side?.value ?? []).toString())
        return Buffer.from(`${one}+${two}`)
      },
    })
    const [won, lost] = heal.master.id === 'a' ? ['older', 'newer'] : ['newer', 'older']
    expect(asked.sort()).toEqual(['a', 'b'].flatMap(side => names(`c/old-${side}`, 5)).sort())
    expect(heal.read('old-a0')).toBe(won)
    expect(heal.read('old-a1')).toBe(lost)
    expect(heal.read('old-a2')).toBe('newer')
    expect(heal.read('old-a3')).toBe('newer')
    expect(heal.read('old-a4')).toBe(`${won}+${lost}`)
    expect(heal.read('a7')).toBe('of a 7')
    heal.expectEqual()
  })
})

describe('per key', () => {
  it('a removal is merged like a write: the newer one counts', () => {
    const { heal, loser, winner } = pair({}, (heal, master) => {
      for (const key of ['gone', 'revived', 'late', 'twice']) heal.set(master, key, 'before')
    })
    heal.delete(loser, 'gone')
    heal.delete(loser, 'revived')
    heal.set(winner, 'revived', 'after')
    heal.set(winner, 'late', 'winner')
    heal.delete(loser, 'late')
    heal.set(loser, 'out', 'logged in')
    heal.set(winner, 'out', 'logged in')
    heal.delete(winner, 'out')
    heal.delete(loser, 'twice')
    heal.delete(winner, 'twice')
    heal.heal()
    expect(heal.master.id).toBe(winner)
    expect(heal.read('gone')).toBeUndefined()
    expect(heal.read('revived')).toBe('after')
    expect(heal.read('late')).toBeUndefined()
    expect(heal.read('out')).toBeUndefined()
    expect(heal.merged).toMatchObject({ records: 5, merged: 3, discarded: 2, conflicts: 3 })
    heal.expectEqual()
  })

  it('a life ends when it would have ended, and a touch alone keeps the version', () => {
    const { heal, loser } = pair({}, (heal, master) => {
      heal.set(master, 'session', 's', { ttlMs: 60_000 })
      heal.set(master, 'other', 'o', { ttlMs: 60_000 })
    })
    heal.touch(loser, 'session', { ttlMs: 600_000 })
    heal.set(loser, 'idle', 'i', { idleMs: 300_000, ttlMs: 900_000 })
    const session = heal.node(loser).record('c', 'session')
    const idle = heal.node(loser).record('c', 'idle')
    heal.heal()
    expect(heal.master.id).not.toBe(loser)
    const { version, expiresAt, deadline } = session as NonNullable<typeof session>
    expect(heal.master.record('c', 'session')).toMatchObject({ version, expiresAt, deadline })
    const life = { expiresAt: idle?.expiresAt, deadline: idle?.deadline, idleMs: 300_000 }
    expect(heal.master.record('c', 'idle')).toMatchObject({ value: 'i', ...life })
    heal.cluster.run(301_000)
    expect(heal.read('idle')).toBeUndefined()
    expect(heal.read('other')).toBeUndefined()
    expect(heal.read('session')).toBe('s')
    heal.expectEqual()
  })

  it('a newer value that has expired takes the older one with it', () => {
    const { heal, loser } = pair({}, (heal, master) => {
      heal.set(master, 'soon', 'old')
      heal.set(master, 'later', 'old')
    })
    heal.set(loser, 'soon', 'new', { ttlMs: 100 })
    heal.cluster.run(1_000)
    heal.set(loser, 'later', 'new', { ttlMs: 60 })
    heal.heal()
    expect(heal.read('soon')).toBeUndefined()
    expect(heal.read('later')).toBeUndefined()
    heal.expectEqual()
  })

  it('a clear of the losing side removes what is known to be gone, and is counted', () => {
    const { heal, loser, winner } = pair({}, (heal, master) => {
      heal.set(master, 'named', 'before')
      heal.set(master, 'unnamed', 'before')
    })
    heal.set(loser, 'named', 'again')
    heal.clear(loser)
    heal.set(loser, 'after', 'the clear')
    heal.set(winner, 'mine', 'too')
    heal.heal()
    expect(['named', 'unnamed', 'after', 'mine'].map(key => heal.read(key))).toEqual([
      ...[undefined, 'before', 'the clear', 'too'],
    ])
    expect(heal.merged).toMatchObject({ clears: 1, records: 2, merged: 2 })
    heal.expectEqual()
  })

  it('what the log has forgotten is found in the store; only removals are lost', () => {
    const { heal, loser, winner } = pair({ backlogEntriesMax: 20 }, (heal, master) => {
      for (const key of names('k', 50)) heal.set(master, key, 'before')
    })
    for (const key of names('l', 50)) heal.set(loser, key, 'loser')
    heal.delete(loser, 'k1')
    for (const key of names('m', 30)) heal.set(loser, key, 'loser')
    for (const key of names('w', 50)) heal.set(winner, key, 'winner')
    heal.heal()
    expect(heal.merged).toMatchObject({ records: 80, merged: 80, removalsKnown: false })
    for (const key of [...names('l', 50), ...names('m', 30)]) expect(heal.read(key)).toBe('loser')
    for (const key of names('w', 50)) expect(heal.read(key)).toBe('winner')
    expect(heal.read('k1')).toBe('before')
    heal.expectEqual()
  })
})

describe('three nodes', () => {
  it('merge what a minority wrote, also when it diverges a second time', () => {
    const heal = new Heal(3)
    const first = heal.master.id
    for (let round = 0; round < 2; round++) {
      const loser = heal.master.id
      heal.split(loser)
      const others = heal.cluster.live().filter(({ id }) => id !== loser)
      const winner = others.find(({ engine }) => engine.standing.role === 'master')
      for (const key of names(`l${round}-`, 20)) heal.set(loser, key, 'lost?')
      for (const key of names(`w${round}-`, 20)) heal.set(winner?.id ?? '', key, 'won')
      heal.heal()
      expect(heal.master.id).not.toBe(loser)
      heal.expectEqual()
    }
    for (let round = 0; round < 2; round++)
      for (const i of names('', 20)) {
        expect(heal.read(`l${round}-${i}`)).toBe('lost?')
        expect(heal.read(`w${round}-${i}`)).toBe('won')
      }
    expect(heal.divergences.filter(one => one.peer === first)).toHaveLength(1)
    expect(heal.divergences).toHaveLength(4)
  })

  it('each alone, all keep what they wrote, and the newest of the three wins', () => {
    const heal = new Heal(3)
    heal.split('a')
    heal.cluster.cut('b', 'c')
    heal.cluster.run(4_000)
    // The one that was master writes last but one, so the order of merging must not matter.
    for (const id of ['b', 'c', 'a']) heal.set(id, `only-${id}`, id)
    for (const id of ['a', 'c', 'b']) heal.set(id, 'equal', id)
    heal.heal(8_000)
    for (const id of ['a', 'b', 'c']) expect(heal.read(`only-${id}`)).toBe(id)
    expect(heal.read('equal')).toBe('b')
    heal.expectEqual()
  })

  it('two losers with one suffix merge it once', () => {
    let asked = 0
    const heal = new Heal(5, {
      onMerge: (_cache, _key, mine, theirs) => {
        asked++
        const sum = Number(Buffer.from(mine?.value ?? []).toString() || 0)
        return Buffer.from(`${sum + Number(Buffer.from(theirs?.value ?? []).toString() || 0)}`)
      },
    })
    const first = heal.master.id
    const [near, ...far] = heal.cluster.live().filter(({ id }) => id !== first)
    heal.split(first, near.id)
    const winner = far.find(({ engine }) => engine.standing.role === 'master')?.id as string
    heal.set(first, 'sum', '40')
    heal.set(winner, 'sum', '2')
    heal.heal()
    expect(heal.read('sum')).toBe('42')
    expect(asked).toBe(1)
    expect(heal.divergences.filter(one => one.peer !== undefined)).toHaveLength(2)
    heal.expectEqual()
  })
})

describe('histories that began apart', () => {
  it('become one: the younger merges into the older, the newer value of a key wins', () => {
    const heal = new Heal(2, { start: ['a'], runMs: 6_000 })
    heal.cluster.split(['b'])
    heal.start('b')
    heal.cluster.run(8_000)
    for (const key of names('a', 10)) heal.set('a', key, 'of a')
    for (const key of names('b', 10)) heal.set('b', key, 'of b')
    heal.set('a', 'equal', 'older')
    heal.set('b', 'equal', 'newer')
    heal.set('b', 'reverse', 'older')
    heal.set('a', 'reverse', 'newer')
    const { history } = heal.node('b').status()
    heal.heal()
    expect(heal.master.id).toBe('a')
    expect(heal.merged).toMatchObject({ peer: 'b', history, records: 12, merged: 11, conflicts: 2 })
    for (const key of names('a', 10)) expect(heal.read(key)).toBe('of a')
    for (const key of names('b', 10)) expect(heal.read(key)).toBe('of b')
    expect(heal.read('equal')).toBe('newer')
    expect(heal.read('reverse')).toBe('newer')
    heal.expectEqual()
  })
})

describe('an embedded node', () => {
  it('asks onMerge, and both sides tell `divergence`', async () => {
    const network = new MemoryNetwork(systemWorld)
    const members = ['a', 'b'].map((id, i) => ({ id, ordinal: i, address: `memory://${id}` }))
    const asked: unknown[] = []
    const onMerge: MergeFunction = (cache, key, mine, theirs) => {
      asked.push([cache, key])
      return Buffer.concat([mine?.value ?? Buffer.alloc(0), theirs?.value ?? Buffer.alloc(0)])
    }
    network.cut('a', 'b')
    const strategy = masterSlave({ bootstrapWaitMs: 100 })
    const transport = network.transport()
    const nodes = await Promise.all(
      members.map(({ id }) =>
        createNode({ cluster: 'test', id, members, strategy, transport, onMerge }),
      ),
    )
    try {
      const told = nodes.map(node => new Promise(resolve => node.on('divergence', resolve)))
      await Promise.all(nodes.map(node => node.ready()))
      for (const node of nodes) {
        const cache = node.cache<Uint8Array>('c', { codec: 'bytes' })
        await cache.set('both', Buffer.from(node.id))
        await cache.set(node.id, Buffer.from(node.id))
      }
      network.mend('a', 'b')
      const counts = { records: 2, merged: 2, discarded: 0, conflicts: 1 }
      const events = await Promise.all(told)
      expect(events).toContainEqual(expect.objectContaining(counts))
      expect(events).toContainEqual(expect.objectContaining({ entries: expect.any(Number) }))
      await Promise.all(nodes.map(node => node.ready()))
      const cache = nodes[0].cache<Uint8Array>('c', { codec: 'bytes' })
      expect(['ab', 'ba']).toContain(Buffer.from((await cache.get('both')) ?? []).toString())
      for (const { id } of nodes) expect(await cache.get(id)).toEqual(Buffer.from(id))
      expect(asked).toEqual([['c', 'both']])
    } finally {
      await Promise.all(nodes.map(node => node.close()))
    }
  })
})

describe('a merge that is disturbed', () => {
  /** 5 MB of its own on the losing side: about 20 pieces. */
  function large(options: HealOptions = {}) {
    const made = pair(options)
    for (const key of names('l', 500)) made.heal.value(made.loser, key, Buffer.alloc(10_000, key))
    for (const key of names('w', 20)) made.heal.set(made.winner, key, 'won')
    return made
  }

  function expectAll(heal: Heal): void {
    for (const key of names('l', 500))
      expect(heal.read(key) === Buffer.alloc(10_000, key).toString('latin1')).toBe(true)
    for (const key of names('w', 20)) expect(heal.read(key)).toBe('won')
    heal.expectEqual()
  }

  /** Runs until the master has taken some pieces and not all. */
  function untilHalf(heal: Heal, winner: string): void {
    heal.cluster.network.setFaults({ latencyMsMin: 5, latencyMsMax: 5 })
    heal.cluster.mendAll()
    const half = () => heal.node(winner).record('c', 'l100') !== undefined
    expect(heal.cluster.runUntil(half, 5_000)).toBe(true)
    expect(heal.node(winner).record('c', 'l499')).toBeUndefined()
  }

  it('moves 5 MB in pieces', () => {
    const { heal } = large()
    heal.heal()
    expect(heal.merged).toMatchObject({ records: 500, merged: 500, discarded: 0 })
    expectAll(heal)
  })

  it('goes on where it was when the link ends in between', () => {
    const { heal, winner } = large()
    untilHalf(heal, winner)
    const { version } = heal.node(winner).record('c', 'l0') as { version: number }
    heal.cluster.reset('a', 'b')
    heal.cluster.run(4_000)
    expectAll(heal)
    expect(heal.node(winner).record('c', 'l0')?.version).toBe(version)
    expect(heal.merged).toMatchObject({ records: 500, merged: 500 })
    expect(heal.divergences).toHaveLength(2)
  })

  it('waits for a slave that is stopped, however long', () => {
    const { heal, winner, loser } = large()
    untilHalf(heal, winner)
    heal.cluster.pause(loser)
    heal.cluster.run(20_000)
    heal.cluster.resume(loser)
    heal.cluster.run(4_000)
    expectAll(heal)
    expect(heal.merged).toMatchObject({ records: 500, merged: 500 })
  })

  it('survives the loss of every fourth frame', () => {
    const { heal } = large()
    heal.cluster.network.setFaults({ loss: 0.25, suspendLaw: true })
    heal.cluster.mendAll()
    heal.cluster.run(60_000)
    heal.cluster.network.setFaults({ loss: 0, suspendLaw: false })
    heal.cluster.run(4_000)
    for (const one of heal.divergences) expect(one.lost).toBeUndefined()
    expectAll(heal)
  })

  it('begins again with the next master when the first one dies', () => {
    const heal = new Heal(3)
    const loser = heal.master.id
    heal.split(loser)
    const winner = heal.cluster
      .live()
      .find(({ id, engine }) => id !== loser && engine.standing.role === 'master')?.id as string
    for (const key of names('l', 500)) heal.value(loser, key, Buffer.alloc(10_000, key))
    for (const key of names('w', 20)) heal.set(winner, key, 'won')
    untilHalf(heal, winner)
    const third = heal.cluster.live().find(({ id }) => id !== loser && id !== winner)
    // What it has of the first merge stays as it is: merged twice is merged once.
    heal.cluster.runUntil(() => third?.record('c', 'l100') !== undefined, 100)
    const versions = () => names('l', 100).map(key => third?.record('c', key)?.version)
    const before = versions()
    heal.cluster.crash(winner)
    heal.cluster.run(6_000)
    expect(before).not.toContain(undefined)
    expect(versions()).toEqual(before)
    expect(heal.master.id).toBe(third?.id)
    expectAll(heal)
    expect(heal.merged).toMatchObject({ node: third?.id, records: 500, merged: 500 })
  })

  it('is given up, said and ended by a copy when the slave gives nothing', () => {
    const { heal, loser, winner } = pair()
    heal.set(loser, 'k', 'lost')
    const { engine } = heal.node(loser)
    const feed = engine.feed.bind(engine)
    engine.feed = input => {
      if (input.kind !== 'collected') feed(input)
    }
    heal.heal(15_000)
    expect(heal.merged).toMatchObject({ node: winner, peer: loser, merged: 0 })
    expect(heal.merged).toMatchObject({ lost: heal.merged?.entries, reason: 'unanswered' })
    expect(heal.read('k')).toBeUndefined()
    heal.expectEqual()
  })
})

describe('a node that restarts empty, alone, and with a clock that is behind', () => {
  it.each(['paused', 'cut off'] as const)('wipes nothing of a master that was %s', how => {
    const clocks = [{}, { wallOffsetMs: -3_600_000 }]
    const world = new World(2, { merge: 'discard' }, false, { clocks })
    const { cluster } = world
    const write = (id: string, key: string) => {
      const call = world.set(cluster.node(id), key, Buffer.from('v'))
      cluster.run(20)
      expect(world.answers.get(call)).toBe('written')
    }
    for (const key of names('k', 10)) write('a', key)
    cluster.crash('b')
    cluster.run(100)
    if (how === 'paused') cluster.pause('a')
    else cluster.split(['a'])
    cluster.start('b')
    cluster.run(7_000)
    expect(cluster.node('b').status().self.role).toBe('master')
    if (how === 'paused') cluster.resume('a')
    else for (const key of names('m', 10)) write('a', key)
    cluster.mendAll()
    cluster.run(10_000)
    const kept = how === 'paused' ? names('k', 10) : [...names('k', 10), ...names('m', 10)]
    for (const id of ['a', 'b'])
      for (const key of kept) expect(cluster.node(id).version('c', key)).toBeGreaterThan(0)
    expect(world.master.id).toBe('a')
  })
})
