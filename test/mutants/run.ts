/**
 * Plants one bug and lets the simulator look for it: the compiled tree is copied, one file of it is
 * compiled anew from the changed source, and a child process runs seeds until a law breaks.
 */
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import type { Style } from '../../src/testing/swarm.js'
import { projectRoot } from '../harness/project-root.js'
import type { Mutant } from './mutant.js'

export interface Hunted {
  readonly id: string
  /** How many seeds it took; undefined if it was not found. */
  readonly seeds: number | undefined
  /** The law that broke. */
  readonly found: string
}

/** The changed sources by file. Throws if a piece is not there exactly once. */
export function mutate(root: string, mutant: Mutant): Map<string, string> {
  const changed = new Map<string, string>()
  for (const { file, find, replace } of mutant.edits) {
    const source = changed.get(file) ?? readFileSync(join(root, file), 'utf8')
    const times = source.split(find).length - 1
    if (times !== 1)
      throw new Error(`mutant ${mutant.id}: found ${times} times in ${file}, not once: ${find}`)
    changed.set(
      file,
      source.replace(find, () => replace),
    )
  }
  return changed
}

/** A copy of the compiled project with the bug in it; the caller removes the folder. */
export function plant(root: string, mutant: Mutant): string {
  const sources = mutate(root, mutant)
  const folder = mkdtempSync(join(tmpdir(), 'gcache-mutant-'))
  for (const part of ['src', 'transports', 'strategies', 'test'])
    cpSync(join(root, 'dist', part), join(folder, 'dist', part), { recursive: true })
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  for (const [file, source] of sources) {
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
    })
    writeFileSync(join(folder, 'dist', file.replace(/\.ts$/, '.js')), outputText)
  }
  return folder
}

/** Runs at most `seedsMax` seeds of `seconds` virtual seconds against it; all styles, or one; in
 *  the mutant's profile, or in all. */
export async function hunt(
  mutant: Mutant,
  seedsMax: number,
  seconds: number,
  style?: Style | 'suite',
): Promise<Hunted> {
  const folder = plant(projectRoot(), mutant)
  try {
    const flags = ['--seeds', `${seedsMax}`, '--seconds', `${seconds}`, '--workers', '1', '--first']
    if (style !== undefined && style !== 'suite') flags.push('--style', style)
    if (mutant.strategy !== undefined) flags.push('--strategy', mutant.strategy)
    if (mutant.profile !== undefined) flags.push('--profile', mutant.profile)
    if (mutant.style === 'suite') flags.push('--suite')
    const output = await run(join(folder, 'dist/test/sim.js'), flags)
    const law = /^seed \d+: (.*)$/m.exec(output)
    const tally = JSON.parse(output.trimEnd().split('\n').at(-1) ?? '{}') as { seeds: number }
    if (/TypeError|ReferenceError/.test(law?.[1] ?? ''))
      throw new Error(`mutant ${mutant.id} is no bug but broken code: ${law?.[1]}`)
    return { id: mutant.id, seeds: law === null ? undefined : tally.seeds, found: law?.[1] ?? '' }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function run(file: string, flags: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file, ...flags], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', text => {
      output += text
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      // 0: no law broke, 1: one did. Anything else looked at nothing, or not to the end.
      if (code === 0 || code === 1) resolve(output)
      else reject(new Error(`the simulator ended with ${code ?? signal}: ${flags.join(' ')}`))
    })
  })
}
