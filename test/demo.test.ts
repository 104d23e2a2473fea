/** The demo as `npm start` runs it where nobody watches, and what becomes of its processes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { MEDIA } from './harness/media.js'

const CLI = fileURLToPath(new URL('../dist/src/server/cli.js', import.meta.url))

function demo(...flags: string[]): {
  child: ChildProcess
  lines: string[]
  table: Promise<string[]>
} {
  const stdio = ['ignore', 'pipe', 'inherit'] as const
  const child = spawn(process.execPath, [CLI, 'demo', ...flags], { stdio: [...stdio] })
  const lines: string[] = []
  const table = new Promise<string[]>((resolve, reject) => {
    const addresses: string[] = []
    createInterface({ input: child.stdout! }).on('line', line => {
      lines.push(line)
      const found = /^[abc] .* (\w+:\/\/127\S+)/.exec(line)
      if (found !== null) addresses.push(found[1])
      if (addresses.length === 3) resolve(addresses)
    })
    child.once('exit', () => reject(new Error(lines.join('\n'))))
  })
  table.catch(() => {})
  return { child, lines, table }
}

/** Resolves once nobody listens at `address` any more. */
async function gone(address: string): Promise<void> {
  const { hostname, port } = new URL(address.replace(/^\w+:/, 'http:'))
  for (;;) {
    const refused = await new Promise<boolean>(resolve => {
      const socket = connect(Number(port), hostname)
      socket.once('connect', () => resolve(false)).once('error', () => resolve(true))
      socket.once('connect', () => socket.destroy())
    })
    if (refused) return
  }
}

test.each(MEDIA)(
  'over $name it kills the master once, loses nothing, exits 0',
  async medium => {
    const { child, lines, table } = demo('--transport', medium.name)
    const addresses = await table
    const scheme = medium.address(1).split(':')[0]
    expect(addresses.every(address => address.startsWith(`${scheme}:`))).toBe(true)
    const [code] = (await once(child, 'exit')) as [number | null]
    const story = lines.join('\n')
    expect(story).toMatch(/killed node a, the master .* SIGKILL/)
    expect(story).toMatch(/node b took over; \d+ ms from the kill to the next acknowledged write/)
    expect(story).toMatch(/\d+ requests failed, 0 acknowledged session writes lost/)
    expect(story).toMatch(/node a is back as slave, resynced after \d+ ms/)
    expect(code).toBe(0)
    for (const address of addresses) await gone(address)
  },
  60_000,
)

test.each(MEDIA)(
  'over $name with partitions it kills the owner of most sessions, loses nothing, exits 0',
  async medium => {
    const { child, lines } = demo('--strategy', 'partitioned', '--transport', medium.name)
    const [code] = (await once(child, 'exit')) as [number | null]
    const story = lines.join('\n')
    expect(story).toMatch(/killed node [abc], the owner of \d+ of 64 partitions and of \d+ of/)
    expect(story).toMatch(
      /node [abc] took over \d+ partitions.*; \d+ ms from the kill to an acknowledged write in/,
    )
    expect(story).toMatch(/\d+ requests failed, 0 acknowledged session writes lost/)
    const [, victim] = story.match(/killed node ([abc])/) as RegExpMatchArray
    expect(story).toMatch(
      new RegExp(`node ${victim} is back as (slave|master), resynced after \\d+ ms`),
    )
    expect(story).toContain('nothing was lost')
    expect(code).toBe(0)
  },
  90_000,
)

test.each(['SIGINT', 'SIGKILL'] as const)(
  '%s takes all of its processes with it',
  async signal => {
    const { child, table } = demo()
    const addresses = await table
    const exit = once(child, 'exit')
    child.kill(signal)
    await exit
    for (const address of addresses) await gone(address)
  },
  60_000,
)
