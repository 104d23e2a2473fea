/** `gcache serve` with users, as a process: their file changes, and SIGHUP reads it again. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { connect } from '../src/index.js'
import { formatCredential, makeCredential } from '../src/security/credentials.js'
import { parseGrants } from '../src/security/grants.js'
import { Secret } from '../src/security/secret.js'
import { OP, writePlain } from '../src/wire/command.js'
import { rejectionOf } from './harness/codes.js'
import { freePorts } from './harness/processes.js'
import { ITERATIONS, PASSWORD, SECRET } from './harness/proofs.js'
import { RawClient } from './harness/raw-client.js'
import { Served } from './harness/served.js'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const folder = mkdtempSync(join(tmpdir(), 'gcache-users-'))
const usersFile = join(folder, 'users')
const secretFile = join(folder, 'secret')
const lines: Record<string, string> = {}
const opened: { close(): Promise<unknown> }[] = []
let served: Served
let address: string

const line = async (user: string, grants: string) =>
  formatCredential(
    await makeCredential(user, 'client', new Secret(PASSWORD), ITERATIONS, parseGrants([grants])),
  )
const write = (...users: string[]) => writeFileSync(usersFile, users.join('\n'))

beforeAll(async () => {
  for (const user of ['old', 'stays', 'fresh']) lines[user] = await line(user, '*:rw')
  lines.narrowed = await line('stays', 'c:r')
  writeFileSync(secretFile, `${SECRET}\n`, { mode: 0o600 })
})
beforeEach(async () => {
  write(lines.old, lines.stays)
  const [port] = await freePorts(1)
  address = `tcp://127.0.0.1:${port}`
  served = new Served([
    ...['--cluster', 'test', '--id', 'a', '--listen', address],
    ...['--secret-file', secretFile, '--users-file', usersFile],
  ])
  await served.says('ready ')
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map(each => each.close()))
  served.signal('SIGKILL')
  await served.ended
})
afterAll(() => rmSync(folder, { recursive: true }))

async function raw(user: string): Promise<RawClient> {
  const client = await RawClient.open(address, { user, password: PASSWORD }, { id: `~${user}` })
  opened.push(client)
  return client
}

const mayGet = (client: RawClient) => client.ask(out => writePlain(out, OP.get, 'c', 'k'))
const enter = async (user: string) => {
  const auth = { user, password: PASSWORD }
  opened.push(await connect({ cluster: 'test', servers: [address], auth, timeoutMs: 4_000 }))
}

test('SIGHUP: new users get in, and links of those who are gone end within 1 s', async () => {
  const [old, stays] = [await raw('old'), await raw('stays')]
  const lasting = await connect({ cluster: 'test', servers: [address], auth: { secret: SECRET } })
  opened.push(lasting)
  const lost: unknown[] = []
  lasting.on('link', change => void lost.push(change))
  expect(await rejectionOf(enter('fresh'))).toBe('AUTH_FAILED')

  write(lines.stays, lines.fresh)
  const began = performance.now()
  served.signal('SIGHUP')
  const told = await old.hears('refused')
  expect([told.what, told.code]).toEqual(['link', 'AUTH_FAILED'])
  await old.sees('the end', () => old.down !== undefined)
  expect(performance.now() - began).toBeLessThan(1_000)
  await served.says('users were read again')

  expect(await mayGet(stays), 'whose line is as it was lives on').toBe('ok')
  expect(stays.down).toBeUndefined()
  expect(lost, 'and so does who has the secret').toEqual([])
  await enter('fresh')
  expect(await rejectionOf(enter('old'))).toBe('AUTH_FAILED')
})

test('SIGHUP: a user whose grants changed must log in again, and has the new ones', async () => {
  const before = await raw('stays')
  const set = (client: RawClient) => client.ask(out => writePlain(out, OP.clear, 'd', ''))
  expect(await mayGet(before)).toBe('ok')
  write(lines.narrowed)
  served.signal('SIGHUP')
  await before.sees('the end', () => before.down !== undefined)
  const after = await raw('stays')
  expect(await mayGet(after)).toBe('ok')
  expect(await set(after)).toBe('FORBIDDEN')
})

test('SIGHUP: a broken or missing file is one line in the log, and the users stay', async () => {
  const old = await raw('old')
  write(lines.fresh, 'no line at all')
  served.signal('SIGHUP')
  await served.says('users stay as they were')
  rmSync(usersFile)
  served.signal('SIGHUP')
  await served.says('users stay as they were', 2)
  expect(served.log.split('users stay as they were')).toHaveLength(3)
  expect(served.log).not.toContain('no line at all')
  expect(await mayGet(old)).toBe('ok')
  expect(await rejectionOf(enter('fresh'))).toBe('AUTH_FAILED')
  await enter('stays')
  write(lines.fresh)
  served.signal('SIGHUP')
  await served.says('users were read again')
  await enter('fresh')
})

test('SIGHUP while it starts: users who have gone meanwhile do not get in', async () => {
  const config = join(folder, 'slow.json')
  writeFileSync(config, JSON.stringify({ auth: { secretFile, iterations: 3_000_000 } }))
  write(lines.old.replace(' *:rw', ''), lines.stays)
  const [port] = await freePorts(1)
  const slow = new Served([
    ...['--cluster', 'test', '--id', 'a', '--listen', `tcp://127.0.0.1:${port}`],
    ...['--config', config, '--users-file', usersFile],
  ])
  try {
    // Said as soon as the file was read; the keys of the secret take their time after it.
    await slow.says('clients without grants')
    write(lines.stays)
    slow.signal('SIGHUP')
    await slow.says('ready ')
    await slow.says('users were read again')
  } finally {
    slow.signal('SIGKILL')
    await slow.ended
  }
})
