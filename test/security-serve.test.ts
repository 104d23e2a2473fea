/**
 * The product as processes, against somebody hostile: what an operator types, what files hold, and
 * what strangers say to the port (SECURITY 1, 5, 6, 8, 11, 17).
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as dial, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { connect, type Secret } from '../src/index.js'
import { openNotes } from '../src/notes.js'
import { formatCredential, makeCredential } from '../src/security/credentials.js'
import { Secret as Kept } from '../src/security/secret.js'
import { readable } from '../src/server/log.js'
import { paintFor } from '../src/server/paint.js'
import { plain } from '../src/server/plain.js'
import { oneLine } from '../src/server/run.js'
import { codeOf, rejectionOf } from './harness/codes.js'
import { freePorts, gcacheWith } from './harness/processes.js'
import { ANN, ITERATIONS, PASSWORD, SECRET } from './harness/proofs.js'
import { RawClient } from './harness/raw-client.js'
import { Served } from './harness/served.js'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const folder = mkdtempSync(join(tmpdir(), 'gcache-hostile-'))
const opened: { close(): Promise<unknown> }[] = []
const servers: Served[] = []

afterEach(async () => {
  await Promise.all(opened.splice(0).map(each => each.close()))
  for (const served of servers.splice(0)) {
    served.signal('SIGKILL')
    await served.ended
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

const file = (name: string, content: string | Buffer) => {
  const path = join(folder, name)
  writeFileSync(path, content, { mode: 0o600 })
  return path
}

async function served(...flags: string[]) {
  const [port] = await freePorts(1)
  const address = `tcp://127.0.0.1:${port}`
  const one = new Served(['--cluster', 'test', '--id', 'a', '--listen', address, ...flags])
  servers.push(one)
  await one.says('ready ')
  return { one, port, address }
}

async function client(address: string, auth: Record<string, unknown> = {}) {
  const made = await connect({ cluster: 'test', servers: [address], ...auth, timeoutMs: 8_000 })
  opened.push(made)
  return made
}

describe('row 8, --value-max', () => {
  test('row 8: a server takes values of that size, and a byte more is LIMIT', async () => {
    const { address } = await served('--value-max', '2k')
    const cache = (await client(address)).cache<Uint8Array>('c', { codec: 'bytes' })
    await cache.set('k', Buffer.alloc(2_048))
    expect(await rejectionOf(cache.set('k', Buffer.alloc(2_049)))).toBe('LIMIT')
    const set = ['set', '--server', address, '--cluster', 'test', '--cache', 'c', 'k']
    expect(await gcacheWith(set, Buffer.alloc(2_048))).toMatchObject({ code: 0 })
    const refused = await gcacheWith(set, Buffer.alloc(2_049))
    expect(refused.code).toBe(2)
    expect(refused.err).toContain('LIMIT')
  })

  test.each(['1023', '16777217', '17m', '1x', '-1', 'many', ''])(
    'row 8: --value-max %j is refused in one line',
    async size => {
      const { code, out, err } = await gcacheWith(['serve', '--id', 'a', `--value-max=${size}`])
      expect({ code, out }).toEqual({ code: 2, out: '' })
      expect(err.trim().split('\n')).toHaveLength(1)
      expect(err).toContain('CONFIG')
    },
  )
})

describe('what an operator gives', () => {
  test.each([
    '{"auth": {"secret": hush-hush-hush-hush}}',
    '{"auth": {"secret": "hush-hush-hush-hush"',
    '{"auth": {"secret": "hush-hush-hush-hush" "x": 1}}',
    '{"auth": "hush-hush-hush-hush"}',
    '{"auth": ["hush-hush-hush-hush"]}',
    '{"auth": {"secret": ["hush-hush-hush-hush"]}}',
    '{"auth": {"secret": "hush-hush", "users": "hush-hush"}}',
    '{"tls": {"cert": "hush-hush", "key": "hush-hush"}}',
    'hush-hush-hush-hush',
  ])('a configuration file of %j is refused, and nothing of it is printed', async text => {
    const config = file('config.json', text)
    const { code, out, err } = await gcacheWith(['serve', '--id', 'a', '--config', config])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain('CONFIG')
    expect(err).not.toContain('hush')
  })

  test.each(['a,b', 'a=b', 'a=2Cb', 'm\u00fcller', 'a b', 'a\nb', 'a\u200b'])(
    'a user called %j is refused',
    async name => {
      const { code, out, err } = await gcacheWith(['user', 'add', name], 'long enough')
      expect({ code, out }).toEqual({ code: 2, out: '' })
      expect(err).toContain('CONFIG')
    },
  )

  test('a password that is no text or has no form is refused', async () => {
    for (const password of [Buffer.from('m\u00fcller!', 'latin1'), '\u202ehush-hush', '\u00ad']) {
      const { code, out, err } = await gcacheWith(['user', 'add', 'ann'], password)
      expect({ code, out }).toEqual({ code: 2, out: '' })
      expect(err).not.toContain('hush')
    }
  })

  test('a short password is told of, and made', async () => {
    const { code, out, err } = await gcacheWith(['user', 'add', 'ann', '--grant', '*:r'], 'x\n')
    expect(code).toBe(0)
    expect(out).toMatch(/^ann client SCRAM-SHA-256\$600000:/)
    expect(err).toContain('the password has 1 bytes')
  })

  test('a password typed in another form is the same one', async () => {
    const composed = new Kept('m\u00fcller ist da')
    const credential = await makeCredential('ann', 'admin', composed, ITERATIONS)
    const users = file('forms', `${formatCredential(credential)}\n`)
    const secret = file('forms-secret', SECRET)
    const { address } = await served('--secret-file', secret, '--users-file', users)
    const login = (password: string | Secret) =>
      client(address, { auth: { user: 'ann', password } })
    await login('mu\u0308ller\u00a0i\u00adst da')
    const typed = file('forms-password', 'mu\u0308ller ist da\n')
    const get = ['get', '--server', address, '--cluster', 'test', '--cache', 'c', 'k']
    const asked = await gcacheWith([...get, '--user', 'ann', '--password-file', typed])
    expect(asked, asked.err).toMatchObject({ code: 1 })
    expect(await rejectionOf(login('muller ist da'))).toBe('AUTH_FAILED')
  })

  test('row 17: a folder of notes is its owner`s alone, or the witness does not start', () => {
    const own = join(folder, 'own')
    openNotes(own, 'shop', 'w').save(Buffer.from('a note'))
    expect(Buffer.from(openNotes(own, 'shop', 'w').last ?? []).toString()).toBe('a note')
    chmodSync(join(own, 'shop-w.note'), 0o644)
    expect(codeOf(() => openNotes(own, 'shop', 'w'))).toBe('CONFIG')
    chmodSync(join(own, 'shop-w.note'), 0o600)
    for (const mode of [0o755, 0o770, 0o702]) {
      chmodSync(own, mode)
      expect(() => openNotes(own, 'shop', 'w'), mode.toString(8)).toThrow('chmod 700')
    }
    mkdirSync(join(folder, 'wide'), { mode: 0o755 })
    expect(codeOf(() => openNotes(join(folder, 'wide'), 'shop', 'w'))).toBe('CONFIG')
  })
})

describe('what strangers have written', () => {
  test('moves no cursor and hides no line of a terminal', () => {
    expect(plain('a\u001b[2Jb\r\u009b\u202e\u007f')).toBe('a\\x1b[2Jb\\x0d\\x9b\\u202e\\x7f')
    expect(plain('\u00e4 \u{1f511}\n\tx')).toBe('\u00e4 \u{1f511}\n\tx')
    const line = JSON.stringify({ level: 40, time: '2026-01-01T00:00:00.000Z', msg: 'm' })
    const named = { ...JSON.parse(line), user: 'ann\n\u001b[1A\u001b[2K' }
    const shown = readable(JSON.stringify(named), paintFor({ isTTY: false } as never))
    expect(shown).toContain('user=ann\\n\\x1b[1A\\x1b[2K')
    expect(shown.indexOf('\n')).toBe(shown.length - 1)
    expect(oneLine(new Error('\u001b]0;x\u0007'))).toBe('Error: \\x1b]0;x\\x07')
  })
})

/** Bytes for a port, none of them any use. */
const NONSENSE: readonly (readonly [string, Buffer])[] = [
  ['noise', Buffer.from(Array.from({ length: 3_000 }, (_, i) => (i * 7_919) % 251))],
  ['the largest length there is', Buffer.from('ffffffff', 'hex')],
  ['a length above the limit', Buffer.from('00100000', 'hex')],
  ['a length and nothing more', Buffer.from('00010000', 'hex')],
  ['frames of no bytes', Buffer.alloc(4_096)],
  ['a request of HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
  ['a command of Redis', Buffer.from('*1\r\n$4\r\nPING\r\n')],
  ['TLS', Buffer.from(`160301${'0200'}0100${'01'.repeat(506)}`, 'hex')],
]

describe('a port', () => {
  const auth = () => [
    ...['--secret-file', file('secret', SECRET), '--users-file', file('users', `${ANN}\n`)],
    ...['--log-level', 'debug'],
  ]

  function says(port: number, bytes: Buffer): Promise<{ heard: number; socket: Socket }> {
    return new Promise(resolve => {
      const socket = dial({ port, host: '127.0.0.1' }, () => socket.write(bytes))
      let heard = 0
      socket.on('error', () => {})
      socket.on('data', chunk => (heard += chunk.length))
      socket.once('close', () => resolve({ heard, socket }))
    })
  }

  test.each(NONSENSE)(
    'that hears %s ends that link, answers little, and serves on',
    async (_, bytes) => {
      const { one, port, address } = await served(...auth())
      const good = await client(address, { auth: { user: 'ann', password: PASSWORD } })
      const cache = good.cache('c')
      await cache.set('k', 'v')
      const told = await Promise.all(Array.from({ length: 12 }, () => says(port, bytes)))
      for (const { heard } of told) expect(heard).toBeLessThan(1_024)
      expect(await cache.get('k')).toBe('v')
      expect(one.log.split('\n').length).toBeLessThan(60)
    },
  )

  test('wrong passwords and secrets are in no log line, no error and not in ps', async () => {
    const { one, address } = await served(...auth())
    const login = (auth: object) => client(address, { auth })
    for (const wrong of [
      { user: 'ann', password: 'hush-hush-hush' },
      { user: 'nobody', password: PASSWORD },
      { secret: `${SECRET}, hush-hush-hush` },
    ]) {
      const error: Error & { code?: string } = await login(wrong).catch(each => each)
      expect(error.code).toBe('AUTH_FAILED')
      expect(error.message).not.toMatch(/hush|pencil|salt|user ann/)
    }
    const ann = await login({ user: 'ann', password: PASSWORD })
    await ann.cache('c').set('hush-key', 'hush-value')
    await one.says('did not prove who it is')
    const { stdout: processes } = spawnSync('ps', ['-o', 'args=', '-p', `${one.pid}`])
    expect(`${processes}`).toContain('serve')
    for (const text of [one.log, `${processes}`])
      for (const forbidden of ['hush', PASSWORD, SECRET, Buffer.from(SECRET).toString('base64')])
        expect(text.includes(forbidden), forbidden.slice(0, 6)).toBe(false)
  })

  test('an observer asks for the status, and no command of an admin', async () => {
    const observer = await makeCredential('dog', 'observer', new Kept(PASSWORD), ITERATIONS)
    const users = file('observers', `${formatCredential(observer)}\n`)
    const secret = file('observers-secret', SECRET)
    const { address } = await served('--secret-file', secret, '--users-file', users)
    const login = { user: 'dog', password: PASSWORD }
    const raw = await RawClient.open(address, login, { id: '~dog' })
    opened.push(raw)
    raw.tell({ type: 'status', id: 1 })
    await raw.hears('status-reply')
    for (const command of ['handover', 'join', 'leave', 'force-bootstrap', 'reset', '__proto__']) {
      const member = { id: 'x', ordinal: 9, address: 'tcp://127.0.0.1:1' }
      raw.tell({ type: 'admin', id: 2, command, to: 'x', member, empty: true })
      expect((await raw.hears('admin-reply', 'refused')).code, command).toBe('FORBIDDEN')
    }
    expect(raw.down).toBeUndefined()
  })
})
