/** What the author of a strategy is told of a mistake: what is wrong, where, and at once. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import type {
  ReplicationStrategy,
  StrategyFactory,
  StrategyStatus,
} from '../src/contracts/strategy.js'
import { GcacheError } from '../src/errors.js'
import { createNode, type Node } from '../src/node.js'
import { strategySuite } from '../src/testing/strategy-suite.js'
import { masterSlave } from '../strategies/master-slave/index.js'
import { freePorts, gcache } from './harness/processes.js'

const nodes: Node[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map(node => node.close()))
})

type Fields = Record<string, unknown>

/** Master-slave of one node, with `mistakes` in place of what it has. */
function wrong(mistakes: Fields | ((real: ReplicationStrategy<unknown>) => Fields)) {
  return ((env: never) => {
    const real = masterSlave()(env) as ReplicationStrategy<unknown>
    const { name, codec, keyed, defaultAck } = real
    return {
      ...{ name, codec, keyed, defaultAck },
      time: (group: number) => real.time(group),
      status: () => real.status(),
      step: (...given: Parameters<typeof real.step>) => real.step(...given),
      ...(typeof mistakes === 'function' ? mistakes(real) : mistakes),
    }
  }) as StrategyFactory
}

/** Starts a node with it; `logged` takes the fields of its log at level error. */
async function start(strategy: unknown, logged: Fields[] = [], port = 0): Promise<Node> {
  const members = [{ id: 'a', ordinal: 0, address: `tcp://127.0.0.1:${port}` }]
  const quiet = () => undefined
  const logger = {
    ...{ debug: quiet, info: quiet, warn: quiet },
    error: (fields: Fields) => void logged.push(fields),
  }
  const options = { cluster: 'test', id: 'a', members, strategy: strategy as StrategyFactory }
  const node = await createNode({ ...options, logger })
  nodes.push(node)
  return node
}

const asyncStep = wrong(real => ({
  async step(...given: Parameters<typeof real.step>) {
    real.step(...given)
    throw new Error('nobody waits for it')
  },
}))

describe('step()', () => {
  test('must not return a promise: the node stops with the first one', async () => {
    await expect(start(asyncStep)).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('step() must not return a promise'),
    })
  })

  test('may return what is no promise, as TypeScript lets it', async () => {
    const node = await start(
      wrong(real => ({
        step(...given: Parameters<typeof real.step>) {
          real.step(...given)
          return 5
        },
      })),
    )
    await node.ready()
    expect((await node.cache('c').set('k', 1)).copies).toBe(1)
  })

  test('that returns a promise is found by the suite as well', () => {
    const said: string[] = []
    strategySuite({
      name: 'async',
      strategy: asyncStep,
      ...{ seeds: 1, inSyncMin: () => 1, ackTimeoutMs: 3_000 },
      test(name, body) {
        if (!name.startsWith('async S1')) return
        try {
          body()
        } catch (error) {
          said.push(String(error))
        }
      },
    })
    expect(said.join()).toContain('step() must not return a promise')
  })

  test('that throws is logged with its place', async () => {
    const logged: Fields[] = []
    const broken = wrong({
      step: function thisVeryStep() {
        throw new Error('boom')
      },
    })
    await expect(start(broken, logged)).rejects.toMatchObject({ code: 'INTERNAL' })
    expect(logged).toEqual([
      { error: 'Error: boom', stack: expect.stringMatching(/thisVeryStep.*strategy-mistakes/) },
    ])
  })
})

const broken = () => {
  throw new Error('boom')
}

describe('a factory', () => {
  class Mine {
    readonly name = 'mine'
  }

  test.each<[string, unknown, RegExp]>([
    ['that throws', broken, /^option strategy: its factory threw Error: boom$/],
    ['that is a class', Mine, /it is a class: .* env => new Mine\(env\)/],
    ['that is asynchronous', async () => ({}), /returned a promise/],
    ['that throws later', async () => broken(), /returned a promise/],
    ['that makes a factory', () => masterSlave(), /returned a function: call that first/],
    ['that returns nothing', () => undefined, /returned undefined/],
    ['of nothing', () => ({}), /: name is missing .*, codec is missing .*, status is missing/],
    [
      'without a codec',
      wrong({ codec: undefined }),
      /no strategy: codec is missing \(an object\)$/,
    ],
    ['of half a codec', wrong({ codec: { encode: broken } }), /: codec\.decode is missing/],
    ['without time()', wrong({ time: undefined }), /no strategy: time is missing \(a function\)$/],
    ['whose status is no function', wrong({ status: 5 }), /: status is 5, not a function$/],
    ['of no name', wrong({ name: 5 }), /: name is 5, not a string$/],
    [
      'of an unknown ack',
      wrong({ defaultAck: 'most' }),
      /: defaultAck is "most", not none, master/,
    ],
  ])('%s is CONFIG, and says what is wrong', async (_, strategy, why) => {
    await expect(start(strategy)).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringMatching(why),
    })
  })

  test('may refuse by an error of its own', async () => {
    const strategy = () => {
      throw new GcacheError('LIMIT', 'no more than 3 nodes')
    }
    await expect(start(strategy)).rejects.toMatchObject({
      code: 'LIMIT',
      message: 'no more than 3 nodes',
    })
  })

  test('that throws is logged with its place', async () => {
    const logged: Fields[] = []
    await expect(start(broken, logged)).rejects.toMatchObject({ cause: { message: 'boom' } })
    expect(logged).toEqual([
      { error: 'Error: boom', stack: expect.stringMatching(/strategy-mistakes/) },
    ])
  })
})

describe('status()', () => {
  const changed = (change: (status: StrategyStatus) => unknown) =>
    wrong(real => ({ status: () => change(real.status()) }))

  test.each<[string, StrategyFactory, RegExp]>([
    ['throws', wrong({ status: broken }), /^option strategy: its status\(\) threw Error: boom$/],
    ['is asynchronous', wrong({ status: async () => broken() }), /status\(\) returned a promise/],
    ['returns a number', wrong({ status: () => 5 }), /returned no status: expected object/],
    ['has no self', changed(({ self: _, ...rest }) => rest), /no status: self: expected/],
    ['has no number', changed(one => ({ ...one, epoch: Number.NaN })), /no status: epoch: /],
    [
      'has a member of text',
      changed(one => ({ ...one, members: ['a'] })),
      /no status: members\.0: /,
    ],
  ])('that %s is CONFIG, and the node is closed', async (_, strategy, why) => {
    const [port] = await freePorts(1)
    const refused = start(strategy, [], port)
    await expect(refused).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringMatching(why),
    })
    const node = await start(masterSlave(), [], port)
    await node.ready()
  })

  test('that throws later is told by its name', async () => {
    let asked = 0
    const strategy = changed(one => (++asked > 1 ? broken() : one))
    const node = await start(strategy)
    const told = {
      code: 'INTERNAL',
      message: expect.stringMatching(/status\(\) threw Error: boom/),
    }
    await expect(node.ready()).rejects.toMatchObject(told)
    expect(() => node.status()).toThrow(/status\(\) threw/)
  })
})

describe('a server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gcache-wrong-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const SOLID = new URL('../dist/strategies/master-slave/index.js', import.meta.url).href

  test.each<[string, string, number, RegExp]>([
    ['status() throws', 'status() { throw new Error("boom") }', 2, /its status\(\) threw Error: b/],
    [
      'status() returns 5',
      'status: () => 5',
      2,
      /its status\(\) returned no status: expected object/,
    ],
    [
      'status() throws later',
      'status() { if (++asked > 1) throw new Error("boom"); return real.status() }',
      1,
      /its status\(\) threw Error: boom \(INTERNAL\)$/,
    ],
    [
      'status() returns nothing later',
      'status: () => (++asked > 2 ? undefined : real.status())',
      1,
      /^gcache: TypeError/,
    ],
    ['step() is async', 'async step() {}', 1, /step\(\) must not return a promise/],
  ])('whose %s closes its node and ends, with one line that says so', async (...row) => {
    const [what, mistake, code, why] = row
    const file = join(folder, `${what.replaceAll(/\W/g, '-')}.mjs`)
    writeFileSync(
      file,
      `import { masterSlave } from ${JSON.stringify(SOLID)}
      export const strategy = env => {
        let asked = 0
        const real = masterSlave()(env)
        const { name, codec, keyed, defaultAck } = real
        const time = group => real.time(group)
        const step = (input, effects) => real.step(input, effects)
        const status = () => real.status()
        return { name, codec, keyed, defaultAck, time, step, status, ${mistake} }
      }`,
    )
    const listen = `tcp://127.0.0.1:${(await freePorts(1))[0]}`
    const flags = ['--id', 'a', '--ordinal', '0', '--listen', listen, '--strategy', file]
    const ended = await gcache('serve', ...flags)
    const lines = ended.err.split('\n').filter(line => line.startsWith('gcache: '))
    expect([ended.code, lines]).toEqual([code, [expect.stringMatching(why)]])
    expect(ended.out).not.toContain('ready')
    if (code === 2) expect(lines[0]).toContain(file)
  })
})
