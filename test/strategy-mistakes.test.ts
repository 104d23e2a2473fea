/** What the author of a strategy is told of a mistake: what is wrong, where, and at once. */
import { afterEach, describe, expect, test } from 'vitest'
import type { ReplicationStrategy, StrategyFactory } from '../src/contracts/strategy.js'
import { createNode, type Node } from '../src/node.js'
import { strategySuite } from '../src/testing/strategy-suite.js'
import { masterSlave } from '../strategies/master-slave/index.js'

const members = [{ id: 'a', ordinal: 0, address: 'tcp://127.0.0.1:0' }]
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
async function start(strategy: unknown, logged: Fields[] = []): Promise<Node> {
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
