/**
 * A strategy from a file of its author's: `gcache serve --strategy ./mine.js`, or `strategy:
 * './mine.js'` in options and configuration files. The module's export `strategy`, or its default,
 * is the factory that createNode() takes. It is code and runs with all rights of the process.
 */
import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { StrategyFactory } from './contracts/strategy.js'
import { GcacheError } from './errors.js'

/** True for what names a file and no built-in strategy. */
export function isStrategyPath(name: string): boolean {
  return /^(\.{0,2}\/|\.{0,2}\\|[A-Za-z]:[\\/]|file:)/.test(name) || /\.[mc]?js$/.test(name)
}

/** `name` as seen from `folder`, if it is a path. */
export function strategyPathFrom(folder: string, name: string): string {
  return isStrategyPath(name) ? fileOf(name, folder) : name
}

/**
 * The factory in the file `name`, seen from the working directory. CONFIG, each with its remedy,
 * for a file that is not there or does not load, for a module without such an export, for one that
 * is no function, and for `options`, which a factory does not take.
 */
export async function strategyFromModule(name: string, options: object): Promise<StrategyFactory> {
  const refused = (why: string, cause?: unknown) =>
    new GcacheError('CONFIG', `strategy ${name}: ${why}`, cause === undefined ? {} : { cause })
  const [option] = Object.keys(options)
  if (option !== undefined)
    throw refused(`takes no option ${option}: a module exports a strategy that is ready made`)
  const file = fileOf(name, process.cwd())
  if (!existsSync(file) || !statSync(file).isFile())
    throw refused(`there is no file ${file}: give the path of a module, such as ./mine.js`)
  const module = await import(pathToFileURL(file).href).catch(cause => {
    throw refused(`it failed to load: ${cause instanceof Error ? cause.message : cause}`, cause)
  })
  const factory: unknown = module.strategy ?? module.default
  if (factory === undefined)
    throw refused('it exports no strategy: write `export const strategy = env => ...`')
  if (typeof factory !== 'function')
    throw refused(`its strategy is a ${typeof factory}: export a function (env) => strategy`)
  return factory as StrategyFactory
}

function fileOf(name: string, folder: string): string {
  return name.startsWith('file:') ? fileURLToPath(name) : resolve(folder, name)
}
