/** The option auth of nodes and clients, and the commands around it, on real sockets. */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import type { TransportFactory } from '../src/contracts/transport.js'
import { type Client, connect, createNode, GcacheError, type Node, Secret } from '../src/index.js'
import type { NodeOptions } from '../src/options.js'
import { paintFor } from '../src/server/paint.js'
import { statusJson, statusTable } from '../src/server/status-view.js'
import { relay } from '../transports/relay.js'
import { websocket } from '../transports/websocket.js'
import { Authority } from './harness/certificates.js'
import { rejectionOf } from './harness/codes.js'
import { freePorts, gcacheWith } from './harness/processes.js'
import { ANN, ITERATIONS, PASSWORD, SECRET } from './harness/proofs.js'
import { Served } from './harness/served.js'

// A command is a process: a second each where the machine is busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const opened: (Node | Client)[] = []
const folder = mkdtempSync(join(tmpdir(), 'gcache-auth-'))

afterEach(async () => {
  await Promise.all(opened.splice(0).map(each => each.close()))
})

afterAll(() => rmSync(folder, { recursive: true }))

const auth = { secret: SECRET, users: ANN, iterations: ITERATIONS }

async function start(options: NodeOptions): Promise<Node> {
  const node = await createNode(options)
  opened.push(node)
  return node
}

const alone = (more: Partial<NodeOptions> = {}): NodeOptions => ({
  cluster: 'test',
  id: 'a',
  members: [{ id: 'a', ordinal: 0, address: 'tcp://127.0.0.1:0' }],
  ...more,
})

async function client(node: Node, how: Parameters<typeof connect>[0]['auth']): Promise<Client> {
  const options = { cluster: 'test', servers: [node.address], timeoutMs: 8_000 }
  const made = await connect(how === undefined ? options : { ...options, auth: how })
  opened.push(made)
  return made
}

describe('nodes and clients', () => {
  test('nodes with one secret replicate, one with another does not join', async () => {
    const ports = await freePorts(3)
    const members = ['a', 'b', 'c'].map((id, ordinal) => ({
      ...{ id, ordinal, address: `tcp://127.0.0.1:${ports[ordinal]}` },
    }))
    const node = (id: string, secret = SECRET) =>
      start({ cluster: 'test', id, members, auth: { ...auth, secret } })
    const [a, b] = await Promise.all([node('a'), node('b'), node('c', `${SECRET}!`)])
    await Promise.all([a.ready(), b.ready()])
    const receipt = await a.cache('s').set('k', 'v', { ack: 'majority' })
    expect(receipt.copies).toBe(2)
    expect(a.status().members.find(({ id }) => id === 'c')?.state).toBe('down')
  })

  test('a client needs a right password or the secret', async () => {
    const node = await start(alone({ auth }))
    await node.ready()
    const ann = await client(node, { user: 'ann', password: PASSWORD })
    await ann.cache('s').set('k', 'v')
    const admin = await client(node, { secret: new Secret(SECRET) })
    expect(await admin.cache('s').get('k')).toBe('v')
    expect(await rejectionOf(client(node, { user: 'ann', password: 'pencil' }))).toBe('AUTH_FAILED')
    expect(await rejectionOf(client(node, { user: 'eve', password: PASSWORD }))).toBe('AUTH_FAILED')
    expect(await rejectionOf(client(node, { secret: `${SECRET}?` }))).toBe('AUTH_FAILED')
    expect(await rejectionOf(client(node, undefined))).toBe('AUTH_FAILED')
    expect(await ann.cache('s').get('k'), 'nobody else was disturbed').toBe('v')
  })

  test('a client that proves itself does not talk to a server that does not', async () => {
    const node = await start(alone())
    await node.ready()
    expect(await rejectionOf(client(node, { secret: SECRET }))).toBe('AUTH_FAILED')
    expect((await client(node, undefined)).master).toBe('a')
  })

  test('secrets and users are read from files', async () => {
    const [secretFile, usersFile, passwordFile] = ['secret', 'users', 'password'].map(name =>
      join(folder, name),
    )
    writeFileSync(secretFile, `${SECRET}\n`)
    writeFileSync(usersFile, `# who may come in\n${ANN}\n`)
    writeFileSync(passwordFile, `${PASSWORD}\n`)
    const node = await start(alone({ auth: { secretFile, usersFile, iterations: ITERATIONS } }))
    await node.ready()
    expect((await client(node, { user: 'ann', passwordFile })).master).toBe('a')
    expect((await client(node, { secretFile })).master).toBe('a')
  })
})

describe('files that others may touch', () => {
  const of = (name: string, text: string, mode: number) => {
    const path = join(folder, name)
    writeFileSync(path, text)
    chmodSync(path, mode)
    return path
  }
  const usersFile = of('private-users', `${ANN}\n`, 0o600)
  const secretFile = of('private-secret', `${SECRET}\n`, 0o640)

  test('who may read them is told of in the log, and nothing of what stands there', async () => {
    const lines: [Record<string, unknown>, string][] = []
    const note = (fields: Record<string, unknown>, text: string) => void lines.push([fields, text])
    const logger = { debug: note, info: note, warn: note, error: note }
    const readable = of('read-secret', `${SECRET}\n`, 0o644)
    const tell = async (auth: object) => {
      await start(alone({ auth: { iterations: ITERATIONS, ...auth }, logger }))
      return lines.splice(0).filter(([, text]) => text.includes('others may read'))
    }
    const told = await tell({ secretFile: readable, usersFile })
    expect(told.map(([fields]) => fields)).toEqual([{ file: readable, mode: '644' }])
    expect(inspect(told)).not.toContain(SECRET)
    expect(await tell({ secretFile, usersFile: of('read-users', `${ANN}\n`, 0o664) })).toHaveLength(
      1,
    )
    expect(await tell({ secretFile, usersFile }), 'a group is the operator`s decision').toEqual([])
  })

  test('what anybody may write says nobody`s secret: CONFIG, for nodes and clients', async () => {
    const open = of('open-secret', `${SECRET}\n`, 0o602)
    const users = of('open-users', `${ANN}\n`, 0o666)
    const password = of('open-password', `${PASSWORD}\n`, 0o622)
    expect(await rejectionOf(createNode(alone({ auth: { secretFile: open } })))).toBe('CONFIG')
    const auth = { secretFile, usersFile: users }
    expect(await rejectionOf(createNode(alone({ auth })))).toBe('CONFIG')
    const ann = { user: 'ann', passwordFile: password }
    const dial = connect({ cluster: 'test', servers: ['tcp://127.0.0.1:1'], auth: ann })
    await expect(dial).rejects.toMatchObject({ code: 'CONFIG', message: /chmod 600/ })
  })

  test('on the command line it is the same, for private keys as well', async () => {
    const { cert, key } = new Authority().issue('a')
    const files = ['--tls-cert', of('cert', cert, 0o644), '--tls-key']
    const refused = await gcacheWith(['serve', '--id', 'a', ...files, of('key', key, 0o646)])
    expect(refused).toMatchObject({ code: 2, out: '' })
    expect(refused.err).toContain('chmod 600')
    const [port] = await freePorts(1)
    const listen = ['--id', 'a', '--listen', `tcp://127.0.0.1:${port}`]
    const served = new Served([...listen, ...files, of('key', key, 0o644)])
    try {
      await served.says('others may read')
      await served.says('ready ')
    } finally {
      served.signal('SIGKILL')
      await served.ended
    }
  })
})

describe('wrong options', () => {
  const secret = 'hush-hush-hush-hush-hush-hush-hush'

  test.each([
    ['nothing', {}],
    ['a short secret', { secret: 'hush-hush' }],
    ['two secrets', { secret, secretFile: '/hush' }],
    ['a missing file', { secretFile: join(folder, 'nowhere') }],
    ['a folder', { secretFile: folder }],
    ['a number', { secret: 5 }],
    ['an unknown option', { secret, sekret: secret }],
    ['few iterations', { secret, iterations: 4_095 }],
    ['too many iterations', { secret, iterations: 10_000_001 }],
    ['users that are none', { secret, users: 'ann client hush-hush' }],
    ['a text', secret],
  ])('of a node: %s is CONFIG, and prints no secret', async (_, wrong) => {
    const error = await createNode(alone({ auth: wrong as never })).catch(each => each)
    expect(error).toBeInstanceOf(GcacheError)
    expect(error.code).toBe('CONFIG')
    expect(inspect(error) + JSON.stringify(error)).not.toContain('hush-hush')
  })

  test.each([
    ['nothing', {}],
    ['a user without a password', { user: 'ann' }],
    ['a password without a user', { password: 'hush-hush' }],
    ['a user with a secret', { user: 'ann', secret }],
    ['the name of the secret itself', { user: 'peer', password: 'hush-hush' }],
    ['an empty password', { user: 'ann', password: '' }],
    ['an unknown option', { user: 'ann', pass: 'hush-hush' }],
  ])('of a client: %s is CONFIG, and prints no secret', async (_, wrong) => {
    const servers = ['tcp://127.0.0.1:1']
    const error = await connect({ cluster: 'test', servers, auth: wrong }).catch(each => each)
    expect(error).toBeInstanceOf(GcacheError)
    expect(error.code).toBe('CONFIG')
    expect(inspect(error) + JSON.stringify(error)).not.toContain('hush-hush')
  })

  test('a failed login, a node and a client print no secret', async () => {
    const node = await start(alone({ auth }))
    await node.ready()
    const ann = await client(node, { user: 'ann', password: PASSWORD })
    const error = await client(node, { user: 'ann', password: 'hush-hush' }).catch(each => each)
    const deep = { depth: 12, showHidden: true }
    const prints = [error, node, ann, node.status()].map(each => inspect(each, deep))
    prints.push(JSON.stringify(error), JSON.stringify(node.status()), String(error.stack))
    for (const print of prints) {
      expect(print).not.toContain('hush-hush')
      expect(print).not.toContain(PASSWORD)
      expect(print).not.toContain(SECRET)
    }
  })
})

describe('beyond loopback', () => {
  const open = { listen: 'tcp://0.0.0.0:0' }

  test('a node refuses to start without authentication and encryption', async () => {
    expect(await rejectionOf(createNode(alone(open)))).toBe('INSECURE')
    expect(await rejectionOf(createNode(alone({ ...open, auth })))).toBe('INSECURE')
  })

  test('what counts is where an application`s own server listens, not the address', async () => {
    const server = createServer()
    await new Promise<void>(resolve => server.listen(0, '0.0.0.0', resolve))
    try {
      const { port } = server.address() as AddressInfo
      const address = `ws://127.0.0.1:${port}/gcache`
      const there = (inner: TransportFactory): Partial<NodeOptions> => ({
        members: [{ id: 'a', ordinal: 0, address }],
        transport: inner,
      })
      const plain = websocket({ server })
      expect(await rejectionOf(start(alone(there(plain))))).toBe('INSECURE')
      expect(await rejectionOf(start(alone(there(relay(plain)))))).toBe('INSECURE')
      const node = await start(alone({ ...there(plain), insecure: true }))
      expect(node.status().insecure).toBe(true)
      await node.close()
    } finally {
      server.close()
    }
  })

  test('one that is told to starts, says so in its log, and status shows it', async () => {
    const lines: string[] = []
    const note = (_: unknown, text: string) => lines.push(text)
    const logger = { debug: note, info: note, warn: note, error: note }
    const node = await start(alone({ ...open, insecure: true, logger }))
    await node.ready()
    expect(lines.join()).toContain('insecure')
    expect(node.status().insecure).toBe(true)
    const address = node.address.replace('0.0.0.0', '127.0.0.1')
    const asker = await connect({ cluster: 'test', servers: [address] })
    opened.push(asker)
    const status = await asker.status()
    expect(JSON.parse(statusJson(status)).members[0].insecure).toBe(true)
    expect(statusTable(status, paintFor({ isTTY: false } as never))).toContain('insecure: a')
  })

  test('on loopback nothing is said of it', async () => {
    const node = await start(alone())
    await node.ready()
    expect(node.status().insecure).toBe(false)
    const status = await (await client(node, undefined)).status()
    expect(statusJson(status)).not.toContain('insecure')
  })
})

const CLI = fileURLToPath(new URL('../dist/src/server/cli.js', import.meta.url))

/** The server, once it is ready, and what it printed on the way. */
function serve(args: string[]) {
  return new Promise<{ child: ChildProcess; banner: string }>((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, 'serve', ...args], { stdio: 'pipe' })
    child.once('exit', code => reject(new Error(`serve ended with ${code}`)))
    child.stderr.resume()
    let banner = ''
    createInterface({ input: child.stdout }).on('line', line => {
      banner += `${line}\n`
      if (line.startsWith('ready ')) resolve({ child, banner })
    })
  })
}

describe('commands', () => {
  const file = (name: string, text: string) => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }

  test('user add prints a line, or adds it to a file that only its owner may read', async () => {
    const grants = ['--grant', 'my cache:rw', '--grant', 'shop*:r']
    const printed = await gcacheWith(['user', 'add', 'ann', ...grants], 'hush-hush\n')
    expect(printed).toMatchObject({ code: 0, err: '' })
    const form = /^ann client SCRAM-SHA-256\$600000:\S+\$\S+:\S+ my%20cache:rw,shop\*:r\n$/
    expect(printed.out).toMatch(form)
    expect(printed.out).not.toContain('hush')
    const bare = await gcacheWith(['user', 'add', 'eve'], 'hush-hush\n')
    expect(bare.out).toMatch(/^eve client SCRAM-SHA-256\$\S+\n$/)
    expect(bare.err).toContain("--grant '*:rw'")
    const users = join(folder, 'added')
    const add = (...more: string[]) => gcacheWith(['user', 'add', ...more, '--file', users], 'pass')
    expect(await add('ann')).toMatchObject({ code: 0, out: '' })
    expect(await add('bob', '--role', 'observer')).toMatchObject({ code: 0 })
    const lines = readFileSync(users, 'utf8').split('\n')
    expect(lines.map(line => line.slice(0, 12))).toEqual(['ann client S', 'bob observer', ''])
    expect(statSync(users).mode & 0o777).toBe(0o600)
    const twice = await add('ann')
    expect(twice).toMatchObject({ code: 2, out: '' })
    expect(twice.err).toContain('ann stands in')
  })

  test('user add keeps who may read the file, and users added meanwhile', async () => {
    const users = file('shared-users', '')
    chmodSync(users, 0o644)
    const link = join(folder, 'link-to-users')
    symlinkSync(users, link)
    const names = ['ann', 'bob', 'eve']
    const added = names.map(name => gcacheWith(['user', 'add', name, '--file', link], 'hush-hush'))
    expect((await Promise.all(added)).map(({ code }) => code)).toEqual([0, 0, 0])
    const lines = readFileSync(users, 'utf8').trim().split('\n')
    expect(lines.map(line => line.slice(0, 3)).sort()).toEqual(names)
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
    expect(statSync(users).mode & 0o777, 'but not for all the world').toBe(0o640)
    expect(readdirSync(folder).filter(name => name.startsWith('shared-users.'))).toEqual([])
  })

  test.each([
    [['user', 'add', 'a,b'], 'pass'],
    [['user', 'add', 'peer'], 'pass'],
    [['user', 'add', 'ann', '--role', 'peer'], 'pass'],
    [['user', 'add', 'ann', '--iterations', '4096'], 'pass'],
    [['user', 'add', 'ann', '--grant', 'sessions'], 'pass'],
    [['user', 'add', 'ann', '--grant', 'sessions:rx'], 'pass'],
    [['user', 'add', 'ann', '--role', 'admin', '--grant', 'c:r'], 'pass'],
    [['user', 'add', 'ann'], ''],
    [['user', 'add', 'ann'], 'one\ntwo'],
    [['user', 'add', 'ann'], 'x'.repeat(5_000)],
    [['user', 'add', 'ann', 'hush-hush'], 'pass'],
  ])('%j is refused', async (args, input) => {
    const { code, out, err } = await gcacheWith(args, input)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err.trim().length).toBeGreaterThan(10)
  })

  test('serve with a secret lets in who has it, or a user with a password', async () => {
    const secret = file('cli-secret', `${SECRET}\n`)
    const users = file('cli-users', `${ANN}\n`)
    const password = file('cli-password', `${PASSWORD}\n`)
    const [port] = await freePorts(1)
    const address = `tcp://127.0.0.1:${port}`
    const auth = ['--secret-file', secret, '--users-file', users]
    const { child, banner } = await serve(['--id', 'a', '--listen', address, ...auth])
    try {
      expect(banner).not.toContain('no authentication')
      expect(banner).not.toContain(SECRET)
      const on = ['--server', address]
      const cache = [...on, '--cache', 'c']
      const ann = ['--user', 'ann', '--password-file', password]
      expect(await gcacheWith(['set', ...cache, ...ann, 'k', 'v'])).toMatchObject({ code: 0 })
      const denied = await gcacheWith(['status', ...on, ...ann])
      expect(denied).toMatchObject({ code: 2, out: '' })
      expect(denied.err).toContain('FORBIDDEN')
      const byEnvironment = { GCACHE_SECRET: SECRET }
      expect(await gcacheWith(['get', ...cache, 'k'], '', byEnvironment)).toMatchObject({
        out: 'v',
      })
      expect(await gcacheWith(['status', ...on, '--secret-file', secret])).toMatchObject({
        code: 0,
      })
      const wrong = await gcacheWith(['get', ...cache, 'k', '--user', 'ann'], '', {
        GCACHE_PASSWORD: 'hush-hush',
      })
      expect(wrong).toMatchObject({ code: 2, out: '' })
      expect(wrong.err).toContain('AUTH_FAILED')
      expect(wrong.err).not.toContain('hush')
      expect((await gcacheWith(['get', ...cache, 'k'])).err).toContain('AUTH_FAILED')
    } finally {
      child.kill('SIGKILL')
    }
  })

  test('serve beyond loopback is INSECURE, and says so where it was told to', async () => {
    const [port] = await freePorts(1)
    const open = ['--id', 'a', '--listen', `tcp://0.0.0.0:${port}`]
    const refused = await gcacheWith(['serve', ...open])
    expect(refused.code).toBe(2)
    expect(refused.err).toContain('INSECURE')
    const { child, banner } = await serve([...open, '--insecure'])
    expect(banner).toContain('--insecure')
    child.kill('SIGKILL')
  })
})
