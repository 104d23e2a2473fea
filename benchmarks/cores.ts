/**
 * Processes kept on cores of their own. With one call in flight the scheduler may put client and
 * server on one core, where nobody sleeps, or on two, where each journey wakes a sleeper: 0.03 to
 * 0.15 ms for the same call of the same build, and one side's luck is not the other's.
 */
import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** True where processes can be parted: two cores, and Linux' taskset. */
export const canPart =
  availableParallelism() > 1 && spawnSync('taskset', ['--version']).error === undefined

/** All threads of `pids` run on core `core` alone; undefined: on any. */
export function keepOn(pids: readonly (number | undefined)[], core?: number): void {
  if (!canPart) return
  const cores = core === undefined ? `0-${availableParallelism() - 1}` : String(core)
  for (const pid of pids)
    if (pid !== undefined)
      spawnSync('taskset', ['--all-tasks', '--pid', '--cpu-list', cores, `${pid}`])
}
