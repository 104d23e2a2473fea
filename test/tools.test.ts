/**
 * The proof tools as processes: what would make them run nothing, or for ever, is refused in one
 * line, and a broken law shows in the exit code. A proof that cannot fail proves nothing.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { gluedArguments, numberFlag, wholeFlag } from './flags.js'
import { projectRoot } from './harness/project-root.js'
import { MUTANTS } from './mutants/list.js'
import { plant } from './mutants/run.js'

const BUILT = fileURLToPath(new URL('../dist/test', import.meta.url))

interface Ended {
  /** Null if it did not end by itself. */
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(tool: string, flags: string, folder = BUILT): Ended {
  const argv = flags === '' ? [] : flags.split(' ')
  const program = [join(folder, `${tool}.js`), ...argv]
  return spawnSync(process.execPath, program, { encoding: 'utf8', timeout: 50_000 })
}

describe('what makes no sense is refused in one line', () => {
  test.each([
    ['sim', '--seeds abc', '--seeds'],
    ['sim', '--seeds 0', '--seeds'],
    ['sim', '--seeds -3', '--seeds'],
    ['sim', '--seeds 1.5', '--seeds'],
    ['sim', '--seeds=', '--seeds'],
    ['sim', '--workers abc', '--workers'],
    ['sim', '--workers 0', '--workers'],
    ['sim', '--seconds abc', '--seconds'],
    ['sim', '--seconds 10', '--seconds'],
    ['sim', '--seed abc', '--seed'],
    ['sim', '--seed -1', '--seed'],
    ['sim', '--suite --seeds abc', '--seeds'],
    ['sim', '--style windy', '--style'],
    ['sim', '--profile none', '--profile'],
    ['sim', '--sedes 5', '--sedes'],
    ['mutants', '--only nosuch', '--only'],
    ['mutants', '--only 1,nosuch', '--only'],
    ['mutants', '--style windy', '--style'],
    ['mutants', '--seeds 0', '--seeds'],
    ['mutants', '--seeds abc', '--seeds'],
    ['mutants', '--seconds abc', '--seconds'],
    ['mutants', '--seconds 10', '--seconds'],
    ['model', '--only nosuch', '--only'],
    ['model', '--only strict,nosuch', '--only'],
    ['model', '--seconds 0', '--seconds'],
    ['model', '--seconds abc', '--seconds'],
    ['model', '--states 0', '--states'],
    ['model', '--states abc', '--states'],
    ['nemesis', '--minutes abc', '--minutes'],
    ['nemesis', '--seed -1', '--seed'],
  ])('%s %s', (tool, flags, named) => {
    const { status, stdout, stderr } = run(tool, flags)
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/^[^\n]+\n$/)
    expect(stderr.startsWith(`${tool}: `)).toBe(true)
    expect(stderr).toContain(named)
  })

  test('planted bugs that are not quick, if only quick ones are wanted', () => {
    const slow = MUTANTS.find(({ style }) => style === undefined)
    const { status, stderr } = run('mutants', `--quick --only ${slow?.id}`)
    expect([status, stderr]).toEqual([2, `mutants: --quick: none of ${slow?.id} is quick\n`])
  })
})

describe('what makes sense runs', () => {
  test('as many seeds as were asked for, in as many processes', () => {
    const { status, stdout, stderr } = run('sim', '--seeds 3 --seed 0 --seconds 30 --workers 2')
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({ seeds: 3, violations: 0 })
  })

  test('the plans of the profile that was named', () => {
    const { stdout } = run('model', '--only promised --states 100')
    const [plan, sums] = stdout.trim().split('\n')
    expect(JSON.parse(plan)).toMatchObject({ profile: 'promised', stoppedBy: 'states' })
    expect(JSON.parse(sums).states).toBeGreaterThan(99)
  })
})

describe('the strategy suite as a process', () => {
  test('exits 1 if a law is broken', { timeout: 100_000 }, () => {
    const mutant = MUTANTS.find(({ style }) => style === 'suite')
    if (mutant === undefined) throw new Error('no planted bug is sought by the suite')
    const folder = plant(projectRoot(), mutant)
    try {
      const { status, stdout } = run('sim', '--suite', join(folder, 'dist/test'))
      expect(stdout).toMatch(/^seed \d+: .* broken: /m)
      expect(status).toBe(1)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

describe('flags', () => {
  test.each(['1e3', '0x10', ' 5', '+5', '5 ', '1_000', 'NaN', '', '9007199254740993'])(
    'a number is written in digits: %j is refused',
    text => {
      expect(() => wholeFlag('n', text, 0)).toThrow(`--n: a whole number from 0 on, not '${text}'`)
    },
  )

  test('bounds are inclusive', () => {
    expect([wholeFlag('n', '1', 1, 2), wholeFlag('n', '2', 1, 2)]).toEqual([1, 2])
    expect(() => wholeFlag('n', '3', 1, 2)).toThrow('from 1 to 2')
    expect(numberFlag('n', '0.5', 0.5, 1)).toBe(0.5)
    expect(() => numberFlag('n', '1.1', 0.5, 1)).toThrow('--n: a number from 0.5 to 1')
  })

  test('a negative number belongs to the flag before it', () => {
    const argv = ['--seeds', '-3', '--seed=1', '-4', '--trace', '--first']
    expect(gluedArguments(argv)).toEqual(['--seeds=-3', '--seed=1', '-4', '--trace', '--first'])
  })
})
