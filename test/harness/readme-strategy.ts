/**
 * The strategy of strategies/README.md as a reader has it: its block, compiled and beside nothing
 * but the built package. Also with planted bugs, each an edit of one place.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import type { StrategySuiteOptions } from '../../src/testing/strategy-suite.js'
import { projectRoot } from './project-root.js'

interface ReadmeStrategy {
  readonly file: string
  /** All that the suite takes but a runner and a name. */
  readonly env: Omit<StrategySuiteOptions, 'test' | 'name'>
}

/** `find` stands there exactly once. */
export interface Edit {
  readonly find: string
  readonly put: string
}

/** Written as `name`.js into a folder of its own, which `npm run build` does not touch. */
export async function readmeStrategy(name: string, edit?: Edit): Promise<ReadmeStrategy> {
  const page = readFileSync(join(projectRoot(), 'strategies/README.md'), 'utf8')
  const [, block] = /^```ts\n(\/\/ chain\.ts\n[\s\S]*?)^```$/m.exec(page) ?? []
  if (block === undefined) throw new Error('strategies/README.md has no block // chain.ts')
  const parts = edit === undefined ? [block] : block.split(edit.find)
  if (edit !== undefined && parts.length !== 2)
    throw new Error(`${JSON.stringify(edit.find)} stands there ${parts.length - 1} times`)
  const { ScriptTarget, ModuleKind } = ts
  const compilerOptions = { target: ScriptTarget.ES2022, module: ModuleKind.ESNext }
  const { outputText } = ts.transpileModule(parts.join(edit?.put), { compilerOptions })
  const folder = join(projectRoot(), 'dist/examples', `strategy-${process.pid}`)
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${name}.js`)
  writeFileSync(file, outputText)
  const { strategy, traits } = await import(pathToFileURL(file).href)
  return { file, env: { strategy, ...traits } }
}
