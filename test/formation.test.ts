/**
 * The rules by which nodes found and join: single cases, and many processes under seeds against the
 * one law that matters. Whoever founds with a list has the word of every process on it, and no
 * process gives its word to two lists.
 */
import { describe, expect, test } from 'vitest'
import { FORMATION } from '../src/config.js'
import { seededRandom } from '../src/core/prng.js'
import { decide, type Founder, listOf, type Situation, type Word } from '../src/formation-rules.js'

function founder(ordinal: number, more: Partial<Founder> = {}): Founder {
  const id = String.fromCharCode(97 + ordinal)
  return { id, ordinal, address: `tcp://h:${ordinal}`, process: `${id}1`, since: 1_000, ...more }
}

function word(node: Founder, more: Partial<Word> = {}): Word {
  return {
    ...{ node, address: node.address, askedAt: 10_000, profile: 'majority' },
    ...{ forming: { expect: 3, promise: '' }, epoch: 0, view: 0, master: '', serves: false },
    ...{ members: [], ...more },
  }
}

function situation(more: Partial<Situation> = {}): Situation {
  return {
    ...{ self: founder(0), profile: 'majority', expect: 3, now: 10_000, listensSince: 0 },
    ...{ promised: [], toldAt: Number.NEGATIVE_INFINITY, words: [], mute: [], ...more },
  }
}

const three = [founder(0), founder(1), founder(2)]
const list = listOf(three)
const others = (promise: string) =>
  [1, 2].map(ordinal => word(founder(ordinal), { forming: { expect: 3, promise } }))
const inCluster = (node: Founder, ids: number[], more: Partial<Word> = {}) =>
  word(node, {
    ...{ forming: undefined, epoch: 256, view: 1, master: 'b', serves: node.id === 'b' },
    members: ids.map(ordinal => ({ ...founder(ordinal), state: 'online' })),
    ...more,
  })

describe('founding', () => {
  test('promises when all founders are there, and starts when all of them promise the same', () => {
    expect(decide(situation({ words: others('') }))).toMatchObject({
      ...{ do: 'promise', founders: three },
    })
    const promised = situation({ promised: three, words: others('') })
    expect(decide(promised)).toMatchObject({ do: 'wait' })
    expect(decide(situation({ promised: three, words: others(list) }))).toMatchObject({
      do: 'start',
      members: [{ id: 'a' }, { id: 'b' }, { id: 'c' }],
    })
  })

  test('waits while a founder is missing, whoever else is there', () => {
    const words = [1, 3, 4, 5].map(ordinal => word(founder(ordinal)))
    expect(decide(situation({ words, enoughSince: 0 }))).toMatchObject({ do: 'wait' })
  })

  test('waits until it has listened, and for whoever was seen in a cluster', () => {
    const words = others('')
    expect(decide(situation({ words, listensSince: 9_000 })).do).toBe('wait')
    const mute = [{ id: 'd', address: 'tcp://h:3', in: true }]
    expect(decide(situation({ words, mute })).do).toBe('wait')
    expect(decide(situation({ words, mute: [{ ...mute[0], in: false }] })).do).toBe('promise')
  })

  test('does not count what was said a while ago', () => {
    const old = others(list).map(each => ({ ...each, askedAt: 10_000 - FORMATION.freshMs - 1 }))
    expect(decide(situation({ promised: three, words: old })).do).toBe('wait')
  })

  test('waits where two claim an ordinal, or expect another number', () => {
    const twice = [...others(''), word(founder(1, { id: 'x', process: 'x1' }))]
    expect(decide(situation({ words: twice }))).toMatchObject({
      why: expect.stringContaining('ordinal 1 is claimed by b'),
    })
    const odd = [others('')[0], word(founder(2), { forming: { expect: 2, promise: '' } })]
    expect(decide(situation({ words: odd }))).toMatchObject({
      why: expect.stringContaining('give every node the same'),
    })
  })

  test('leaves a promise only once nobody can act on it any more', () => {
    const old = [founder(0), founder(1, { address: 'tcp://h:77' }), founder(2)]
    const told = { promised: old, words: others(''), toldAt: 10_000 - FORMATION.promiseMs }
    expect(decide(situation(told)).do).toBe('promise')
    expect(decide(situation({ ...told, toldAt: told.toldAt + 1 })).do).toBe('wait')
    // One of them may found with it yet.
    expect(decide(situation({ ...told, words: others(listOf(old)) })).do).toBe('wait')
    const next = others(listOf(old)).map(({ node, ...rest }) => ({
      ...rest,
      node: { ...node, process: `${node.id}2` },
    }))
    expect(decide(situation({ ...told, words: next })).do).toBe('promise')
  })

  test('profile ordinal goes on without the first ordinals after a while', () => {
    const some = { profile: 'ordinal', expect: 2, self: founder(4) }
    const words = [3, 6].map(ordinal =>
      word(founder(ordinal), { profile: 'ordinal', forming: { expect: 2, promise: '' } }),
    )
    expect(decide(situation({ ...some, words }))).toMatchObject({ do: 'wait', enough: true })
    const pair = [founder(3), founder(4)]
    const later = situation({ ...some, words, enoughSince: 10_000 - FORMATION.patienceMs })
    expect(decide(later)).toMatchObject({ do: 'promise', founders: pair })
    expect(
      decide({
        ...later,
        self: founder(6),
        words: [3, 4].map(n => ({ ...words[0], node: founder(n) })),
      }),
    ).toMatchObject({ do: 'wait' })
  })
})

describe('a cluster that there is', () => {
  test('is gone back to by who is listed, with its own address, and joined by who is not', () => {
    const down = inCluster(founder(1), [0, 1, 2]).members.map(each => ({
      ...each,
      state: each.id === 'a' ? 'down' : each.state,
    }))
    const back = inCluster(founder(1), [], { members: down })
    const self = founder(0, { address: 'tcp://h:99' })
    expect(decide(situation({ self, words: [back] }))).toMatchObject({
      do: 'start',
      members: [{ id: 'a', address: 'tcp://h:99' }, { id: 'b' }, { id: 'c' }],
    })
    const joined = decide(situation({ self: founder(7), words: [back] }))
    expect(joined).toMatchObject({ do: 'join', master: { node: { id: 'b' } } })
  })

  test('goes before founding; without its master it is waited for', () => {
    const words = [...others(list), inCluster(founder(3), [3, 4], { master: 'e', serves: false })]
    expect(decide(situation({ promised: three, words }))).toMatchObject({ do: 'wait' })
  })

  test('refuses an id that lives: at once, or when its master says so for a while', () => {
    const twin = inCluster(founder(0, { process: 'a2', since: 9 }), [0, 1])
    expect(decide(situation({ words: [twin] }))).toMatchObject({ do: 'refuse', code: 'ID_TAKEN' })
    const words = [inCluster(founder(1), [0, 1])]
    expect(decide(situation({ words })).do).toBe('wait')
    const onlineSince = 10_000 - FORMATION.takenMs
    expect(decide(situation({ words, onlineSince }))).toMatchObject({ code: 'ID_TAKEN' })
  })

  test('has an ordinal for each id for all time', () => {
    const self = founder(5, { id: 'a' })
    const words = [inCluster(founder(1), [0, 1])]
    expect(decide(situation({ self, words }))).toMatchObject({ do: 'refuse', code: 'CONFIG' })
  })

  test('of two that found with one id the older goes on', () => {
    const twin = founder(0, { process: 'a2', since: 999 })
    expect(decide(situation({ words: [word(twin)] }))).toMatchObject({ code: 'ID_TAKEN' })
    const younger = founder(0, { process: 'a2', since: 1_001 })
    expect(decide(situation({ words: [word(younger), ...others('')] })).do).toBe('promise')
  })

  test('a frozen process of the same id is waited for until it falls silent', () => {
    const mute = [{ id: 'a', address: 'tcp://h:0', in: false }]
    expect(decide(situation({ words: others(''), mute })).do).toBe('wait')
  })
})

/** One process of the model. */
interface Life {
  readonly self: Founder
  promised: readonly Founder[]
  toldAt: number
  enoughSince: number | undefined
  readonly words: Map<string, Word>
  readonly startedAt: number
  started: { list: string; ids: string } | undefined
  gone: boolean
}

/**
 * Many processes, asks that take up to two seconds each way, network splits and restarts. Two
 * ordinals are claimed twice, addresses change with restarts.
 */
class Model {
  now = 0
  readonly lives: Life[] = []
  /** Who founded with which list, and the processes whose word it had. */
  readonly foundings: { list: string; processes: string[] }[] = []
  #serial = 0
  readonly #random
  readonly profile: string
  readonly #expect: number
  readonly #events: { at: number; run: () => void }[] = []
  #split = 0

  constructor(seed: number) {
    this.#random = seededRandom(seed)
    this.profile = this.#random.next() < 0.5 ? 'ordinal' : 'majority'
    this.#expect = 2 + this.#below(2)
    const count = this.#expect + this.#below(4)
    for (let i = 0; i < count; i++) this.#begin(i % 5, i >= 5 ? `${i}x` : `${i}`)
  }

  run(untilMs: number): void {
    while (this.now < untilMs) {
      this.now += 1 + this.#below(60)
      for (const event of this.#events.filter(({ at }) => at <= this.now)) {
        this.#events.splice(this.#events.indexOf(event), 1)
        event.run()
      }
      const chance = this.#random.next()
      if (chance < 0.004) this.#split = this.#below(16)
      else if (chance < 0.008) this.#restart()
      else this.#ask()
      for (const life of this.lives) if (!life.gone) this.#decide(life)
    }
  }

  #below(count: number): number {
    return Math.floor(this.#random.next() * count)
  }

  #begin(ordinal: number, id: string): void {
    const process = String(++this.#serial)
    const address = `h:${this.#random.next() < 0.7 ? ordinal : process}`
    const self = { id, ordinal, address, process, since: this.now }
    const at = { promised: [], toldAt: Number.NEGATIVE_INFINITY, enoughSince: undefined }
    this.lives.push({
      self,
      ...at,
      words: new Map(),
      startedAt: this.now,
      started: undefined,
      gone: false,
    })
  }

  #restart(): void {
    const alive = this.lives.filter(({ gone, started }) => !gone && started === undefined)
    const life = alive[this.#below(alive.length)]
    if (life === undefined) return
    life.gone = true
    this.#begin(life.self.ordinal, life.self.id)
  }

  #hear(a: Life, b: Life): boolean {
    const side = ({ self }: Life) => (this.#split >> (Number(self.process) % 4)) & 1
    return this.#split === 0 || side(a) === side(b)
  }

  #ask(): void {
    const alive = this.lives.filter(({ gone }) => !gone)
    const from = alive[this.#below(alive.length)]
    const to = alive[this.#below(alive.length)]
    if (from === to || from === undefined) return
    const askedAt = this.now
    const delay = () => (this.#random.next() < 0.9 ? this.#below(80) : this.#below(2_000))
    this.#events.push({
      at: this.now + delay(),
      run: () => {
        if (to.gone || !this.#hear(from, to)) return
        const said = this.#say(to, askedAt)
        this.#events.push({
          at: this.now + delay(),
          run: () => from.words.set(to.self.process, said),
        })
      },
    })
  }

  #say(life: Life, askedAt: number): Word {
    const { self, promised, started } = life
    const promise = listOf(promised)
    if (promise !== '') life.toldAt = this.now
    const base = { node: self, address: self.address, askedAt, profile: this.profile }
    const none = { epoch: 0, view: 0, master: '', serves: false, members: [] }
    if (started === undefined)
      return { ...base, ...none, forming: { expect: this.#expect, promise } }
    const members = started.ids.split(',').map(text => {
      const [id, ordinal, address] = text.split('@')
      return { id, ordinal: Number(ordinal), address, state: 'empty' }
    })
    return { ...base, ...none, forming: undefined, members }
  }

  #decide(life: Life): void {
    if (life.started !== undefined) return
    const { self, promised, toldAt, enoughSince, startedAt } = life
    const words = [...life.words.values()]
    const decision = decide({
      ...{ self, profile: this.profile, expect: this.#expect, now: this.now },
      ...{ listensSince: startedAt, promised, toldAt, words, mute: [], enoughSince },
    })
    if (decision.do === 'wait' && decision.enough) life.enoughSince ??= this.now
    if (decision.do === 'promise') life.promised = decision.founders
    if (decision.do === 'refuse') life.gone = true
    if (decision.do !== 'start') return
    const ids = decision.members.map(each => `${each.id}@${each.ordinal}@${each.address}`).join()
    const listed = listOf(decision.members)
    life.started = { list: listed, ids }
    if (decision.how !== 'founded') return
    const listedIds = decision.members.map(({ id }) => id)
    const processes = words
      .filter(each => each.forming?.promise === listed && listedIds.includes(each.node.id))
      .filter(each => this.now - each.askedAt <= FORMATION.freshMs)
      .map(({ node }) => node.process)
    this.foundings.push({ list: listed, processes: [self.process, ...processes] })
  }
}

describe('many processes', () => {
  const SEEDS = 400
  test(`${SEEDS} seeds: no process stands behind two lists, and some found`, () => {
    let founded = 0
    let twice = 0
    for (let seed = 1; seed <= SEEDS; seed++) {
      const model = new Model(seed)
      model.run(20_000)
      if (model.foundings.length > 0) founded++
      if (new Set(model.foundings.map(({ list }) => list)).size > 1) twice++
      const word = new Map<string, string>()
      // Profile ordinal gives a promise up in the end: two masters are possible there anyway.
      if (model.profile === 'ordinal') continue
      for (const { list, processes } of model.foundings)
        for (const process of processes) {
          expect(word.get(process) ?? list, `seed ${seed}, process ${process}`).toBe(list)
          word.set(process, list)
        }
    }
    expect(founded).toBeGreaterThan(SEEDS / 4)
    // Disjoint halves, or all of them anew: it must be met, or this test proves little.
    expect(twice).toBeGreaterThan(0)
  }, 120_000)
})
