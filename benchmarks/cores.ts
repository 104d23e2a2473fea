/**
 * Processes kept on cores of their own. With one call in flight the scheduler may put client and
 * server on one core, where nobody sleeps, or on two, where each journey wakes a sleeper: 0.03 to
 * 0.15 ms for the same call of the same build, and one side's luck is not the other's.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** The cores that we may run on, of Linux' list such as `0-2,5`; exported for its test. */
export function coresOf(list: string): number[] {
  return list.split(',').flatMap(range => {
    const [first, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
}

/** '' where there is no such file: that is no Linux. */
function allowedList(): string {
  try {
    const status = readFileSync('/proc/self/status', 'utf8')
    return /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? ''
  } catch {
    return ''
  }
}

const ALLOWED = allowedList()
const [FIRST, SECOND] = ALLOWED === '' ? [] : coresOf(ALLOWED)

/** Two cores for two sides; undefined where processes cannot be parted: one core, or no taskset. */
export const twoCores =
  SECOND !== undefined && spawnSync('taskset', ['--version']).status === 0
    ? ([FIRST, SECOND] as const)
    : undefined

/** All threads of `pids` run on core `core` alone; undefined: on any that we may run on. */
export function keepOn(pids: readonly (number | undefined)[], core?: number): void {
  if (twoCores === undefined) return
  const cores = core === undefined ? ALLOWED : String(core)
  for (const pid of pids) {
    if (pid === undefined) continue
    const done = spawnSync('taskset', ['--all-tasks', '--pid', '--cpu-list', cores, `${pid}`])
    // Measured elsewhere than the report says would be worse than not measured.
    if (done.status !== 0)
      throw new Error(`taskset could not keep ${pid} on ${cores}: ${done.stderr}`)
  }
}
