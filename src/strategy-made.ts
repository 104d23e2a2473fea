/**
 * What the factory of a strategy answers, judged before a node depends on it. Each mistake is
 * CONFIG and names where the strategy came from, the member that is wrong, and the remedy; the
 * place of what was thrown goes to the log.
 */
import type { Logger } from './contracts/environment.js'
import type { ReplicationStrategy, StrategyEnv, StrategyFactory } from './contracts/strategy.js'
import { SILENCE } from './core/silence.js'
import { stackOf } from './core/stack.js'
import { isPromise } from './engine/strategy-answers.js'
import { GcacheError } from './errors.js'
import type { FullNodeOptions } from './options.js'
import { isAck } from './wire/requests.js'

/** Where a strategy came from, and who is told of it. */
export type Given = Pick<FullNodeOptions, 'strategy'> & {
  logger?: Logger | undefined
  onMerge?: FullNodeOptions['onMerge']
}

type Judge = (why: string, thrown?: unknown) => GcacheError

/** Makes CONFIG of what is wrong: its reader knows the strategy by its option or its file. */
export function judgeOf({ strategy, logger = SILENCE }: Given): Judge {
  const origin = typeof strategy === 'function' ? 'option strategy' : `strategy ${strategy.name}`
  return (why, thrown) => {
    if (thrown === undefined) return new GcacheError('CONFIG', `${origin}: ${why}`)
    logger.error({ error: String(thrown), stack: stackOf(thrown) }, `${origin}: ${why}`)
    return new GcacheError('CONFIG', `${origin}: ${why} ${String(thrown)}`, { cause: thrown })
  }
}

/** `factory`, whose answer is whole. What it throws as a GcacheError is its own word. */
export function judgedFactory(given: Given, factory: StrategyFactory): StrategyFactory {
  const refused = judgeOf(given)
  return env => {
    if (/^class\b/.test(Function.prototype.toString.call(factory)))
      throw refused(
        `it is a class: give a function that makes one, env => new ${factory.name || 'Mine'}(env)`,
      )
    const strategy = made(factory, env, refused)
    const wrong = wrongMembers(strategy)
    if (wrong.length > 0) throw refused(`its factory returned no strategy: ${wrong.join(', ')}`)
    const { neverMerges } = strategy
    if (given.onMerge !== undefined && neverMerges !== undefined)
      throw refused(`option onMerge is never asked: ${neverMerges}; leave it out`)
    return strategy
  }
}

function made(
  factory: StrategyFactory,
  env: StrategyEnv,
  refused: Judge,
): ReplicationStrategy<unknown> {
  let strategy: unknown
  try {
    strategy = factory(env)
  } catch (error) {
    throw error instanceof GcacheError ? error : refused('its factory threw', error ?? 'nothing')
  }
  if (isPromise(strategy))
    throw refused('its factory returned a promise: make the strategy at once, without async')
  if (typeof strategy === 'function')
    throw refused('its factory returned a function: call that first, as in masterSlave()')
  if (typeof strategy !== 'object' || strategy === null)
    throw refused(`its factory returned ${strategy}: return a strategy, { name, codec, step ... }`)
  return strategy as ReplicationStrategy<unknown>
}

/** Those that every strategy has. */
const MEMBERS: readonly (readonly [place: string, wanted: string])[] = [
  ['name', 'a string'],
  ['keyed', 'a boolean'],
  ['defaultAck', 'a string'],
  ['codec', 'an object'],
  ['codec.encode', 'a function'],
  ['codec.decode', 'a function'],
  ['step', 'a function'],
  ['time', 'a function'],
  ['status', 'a function'],
]

function wrongMembers(strategy: ReplicationStrategy<unknown>): string[] {
  const wrong: string[] = []
  for (const [place, wanted] of MEMBERS) {
    const [name, inside] = place.split('.')
    const outer = Reflect.get(strategy, name)
    // Said once: what is not there has no members.
    if (inside !== undefined && (typeof outer !== 'object' || outer === null)) continue
    const value: unknown = inside === undefined ? outer : Reflect.get(outer, inside)
    if (value === undefined) wrong.push(`${place} is missing (${wanted})`)
    else if (value === null || !wanted.endsWith(` ${typeof value}`))
      wrong.push(`${place} is ${shown(value)}, not ${wanted}`)
  }
  const { defaultAck } = strategy
  if (typeof defaultAck === 'string' && !isAck(defaultAck))
    wrong.push(
      `defaultAck is ${shown(defaultAck)}, not none, master, slaves:n, majority, insync or all`,
    )
  return wrong
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80))
  if (typeof value === 'function') return 'a function'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
