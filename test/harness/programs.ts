/**
 * Real programs that tests run beside us and npm does not bring: found on the PATH or where Debian
 * puts servers, else installed from Debian's packages where this is root on Debian.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { programPath } from '../../src/server/demo/program-path.js'

/** The program and the Debian package that holds it. */
export const PROGRAMS = { 'nats-server': 'nats-server', haproxy: 'haproxy' } as const
export type Program = keyof typeof PROGRAMS

const INSTALL_MS_MAX = 300_000

/** For `test.skipIf`: with CI=true the set-up has failed before any test asks. */
export function lacks(program: Program): boolean {
  return programPath(program) === undefined
}

/**
 * Installs what is missing and says in a line each what it could not. Throws with CI=true: nothing
 * is skipped there.
 */
export function ensurePrograms(): void {
  const missing = () => (Object.keys(PROGRAMS) as Program[]).filter(lacks)
  if (missing().length > 0 && mayInstall()) install(missing().map(program => PROGRAMS[program]))
  const lines = missing().map(
    program => `${program} is missing, its tests are skipped: apt install ${PROGRAMS[program]}`,
  )
  if (lines.length > 0 && process.env.CI === 'true') throw new Error(lines.join('\n'))
  for (const line of lines) console.warn(line)
}

function install(packages: readonly string[]): void {
  const apt = (...args: string[]) => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const { status, stderr } = spawnSync('apt-get', ['-q', '-y', ...args], {
      ...{ env, encoding: 'utf8', timeout: INSTALL_MS_MAX },
    })
    if (status !== 0) console.warn(`apt-get ${args.join(' ')}: ${stderr.trim().slice(-500)}`)
    return status === 0
  }
  const from = ['install', '--no-install-recommends', ...packages]
  // A fresh image has no lists of packages yet.
  if (!apt(...from)) apt('update') && apt(...from)
}

function mayInstall(): boolean {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version')
}
