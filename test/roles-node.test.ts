/**
 * Each row of the table of roles against a real node over TCP with real proofs, then what somebody
 * hostile would try, and what the client library makes of a refusal.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ClientAuth, Role } from '../src/contracts/authentication.js'
import { type Client, connect, createNode, type GcacheError, type Node, tcp } from '../src/index.js'
import { formatCredential, makeCredential } from '../src/security/credentials.js'
import { parseGrants } from '../src/security/grants.js'
import { type Cell, CONTROLS, OPERATIONS, type Row } from '../src/security/roles.js'
import { Secret } from '../src/security/secret.js'
import type { Writer } from '../src/wire/bytes.js'
import {
  OP,
  writeDelete,
  writePlain,
  writeScan,
  writeSet,
  writeTouch,
} from '../src/wire/command.js'
import type { Control } from '../src/wire/control.js'
import { FRAME } from '../src/wire/requests.js'
import { encodeToken } from '../src/wire/token.js'
import { golden } from './fuzz/corpus.js'
import { freePorts } from './harness/processes.js'
import { ITERATIONS, PASSWORD, SECRET } from './harness/proofs.js'
import { RawClient } from './harness/raw-client.js'

const codeWhen = (act: Promise<unknown>) =>
  act.then(
    () => 'nothing',
    (error: GcacheError) => error.code,
  )

/** Users of the node that the rest of the tests talk to. */
const USERS: Record<string, [Role, ...string[]]> = {
  reader: ['client', 'c:r'],
  writer: ['client', 'c:w'],
  owner: ['client', 'c:a'],
  nobody: ['client'],
  shop: ['client', 'shop*:rw'],
  odd: ['client', '__proto__:rw', `${'x'.repeat(64)}:rw`],
  watchdog: ['observer'],
  root: ['admin'],
}

const as = (user: string): ClientAuth =>
  user === 'secret' ? { secret: SECRET } : { user, password: PASSWORD }

let users: string
let node: Node
const warned: Record<string, unknown>[] = []
const logger = {
  ...{ debug() {}, info() {}, error() {} },
  warn: (fields: Record<string, unknown>, text: string) => void warned.push({ ...fields, text }),
}
const opened: { close(): Promise<unknown> }[] = []

const started = (more: Partial<Parameters<typeof createNode>[0]> = {}) =>
  createNode({
    cluster: 'test',
    id: 'a',
    members: [{ id: 'a', ordinal: 0, address: 'tcp://127.0.0.1:0' }],
    auth: { secret: SECRET, users, iterations: ITERATIONS },
    logger,
    ...more,
  })

beforeAll(async () => {
  const lines = Object.entries(USERS).map(async ([user, [role, ...grants]]) =>
    formatCredential(
      await makeCredential(user, role, new Secret(PASSWORD), ITERATIONS, parseGrants(grants)),
    ),
  )
  users = (await Promise.all(lines)).join('\n')
  node = await started()
  await node.ready()
}, 60_000)

afterEach(async () => {
  await Promise.all(opened.splice(0).map(each => each.close()))
})

afterAll(() => node.close())

async function raw(user: string, id?: string): Promise<RawClient> {
  const client = await RawClient.open(node.address, as(user), id === undefined ? {} : { id })
  opened.push(client)
  return client
}

async function client(user: string): Promise<Client> {
  const made = await connect({ cluster: 'test', servers: [node.address], auth: as(user) })
  opened.push(made)
  return made
}

const forbidden = async () => {
  const root = await raw('root', '~count')
  root.tell({ type: 'status', id: 1 })
  const { status } = await root.hears('status-reply')
  await root.close()
  return (status.extra as { forbidden: number }).forbidden
}

const VALUE = Buffer.from('v')
type Write = (out: Writer, cache: string) => void
const COMMANDS: Record<string, Write> = {
  get: (out, cache) => writePlain(out, OP.get, cache, 'k'),
  has: (out, cache) => writePlain(out, OP.has, cache, 'k'),
  size: (out, cache) => writePlain(out, OP.size, cache, ''),
  scan: (out, cache) => writeScan(out, cache, '', 0, 10),
  set: (out, cache) => writeSet(out, cache, 'k', VALUE, {}),
  delete: (out, cache) => writeDelete(out, cache, 'k', {}),
  touch: (out, cache) => writeTouch(out, cache, 'k', {}),
  clear: (out, cache) => writePlain(out, OP.clear, cache, ''),
  openWindow: out => writePlain(out, OP.openWindow, '', ''),
}
const WINDOW = { id: 'w'.repeat(16), lowest: 1 }
const WINDOW_OF: Record<string, typeof WINDOW | undefined> = { openWindow: WINDOW }

/** Who of the users a cell lets through, in cache c. */
const LETS: Record<Cell, string[]> = {
  yes: ['reader', 'writer', 'owner', 'nobody'],
  no: [],
  own: [],
  read: ['reader', 'owner'],
  write: ['writer', 'owner'],
  admin: ['owner'],
}
const letThrough = ([clients, , observers, admins]: Row) => [
  ...LETS[clients],
  ...(observers === 'yes' ? ['watchdog'] : []),
  ...(admins === 'yes' ? ['root', 'secret'] : []),
]
const ASKERS = ['reader', 'writer', 'owner', 'nobody', 'watchdog', 'root', 'secret']

describe('a node asks, of whoever is linked', () => {
  test.each(Object.keys(COMMANDS))('for its right to %s', async name => {
    await node.cache('c', { codec: 'bytes' }).set('k', VALUE)
    const allowed = letThrough(OPERATIONS[name as keyof typeof OPERATIONS])
    for (const user of ASKERS) {
      const { version } = (await node.cache('c', { codec: 'bytes' }).getEntry('k')) ?? {}
      const asker = await raw(user)
      const code = await asker.ask(out => COMMANDS[name](out, 'c'), WINDOW_OF[name])
      if (allowed.includes(user)) {
        expect(code, user).not.toBe('FORBIDDEN')
        await node.cache('c', { codec: 'bytes' }).set('k', VALUE)
      } else {
        expect(code, user).toBe('FORBIDDEN')
        const shown = user === 'secret' ? 'peer' : user
        expect(asker.messages.join()).toContain(`user ${shown} `)
        expect(asker.messages.join()).toContain(name)
        if (name !== 'openWindow') expect(asker.messages.join()).toContain('"c"')
        const now = await node.cache('c', { codec: 'bytes' }).getEntry('k')
        expect(now?.version, 'nothing happened').toBe(version)
      }
      expect(asker.down, 'the link stands').toBeUndefined()
      await asker.close()
    }
  })

  const tells: [Control, keyof typeof CONTROLS][] = [
    [{ type: 'watch', id: 7, cache: 'c', prefix: '' }, 'watch'],
    [{ type: 'unwatch', id: 7 }, 'unwatch'],
    [{ type: 'hint', epoch: 1 }, 'hint'],
    [{ type: 'status', id: 7 }, 'status'],
    ...['handover', 'join', 'leave', 'force-bootstrap', 'promote'].map(
      command => [{ type: 'admin', id: 7, command, to: 'z' }, 'admin'] as [Control, 'admin'],
    ),
  ]
  test.each(tells)('for its right to tell %j', async (message, type) => {
    const allowed = letThrough(CONTROLS[type])
    for (const user of ASKERS) {
      const asker = await raw(user)
      await asker.hears('view')
      asker.tell(message)
      // Whoever may ask for nothing else may still be told so: it comes behind the answer.
      asker.tell({ type: 'admin', id: 99, command: 'nonsense', to: '' })
      await asker.sees('the end', () =>
        asker.controls.some(each => each.type === 'admin-reply' && each.id === 99),
      )
      const codes = asker.controls
        .filter(each => each.type === 'refused' || each.type === 'admin-reply')
        .filter(each => each.id !== 99)
        .map(({ code }) => code)
      if (allowed.includes(user)) expect(codes, user).not.toContain('FORBIDDEN')
      else expect(codes, user).toEqual(['FORBIDDEN'])
      expect(asker.down, 'the link stands').toBeUndefined()
      await asker.close()
    }
  })

  test('and ends the link of whoever is no node and sends a frame of one', async () => {
    const frames = [
      ...golden('master-slave-', 'reply'),
      Buffer.from([FRAME.event, 1, 0, 0, 0, 0, 0]),
      ...[0x40, 0x7f, 0xff].map(kind => Buffer.from([kind])),
    ]
    expect(frames.length).toBeGreaterThan(30)
    const bystander = await raw('reader', '~bystander')
    const before = node.status()
    for (const frame of frames)
      for (const user of ['owner', 'watchdog', 'root']) {
        const peer = await raw(user)
        peer.say(frame)
        await peer.sees(`the end of ${user}'s link (${frame[0]})`, () => peer.down !== undefined)
        await peer.close()
      }
    expect(await bystander.ask(out => COMMANDS.get(out, 'c'))).toBe('ok')
    const { self, master, epoch } = node.status()
    expect({ self, master, epoch }).toEqual({
      ...{ master: before.master, epoch: before.epoch },
      self: { ...before.self, offset: self.offset },
    })
    const ends = warned.filter(({ code }) => code === 'FORBIDDEN')
    expect(ends.length, 'logged, at a rate').toBeGreaterThan(0)
    expect(ends.length).toBeLessThan(40)
  }, 60_000)
})

const set =
  (key: string, cache = 'c') =>
  (out: Writer) =>
    writeSet(out, cache, key, VALUE, {})
/** Only if there is none: said again without its window, it would be refused. */
const writeSetOnce = (key: string) => (out: Writer) =>
  writeSet(out, 'c', key, VALUE, { ifAbsent: true })

describe('somebody hostile', () => {
  const open = COMMANDS.openWindow as (out: Writer) => void

  test('who claims to be a node needs the secret of nodes', async () => {
    for (const user of ['owner', 'root', 'watchdog']) {
      const error = await RawClient.open(node.address, as(user), { id: 'b' }).catch(each => each)
      expect(String(error), user).toContain('authentication failed')
    }
    expect(node.status().members.map(({ id }) => id)).toEqual(['a'])
  })

  test('who takes the name under which a node calls itself is refused', async () => {
    for (const user of ['owner', 'root', 'secret']) {
      const error = await RawClient.open(node.address, as(user), { id: '~local' }).catch(
        each => each,
      )
      expect(String(error), user).toContain('no link is called ~local')
    }
    expect(await node.cache('c').set('k', 1)).toMatchObject({ copies: 1 })
  })

  test('who names a window that another opened has none, and the other keeps his', async () => {
    const window = { id: 'of the owner, yes', lowest: 1 }
    window.id = window.id.slice(0, 16)
    const [owner, writer, root] = [
      await raw('owner'),
      await raw('writer', '~w'),
      await raw('root', '~r'),
    ]
    expect(await owner.ask(open, window)).toBe('ok')
    for (const thief of [writer, root]) {
      expect(await thief.ask(set('stolen'), { ...window, lowest: 2 })).toBe('CLIENT_EXPIRED')
      expect(thief.down).toBeUndefined()
    }
    expect(await node.cache('c').has('stolen')).toBe(false)
    // The same number as the thieves': had they had the window, this would be a repetition.
    expect(await owner.ask(set('kept'), { ...window, lowest: 2 })).toBe('ok')
    expect(await node.cache('c').has('kept')).toBe(true)
    // One that he opens under the same name is his own, and no other link of the owner's loses any.
    expect(await writer.ask(open, window)).toBe('ok')
    const again = await raw('owner', '~again')
    expect(await again.ask(set('later'), { ...window, lowest: 3 })).toBe('ok')
  })

  test('a window outlives its master under the name of its user', async () => {
    const ids = ['a', 'b', 'c']
    const ports = await freePorts(3)
    const members = ids.map((id, i) => ({
      ...{ id, ordinal: i, address: `tcp://127.0.0.1:${ports[i]}` },
    }))
    const nodes = await Promise.all(ids.map(id => started({ id, members })))
    opened.push(...nodes)
    await Promise.all(nodes.map(each => each.ready()))
    const window = { id: 'a window of some', lowest: 1 }
    const at = async (i: number, user: string, id: string) => {
      const made = await RawClient.open(nodes[i].address, as(user), { id })
      opened.push(made)
      return made
    }
    const before = await at(0, 'owner', '~one')
    expect(await before.ask(open, window)).toBe('ok')
    const second = { ...window, lowest: 2 }
    const first = writeSetOnce('k')
    expect(await before.ask(first, second)).toBe('ok')
    // A slave judges like its master, and says so before it says who leads.
    expect(await (await at(1, 'watchdog', '~dog')).ask(set('k'))).toBe('FORBIDDEN')
    expect(await (await at(1, 'owner', '~own')).ask(set('k'))).toBe('NOT_MASTER')
    // An embedded slave asks the master for its own admin.
    expect(await nodes[2].handover({ to: 'b' })).toMatchObject({ from: 'a', to: 'b' })
    const after = await at(1, 'owner', '~two')
    await after.sees('b serves', () =>
      after.controls.some(each => each.type === 'view' && each.master === 'b' && each.serving),
    )
    // Said again, the write has the first answer; had its window been lost, it would be none.
    expect(await after.ask(first, second)).toBe('ok')
    const thief = await at(1, 'writer', '~three')
    expect(await thief.ask(first, second)).toBe('CLIENT_EXPIRED')
  })

  test('hints of a client depose no master', async () => {
    const reader = await raw('reader')
    for (let i = 0; i < 2_000; i++) reader.tell({ type: 'hint', epoch: 2 ** 40 })
    expect(await reader.ask(out => COMMANDS.get(out, 'c'))).not.toBe('FORBIDDEN')
    expect(node.status()).toMatchObject({ master: 'a', self: { role: 'master', state: 'online' } })
  })

  test('nobody believes a view that a client made up, or a token of a higher epoch', async () => {
    const { epoch } = node.status()
    const members = [{ id: 'evil', ordinal: 0, address: 'tcp://127.0.0.1:1' }]
    const view = { node: 'evil', master: 'evil', epoch: epoch + 512, serving: true, members }
    for (const user of ['owner', 'root']) {
      const forger = await raw(user)
      forger.tell({ type: 'view', ...view })
      expect(await forger.hears('refused')).toMatchObject({ code: 'FORBIDDEN', what: 'view' })
      await forger.close()
    }
    const reader = await client('reader')
    const position = { epoch: { number: epoch + 512, incarnation: 'f'.repeat(16) }, offset: 9 }
    const after = encodeToken('test', [position])
    const read = reader.cache('c').get('k', { after, timeoutMs: 3_000 })
    expect(['DIVERGED', 'TIMEOUT']).toContain(await codeWhen(read))
    expect(node.status()).toMatchObject({ epoch, master: 'a', self: { role: 'master' } })
  })

  test('a grant for one name is none for a longer, a shorter or a stranger one', async () => {
    const [shop, odd] = [await raw('shop'), await raw('odd', '~odd')]
    const long = 'x'.repeat(64)
    for (const [who, cache, code] of [
      [shop, 'shop', 'ok'],
      [shop, 'shops', 'ok'],
      [shop, 'sho', 'FORBIDDEN'],
      [shop, 'Shop', 'FORBIDDEN'],
      [shop, '__proto__', 'FORBIDDEN'],
      [shop, `shop${'x'.repeat(60)}`, 'ok'],
      [shop, `shop${'x'.repeat(61)}`, 'LIMIT'],
      [odd, '__proto__', 'ok'],
      [odd, 'constructor', 'FORBIDDEN'],
      [odd, long, 'ok'],
      [odd, long.slice(1), 'FORBIDDEN'],
      [odd, `${long}x`, 'LIMIT'],
      [odd, '', 'FORBIDDEN'],
    ] as const)
      expect(await who.ask(set('k', cache)), cache).toBe(code)
    expect(({} as { x?: unknown }).x).toBeUndefined()
    expect(shop.messages.join()).toContain('"__proto__"')
  })

  test('a frame of many commands is judged command by command', async () => {
    const writer = await client('writer')
    const mixed = ['c', 'd', 'c', 'shop', 'c'].map((name, i) =>
      codeWhen(writer.cache(name).set(`m${i}`, i)),
    )
    expect(await Promise.all(mixed)).toEqual([
      'nothing',
      'FORBIDDEN',
      'nothing',
      'FORBIDDEN',
      'nothing',
    ])
  })
})

describe('the client library', () => {
  test('rejects with FORBIDDEN, and a write as surely not done', async () => {
    const dog = await client('watchdog')
    const error = await dog
      .cache('c')
      .set('k', 1)
      .catch(each => each)
    expect(error).toMatchObject({ code: 'FORBIDDEN', outcome: 'rejected', retryable: false })
    expect(error.message).toContain('user watchdog (observer) may not set in cache "c"')
    const reads = [dog.cache('c').get('k'), dog.cache('c').size(), dog.cache('c').keys().next()]
    for (const read of reads) expect(await codeWhen(read)).toBe('FORBIDDEN')
    const local = dog.cache('c').get('k', { read: 'local' })
    expect(await codeWhen(local)).toBe('FORBIDDEN')
    expect((await dog.status()).master).toBe('a')
    expect(await codeWhen(dog.handover())).toBe('FORBIDDEN')
  })

  test('ends a watch that is not granted, and a status that is not for clients', async () => {
    const writer = await client('writer')
    const watch = writer.cache('c').watch()
    expect(await codeWhen(watch.next())).toBe('FORBIDDEN')
    expect(await watch.next()).toEqual({ done: true, value: undefined })
    expect(await codeWhen(writer.status())).toBe('FORBIDDEN')
    const reader = await client('reader')
    const seen = reader.cache<string>('c').watch({ prefix: 'seen' })
    const next = seen.next()
    while ((await reader.cache('c').size()) >= 0) {
      await node.cache('c').set('seen', 'v')
      const event = await Promise.race([next, reader.cache('c').size()])
      if (typeof event === 'number') continue
      expect(event.value).toMatchObject({ kind: 'set', key: 'seen', value: 'v' })
      break
    }
    await seen.return?.()
  })
})

describe('what is refused', () => {
  test('is counted, and fills no log; nothing secret is in it', async () => {
    const before = await forbidden()
    const lines = warned.length
    const dog = await raw('watchdog')
    for (let i = 0; i < 500; i++) await dog.ask(out => COMMANDS.set(out, 'c'))
    expect((await forbidden()) - before).toBe(500)
    const logged = warned.slice(lines).filter(({ text }) => text === 'refused: FORBIDDEN')
    expect(logged.length).toBeLessThan(10)
    expect(JSON.stringify([...warned, ...dog.messages])).not.toContain(PASSWORD)
    expect(JSON.stringify(warned)).toContain('may touch no cache')
  })

  test('is nothing where nobody proves anything: everybody may do everything', async () => {
    const free = await createNode({
      cluster: 'free',
      id: 'a',
      members: [{ id: 'a', ordinal: 0, address: 'tcp://127.0.0.1:0' }],
    })
    opened.push(free)
    await free.ready()
    const anybody = await connect({ cluster: 'free', servers: [free.address] })
    opened.push(anybody)
    await anybody.cache('c').set('k', 1)
    expect((await anybody.status()).master).toBe('a')
    expect(await codeWhen(anybody.forceBootstrap())).toBe('HEALTHY')
  })

  test('is every link of a transport that proves nothing, where proofs are wanted', async () => {
    const deaf: typeof started = more =>
      started({
        ...more,
        id: 'x',
        members: [{ id: 'x', ordinal: 0, address: 'tcp://127.0.0.1:0' }],
        transport: env => {
          const { authenticator: _, ...rest } = env
          return tcp()(rest)
        },
      })
    const open_ = await deaf()
    opened.push(open_)
    await open_.ready()
    const lines = warned.length
    const stranger = connect({ cluster: 'test', servers: [open_.address], timeoutMs: 1_000 })
    expect(await codeWhen(stranger)).not.toBe('nothing')
    expect(warned.slice(lines).some(({ code }) => code === 'FORBIDDEN')).toBe(true)
  })

  test('stays as it was on a link that stands, though its user is gone from the file', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'gcache-roles-')), 'users')
    writeFileSync(file, users)
    const auth = { secret: SECRET, usersFile: file, iterations: ITERATIONS }
    const first = await started({ auth })
    opened.push(first)
    await first.ready()
    const owner = await RawClient.open(first.address, as('owner'))
    opened.push(owner)
    writeFileSync(file, '')
    expect(await owner.ask(set('k'))).toBe('ok')
    // A node that starts from then on knows the user no more.
    const second = await started({ auth })
    opened.push(second)
    const late = await RawClient.open(second.address, as('owner')).catch(each => each)
    expect(String(late)).toContain('authentication failed')
  })
})
