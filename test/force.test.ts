/**
 * A forced beginning, history by history: who may be forced, what becomes of the others, and that
 * no vote of the old history counts in the new one. Virtual time; the clusters are the simulator's.
 */
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import type { ForceResult } from '../src/wire/admin.js'
import { MAJORITY, World } from './harness/profile-world.js'

const value = Buffer.from('v')

class ForcedWorld extends World {
  /** All reports of a divergence. */
  readonly lost: { node: string; fields: Record<string, unknown> }[] = []

  /** Loses the memory of these at once. */
  restart(...ids: string[]): void {
    for (const id of ids) this.cluster.crash(id)
    for (const id of ids) this.start(id)
  }

  start(id: string): void {
    this.cluster.start(id)
    this.listen(id)
  }

  listen(id: string): void {
    this.cluster.node(id).engine.events.on('report', (event, fields) => {
      if (event === 'divergence') this.lost.push({ node: id, fields })
    })
  }

  /** Is answered at once. */
  force(id: string): ForceResult | string {
    let answer: ForceResult | string = 'no answer'
    this.cluster.node(id).engine.admin.forceBootstrap(1_000, (error, result) => {
      answer = error?.code ?? result ?? 'nothing'
    })
    return answer
  }

  write(key: string): string | undefined {
    const id = this.set(this.master, key, value)
    this.cluster.run(300)
    return this.answers.get(id)
  }

  wedged(ms: number): boolean {
    return !this.cluster.runUntil(() => this.cluster.master() !== undefined, ms)
  }

  has(id: string, key: string): boolean {
    return this.cluster.node(id).version('c', key) !== undefined
  }

  history(id: string): string {
    return this.cluster.node(id).status().history
  }

  online(...ids: string[]): boolean {
    return ids.every(id => this.state(id) === 'online')
  }
}

describe('two of three memories lost at once', () => {
  it.each(['a', 'b'])('wedge for ever, until the survivor %s is forced', survivor => {
    const world = new ForcedWorld(3, MAJORITY)
    const { cluster } = world
    expect(world.master.id).toBe('a')
    expect(world.write('kept')).toBe('written')
    const others = ['a', 'b', 'c'].filter(id => id !== survivor)
    world.restart(...others)
    cluster.run(1_500)
    expect(world.wedged(30_000)).toBe(true)
    const before = world.history(survivor)
    const { epoch } = cluster.node(survivor).engine.standing
    const result = world.force(survivor)
    expect(result).toMatchObject({ forcedFrom: before })
    expect((result as ForceResult).epoch).toBeGreaterThan(epoch.number)
    expect((result as ForceResult).history).not.toBe(before)
    cluster.run(3_000)
    expect(world.master.id).toBe(survivor)
    expect(world.online('a', 'b', 'c')).toBe(true)
    expect(others.every(id => world.has(id, 'kept'))).toBe(true)
    expect(world.lost).toEqual([])
    expect(world.write('after')).toBe('written')
    // The next single crash is survived, and the process that it makes is admitted by proof.
    cluster.crash(survivor)
    cluster.run(3_000)
    expect(world.has(world.master.id, 'kept') && world.has(world.master.id, 'after')).toBe(true)
    expect(world.write('next')).toBe('written')
    world.start(survivor)
    cluster.run(3_000)
    expect(world.online('a', 'b', 'c')).toBe(true)
    expect(cluster.converged(['a', 'b', 'c'])).toBe(true)
    expect(world.lost).toEqual([])
  })

  it('profile strict: the survivor may be forced before the others are back', () => {
    const world = new ForcedWorld(3, { profile: 'strict' })
    const { cluster } = world
    expect(world.write('kept')).toBe('written')
    cluster.crash('a')
    cluster.crash('c')
    cluster.run(5_000)
    expect(world.force('b')).toMatchObject({ forcedFrom: expect.stringMatching(/^[0-9a-f]{44}$/) })
    world.start('a')
    world.start('c')
    cluster.run(4_000)
    expect(world.online('a', 'b', 'c')).toBe(true)
    expect(world.has('a', 'kept')).toBe(true)
    expect(world.write('after')).toBe('written')
  })
})

describe('a node that was away', () => {
  // a, c write without b; then a is away, c loses its memory, b is forced, a comes back.
  function forcedWithout(): ForcedWorld {
    const world = new ForcedWorld(3, MAJORITY)
    const { cluster } = world
    world.listen('a')
    expect(world.write('all')).toBe('written')
    cluster.split(['b'])
    cluster.run(200)
    expect(world.write('b has not')).toBe('written')
    cluster.mendAll()
    cluster.split(['a'])
    cluster.crash('c')
    cluster.run(2_000)
    expect(world.force('b')).toMatchObject({ forcedFrom: world.history('a') })
    world.start('c')
    cluster.run(4_000)
    expect(world.master.id).toBe('b')
    expect(world.online('b', 'c')).toBe(true)
    expect(world.has('b', 'b has not')).toBe(false)
    return world
  }

  it('is copied, says what it had beyond, and votes once it was admitted', () => {
    const world = forcedWithout()
    const { cluster } = world
    expect(world.write('forced')).toBe('written')
    cluster.mendAll()
    cluster.run(8_000)
    expect(world.online('a', 'b', 'c')).toBe(true)
    expect(cluster.converged(['a', 'b', 'c'])).toBe(true)
    expect(world.has('a', 'b has not')).toBe(false)
    const [first, ...more] = world.lost
    expect(more).toEqual([])
    expect(first.node).toBe('a')
    expect(first.fields).toMatchObject({ into: world.history('b'), master: 'b' })
    const { entries } = first.fields as { entries: number }
    expect(entries).toBeGreaterThanOrEqual(1)
    // Nothing of what both had counts as lost.
    expect(entries).toBeLessThanOrEqual(3)
    cluster.crash('b')
    cluster.run(3_000)
    expect(world.has(world.master.id, 'forced')).toBe(true)
    expect(world.write('with a')).toBe('written')
  })

  it('has no vote in the forced history before its copy', () => {
    const world = forcedWithout()
    const { cluster } = world
    expect(world.write('forced')).toBe('written')
    cluster.crash('b')
    cluster.mendAll()
    // Two of three live, and one of them votes in another history.
    expect(world.wedged(30_000)).toBe(true)
    expect(world.has('c', 'forced') && world.has('a', 'b has not')).toBe(true)
    const forced = world.history('c')
    // The operator again: c's history goes back to a's, too.
    expect(world.force('c')).toMatchObject({ forcedFrom: forced })
    cluster.run(8_000)
    expect(world.online('a', 'c')).toBe(true)
    expect(world.has('a', 'forced')).toBe(true)
    expect(world.lost.map(({ node }) => node)).toEqual(['a'])
  })

  it('follows no history that was not forced from its own', () => {
    const world = new ForcedWorld(3, MAJORITY)
    const { cluster } = world
    expect(world.write('old')).toBe('written')
    cluster.split(['a'])
    world.restart('b', 'c')
    cluster.run(2_000)
    // Neither knows anything: an empty history, from nothing.
    expect(world.force('b')).toMatchObject({ forcedFrom: '' })
    cluster.run(3_000)
    expect(world.online('b', 'c')).toBe(true)
    cluster.mendAll()
    cluster.run(15_000)
    expect(world.has('a', 'old')).toBe(true)
    expect(world.history('a')).not.toBe(world.history('b'))
    expect(world.write('new')).toBe('written')
    expect(world.master.id).toBe('b')
    // Its operator gives it up.
    world.restart('a')
    cluster.run(4_000)
    expect(world.online('a', 'b', 'c')).toBe(true)
  })
})

describe('a node on the wrong side of a network split', () => {
  it('that was forced takes nothing from those who serve, not even while they stall', () => {
    const world = new ForcedWorld(3, MAJORITY)
    const { cluster } = world
    expect(world.write('k')).toBe('written')
    cluster.split(['b'])
    cluster.run(2_000)
    expect(world.force('b')).toMatchObject({ forcedFrom: world.history('a') })
    expect(world.write('beside')).toBe('written')
    const { epoch } = cluster.node('a').engine.standing
    cluster.mendAll()
    cluster.run(10_000)
    expect(world.master.id).toBe('a')
    expect(world.master.engine.standing.epoch).toEqual(epoch)
    expect(world.write('healed')).toBe('written')
    cluster.stall('a', 900)
    cluster.run(4_000)
    expect(world.has(world.master.id, 'healed')).toBe(true)
    expect(world.history('a')).not.toBe(world.history('b'))
    expect(world.force('b')).toBe('HEALTHY')
    world.restart('b')
    cluster.run(4_000)
    expect(world.online('a', 'b', 'c')).toBe(true)
    expect(cluster.converged(['a', 'b', 'c'])).toBe(true)
  })
})

describe('a witness', () => {
  it('that starts anew beside a forced node stays with those who serve', () => {
    const world = new ForcedWorld(2, MAJORITY, true)
    const { cluster } = world
    cluster.split(['b'])
    cluster.run(2_500)
    expect(world.force('b')).toMatchObject({ forcedFrom: world.history('a') })
    expect(world.write('a and w')).toBe('written')
    cluster.cut('a', 'w')
    cluster.crash('w')
    cluster.mend('b', 'w')
    cluster.start('w')
    // It hears the forced node before its own master.
    cluster.run(700)
    cluster.mendAll()
    cluster.run(9_000)
    expect(world.master.id).toBe('a')
    expect(world.history('w')).toBe(world.history('a'))
    expect(world.write('still')).toBe('written')
  })
})

/**
 * Crashes, splits and writes as a seed draws them; whoever has the best log is forced where nobody
 * is elected any more. What was acknowledged since, and what the forced node had, is never lost.
 */
function survive(seed: number): number {
  const random = seededRandom(seed)
  const world = new ForcedWorld(random.pick([3, 3, 5]), MAJORITY)
  const { cluster } = world
  const ids = cluster.members.map(({ id }) => id)
  let acked = new Set<string>()
  let forced = 0
  for (let i = 0; i < 40; i++) {
    const id = random.pick(ids)
    const what = random.next()
    // Where all are empty they may begin anew, and nothing is left to be judged.
    const others = ids.filter(one => one !== id && cluster.node(one).running)
    const spare = others.some(one => !/empty|copying|learner/.test(world.state(one)))
    if (what < 0.25 && spare) world.restart(id)
    else if (what < 0.35 && spare) cluster.crash(id)
    else if (what < 0.45) cluster.split([id])
    else if (what < 0.6) cluster.mendAll()
    else if (what < 0.7) for (const one of ids) cluster.start(one)
    cluster.run(50 + random.below(900))
    const master = cluster.master()
    if (master === undefined) continue
    const key = `${i}`
    const call = world.set(master, key, value)
    cluster.run(200)
    if (world.answers.get(call) === 'written') acked.add(key)
    if (i % 10 < 9) continue
    cluster.mendAll()
    for (const one of ids) cluster.start(one)
    cluster.run(7_000)
  }
  for (let round = 0; round < 2; round++) {
    cluster.mendAll()
    for (const one of ids) cluster.start(one)
    if (world.wedged(10_000)) {
      const offsets = cluster.live().map(node => node.status().self.offset)
      const best = ids[offsets.indexOf(Math.max(...offsets))]
      expect(world.force(best)).toMatchObject({ epoch: expect.any(Number) })
      acked = new Set([...acked].filter(key => world.has(best, key)))
      forced++
    }
    expect(cluster.runUntil(() => world.online(...ids), 30_000)).toBe(true)
    const lost = [...acked].filter(key => !world.has(world.master.id, key))
    expect({ seed, lost }).toEqual({ seed, lost: [] })
    // Once more from there: one memory is lost, then as many as wedge it.
    world.restart(world.master.id)
    cluster.run(4_000)
    const after = [...acked].filter(key => !world.has(world.master.id, key))
    expect({ seed, after }).toEqual({ seed, after: [] })
    world.restart(...ids.slice(0, (ids.length + 1) / 2))
    cluster.run(1_500)
  }
  return forced
}

describe('a forced beginning', () => {
  it('among crashes and splits loses nothing that the forced node had (seeds)', () => {
    let forced = 0
    for (let seed = 1; seed <= 10; seed++) forced += survive(seed)
    expect(forced).toBeGreaterThan(5)
  })

  it.each(['ordinal', 'strict', 'majority'] as const)(
    'is refused while a master serves, of the master and of a slave (%s)',
    profile => {
      const world = new ForcedWorld(3, { profile })
      const { epoch } = world.master.engine.standing
      expect(['a', 'b', 'c'].map(id => world.force(id))).toEqual(Array(3).fill('HEALTHY'))
      world.cluster.run(1_000)
      expect(world.master.engine.standing.epoch).toEqual(epoch)
    },
  )

  it('in profile ordinal makes a lone node lead, and what the others had is merged', () => {
    const world = new ForcedWorld(3, {})
    const { cluster } = world
    expect(world.write('k')).toBe('written')
    cluster.crash('a', 'power')
    cluster.crash('c', 'power')
    cluster.run(4_000)
    expect(world.wedged(10_000)).toBe(true)
    const history = world.history('b')
    expect(world.force('b')).toMatchObject({ history, forcedFrom: history })
    cluster.run(1_000)
    expect(world.master.id).toBe('b')
    world.start('a')
    world.start('c')
    cluster.run(4_000)
    expect(cluster.converged(['a', 'b', 'c'])).toBe(true)
    expect(world.has('a', 'k')).toBe(true)
    expect(world.write('after')).toBe('written')
  })

  it.each(['the third node', 'another one'])(
    'whose only newcomer loses its memory waits for %s',
    what => {
      const world = new ForcedWorld(3, MAJORITY)
      const { cluster } = world
      expect(world.write('k')).toBe('written')
      cluster.crash('b')
      cluster.crash('c')
      cluster.run(2_000)
      expect(world.force('a')).toMatchObject({ history: expect.any(String) })
      world.start('b')
      expect(cluster.runUntil(() => world.state('b') === 'online', 4_000)).toBe(true)
      // It might have promised something: who votes once more needs a proof that nobody can give.
      world.restart('b')
      cluster.run(1_500)
      expect(world.wedged(10_000)).toBe(true)
      const first = world.history('a')
      if (what === 'another one') expect(world.force('a')).toMatchObject({ forcedFrom: first })
      else world.start('c')
      cluster.run(4_000)
      expect(world.write('after')).toBe('written')
      world.start('c')
      cluster.run(4_000)
      expect(world.online('a', 'b', 'c')).toBe(true)
      expect(['b', 'c'].every(id => world.has(id, 'k') && world.has(id, 'after'))).toBe(true)
    },
  )

  it('takes a witness along, which is refused itself', () => {
    const world = new ForcedWorld(2, MAJORITY, true)
    const { cluster } = world
    expect(world.force('w')).toBe('CONFIG')
    expect(world.write('both')).toBe('written')
    cluster.split(['b'])
    cluster.run(3_000)
    expect(world.write('a and w')).toBe('written')
    // The only memory of it is lost; the witness knows that b's log is too old.
    cluster.mendAll()
    world.restart('a')
    cluster.run(2_000)
    expect(world.wedged(30_000)).toBe(true)
    expect(world.force('b')).toMatchObject({ forcedFrom: expect.any(String) })
    cluster.run(8_000)
    expect(world.online('a', 'b', 'w')).toBe(true)
    expect(world.history('w')).toBe(world.history('b'))
    cluster.crash('a')
    cluster.run(2_000)
    expect(world.write('b and w')).toBe('written')
  })
})
