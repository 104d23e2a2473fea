/** The session store under the real express-session and Express 5, on a real node. */
import { createServer, type Server } from 'node:http'
import express, { type Express, type Request } from 'express'
import session from 'express-session'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Client, connect, createNode, type Node } from '../src/index.js'
import {
  type GcacheSessionStore,
  type SessionData,
  type SessionStoreOptions,
  sessionStore,
} from '../src/integrations/express-session.js'

let node: Node
let client: Client
const servers: Server[] = []

beforeAll(async () => {
  node = await createNode({
    cluster: 'test',
    id: 'a',
    members: [{ id: 'a', ordinal: 0, address: 'tcp://127.0.0.1:0' }],
  })
  await node.ready()
  client = await connect({ cluster: 'test', servers: [node.address] })
})

afterAll(async () => {
  await client?.close()
  await node?.close()
})

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections() // tidy: allow connections - Node's own word
    await new Promise(resolve => server.close(resolve))
  }
})

let names = 0

/** A store on a cache of its own. */
function makeStore(options: SessionStoreOptions = {}) {
  return sessionStore(session, { client, cacheName: `s${++names}`, ...options })
}

type Store = ReturnType<typeof makeStore>

const cookieOf = (lifeMs: number | null = 60_000) => ({
  originalMaxAge: lifeMs,
  expires: lifeMs === null ? null : new Date(Date.now() + lifeMs),
})

const data = (more: Record<string, unknown> = {}, lifeMs: number | null = 60_000): SessionData => ({
  cookie: cookieOf(lifeMs),
  ...more,
})

/** A shop behind the real middleware. `visit` gives the answer's text and keeps the cookie. */
async function serve(store: Store, routes: (app: Express) => void, options = {}) {
  const app = express()
  app.use(
    session({
      store,
      secret: 's',
      resave: false,
      saveUninitialized: false,
      name: 'sid',
      ...options,
    }),
  )
  routes(app)
  const server = createServer(app)
  servers.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  let cookie = ''
  const visit = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } })
    const set = answer.headers.get('set-cookie')
    if (set !== null) cookie = set.split(';')[0]
    return { status: answer.status, text: await answer.text() }
  }
  return { visit, sid: () => decodeURIComponent(cookie).split(':')[1].split('.')[0] }
}

const own = (req: Request) => req.session as unknown as Record<string, unknown>

describe('the store`s methods', () => {
  test('what was set comes back as a copy, through toJSON', async () => {
    const store = makeStore()
    const seen = new Date(1e12)
    await store.set('a', data({ user: 'ann', seen, gone: undefined }))
    const first = (await store.get('a')) as SessionData
    expect(first.user).toBe('ann')
    expect(first.seen).toBe(seen.toJSON())
    expect(Object.keys(first)).toEqual(['cookie', 'user', 'seen'])
    first.user = 'eve'
    expect(((await store.get('a')) as SessionData).user).toBe('ann')
  })

  test('a callback gets what the promise would', async () => {
    const store = makeStore()
    await new Promise<void>((resolve, reject) =>
      store.set('a', data({ n: 1 }), error => (error ? reject(error) : resolve())),
    )
    const [error, value] = await new Promise<unknown[]>(resolve =>
      store.get('a', (...given: unknown[]) => resolve(given)),
    )
    expect(error).toBeNull()
    expect((value as SessionData).n).toBe(1)
    const none = await new Promise<unknown[]>(resolve =>
      store.get('b', (...given: unknown[]) => resolve(given)),
    )
    expect(none).toEqual([null, null])
  })

  test('an error reaches the callback, and no promise is left rejected', async () => {
    const lonely = await connect({ cluster: 'test', servers: [node.address] })
    const store = sessionStore(session, { client: lonely })
    await lonely.close()
    const error = await new Promise(resolve => void store.get('a', resolve))
    expect(error).toMatchObject({ code: 'CLOSED' })
    await expect(store.get('a')).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('all, length and clear see the live sessions of their prefix only', async () => {
    const cacheName = `s${++names}`
    const mine = makeStore({ cacheName })
    const other = makeStore({ cacheName, prefix: 'other:' })
    await other.set('x', data({ n: 0 }))
    for (let i = 0; i < 300; i++) await mine.set(`k${i}`, data({ n: i }))
    await mine.set('dead', data({ n: -1 }, -1))
    expect(await mine.length()).toBe(300)
    const all = await mine.all()
    expect(new Set(all.map(each => each.id)).size).toBe(300)
    expect(all.every(each => each.id === `k${each.n}`)).toBe(true)
    await mine.clear()
    expect(await mine.length()).toBe(0)
    expect(await mine.all()).toEqual([])
    expect(await other.length()).toBe(1)
  })

  test('a session past its expiry is destroyed by set and by touch', async () => {
    const store = makeStore()
    await store.set('a', data())
    await store.set('a', data({}, -1))
    expect(await store.get('a')).toBeNull()
    await store.set('b', data())
    await store.touch('b', data({}, -1))
    expect(await store.get('b')).toBeNull()
  })

  test('the life comes from the cookie, else from ttlMs, else is a day', async () => {
    const life = async (options: SessionStoreOptions, lifeMs: number | null) => {
      const cacheName = `s${++names}`
      await makeStore({ ...options, cacheName }).set('a', data({}, lifeMs))
      const entry = await client.cache(cacheName).getEntry('sess:a')
      return Math.round((entry!.expiresAt! - Date.now()) / 1_000)
    }
    expect(await life({}, 60_000)).toBe(60)
    expect(await life({}, null)).toBe(86_400)
    expect(await life({ ttlMs: 5_000 }, null)).toBe(5)
    expect(await life({ ttlMs: () => 7_000 }, 60_000)).toBe(7)
  })

  test('touch prolongs the life, uses only the cookie and changes no version', async () => {
    const cacheName = `s${++names}`
    const store = makeStore({ cacheName })
    const cache = client.cache(cacheName)
    await store.set('a', data({ user: 'ann' }))
    const before = await cache.getEntry('sess:a')
    await store.touch('a', data({}, 600_000))
    const after = await cache.getEntry('sess:a')
    expect(after!.expiresAt! - before!.expiresAt!).toBeGreaterThan(500_000)
    expect(after!.version).toBe(before!.version)
    expect(((await store.get('a')) as SessionData).user).toBe('ann')
  })

  test('touch creates nothing, and disableTouch does nothing', async () => {
    const store = makeStore()
    await store.touch('a', data())
    expect(await store.get('a')).toBeNull()
    const cacheName = `s${++names}`
    const still = makeStore({ cacheName, disableTouch: true })
    await still.set('a', data())
    const before = await client.cache(cacheName).getEntry('sess:a')
    await still.touch('a', data({}, 600_000))
    expect((await client.cache(cacheName).getEntry('sess:a'))!.expiresAt).toBe(before!.expiresAt)
  })

  test('a record that is no session is none', async () => {
    const cacheName = `s${++names}`
    await client.cache(cacheName).set('sess:a', 'just a text')
    expect(await makeStore({ cacheName }).get('a')).toBeNull()
  })

  test('a serializer decides how sessions become text', async () => {
    const cacheName = `s${++names}`
    const store = makeStore({
      cacheName,
      serializer: {
        stringify: value => `v1${JSON.stringify(value)}`,
        parse: text => JSON.parse(text.slice(2)) as SessionData,
      },
    })
    await store.set('a', data({ n: 5 }))
    expect(((await store.get('a')) as SessionData).n).toBe(5)
    const raw = await client.cache<Uint8Array>(cacheName, { codec: 'bytes' }).get('sess:a')
    expect(Buffer.from(raw!).toString()).toMatch(/^v1\{/)
  })

  test('an embedded node serves as a client does, and so does a cache of one`s own', async () => {
    const cacheName = `s${++names}`
    const onNode = sessionStore(session, { node, cacheName })
    await onNode.set('a', data({ n: 1 }))
    const onCache = sessionStore(session, { cache: client.cache<SessionData>(cacheName) })
    expect(((await onCache.get('a')) as SessionData).n).toBe(1)
    await onCache.destroy('a')
    expect(await onNode.get('a')).toBeNull()
  })
})

describe('overlapping saves', () => {
  test('a save of a session that was destroyed since it was read is dropped', async () => {
    const store = makeStore()
    await store.set('a', data({ n: 1 }))
    const read = (await store.get('a')) as SessionData
    await store.destroy('a')
    await store.set('a', Object.assign(read, { n: 2 }))
    expect(await store.get('a')).toBeNull()
  })

  test('of two saves that read the same session the last wins as a whole', async () => {
    const store = makeStore()
    await store.set('a', data({ n: 1 }))
    const one = Object.assign((await store.get('a')) as SessionData, { one: true })
    const two = Object.assign((await store.get('a')) as SessionData, { two: true })
    await store.set('a', one)
    await store.set('a', two)
    const kept = (await store.get('a')) as SessionData
    expect(kept.two).toBe(true)
    expect(kept.one).toBeUndefined()
  })

  test('one session may be saved twice by one request', async () => {
    const store = makeStore()
    await store.set('a', data({ n: 1 }))
    const read = (await store.get('a')) as SessionData
    await store.set('a', Object.assign(read, { n: 2 }))
    await store.set('a', Object.assign(read, { n: 3 }))
    expect(((await store.get('a')) as SessionData).n).toBe(3)
    await store.destroy('a')
    await store.set('a', Object.assign(read, { n: 4 }))
    expect(await store.get('a')).toBeNull()
  })

  test('a plain object overwrites, and makes a destroyed session anew', async () => {
    const store = makeStore()
    const plain = data({ n: 1 })
    await store.set('a', plain)
    await store.destroy('a')
    await store.set('a', plain)
    expect(((await store.get('a')) as SessionData).n).toBe(1)
  })

  test('many parallel saves of one session all settle, and one of them stays', async () => {
    const store = makeStore()
    await store.set('a', data({ n: -1 }))
    const reads = await Promise.all(Array.from({ length: 8 }, () => store.get('a')))
    await Promise.all(
      reads.map((read, n) => store.set('a', Object.assign(read as SessionData, { n }))),
    )
    expect(((await store.get('a')) as SessionData).n).toBeGreaterThanOrEqual(0)
  })
})

describe('under express-session', () => {
  test('a session lives across requests and across two applications', async () => {
    const cacheName = `s${++names}`
    const routes = (app: Express) => {
      app.get('/add', (req, res) => {
        own(req).n = ((own(req).n as number) ?? 0) + 1
        res.send(String(own(req).n))
      })
    }
    const shop = await serve(makeStore({ cacheName }), routes)
    expect((await shop.visit('/add')).text).toBe('1')
    expect((await shop.visit('/add')).text).toBe('2')
    expect((await shop.visit('/add')).text).toBe('3')
    const elsewhere = (await makeStore({ cacheName }).get(shop.sid())) as SessionData
    expect(elsewhere.n).toBe(3)
  })

  test('a request that changes nothing touches, and saves nothing', async () => {
    const cacheName = `s${++names}`
    const shop = await serve(
      makeStore({ cacheName }),
      app => {
        app.get('/in', (req, res) => {
          own(req).user = 'ann'
          res.send('in')
        })
        app.get('/look', (req, res) => {
          res.send(String(own(req).user))
        })
      },
      { cookie: { maxAge: 60_000 } },
    )
    await shop.visit('/in')
    const key = `sess:${shop.sid()}`
    const before = await client.cache(cacheName).getEntry(key)
    expect((await shop.visit('/look')).text).toBe('ann')
    const after = await client.cache(cacheName).getEntry(key)
    expect(after!.version).toBe(before!.version)
    expect(after!.expiresAt!).toBeGreaterThanOrEqual(before!.expiresAt!)
  })

  // request 1   read ------------------------------ change, save (dropped)
  // request 2            read -- destroy (logout)
  test('a session kept alive by touch alone outlives an explicit save', async () => {
    const life = 1_000
    const store = makeStore()
    const { visit } = await serve(
      store,
      app => {
        app.get('/in', (req, res) => {
          own(req).user = 'ann'
          res.end('in')
        })
        app.get('/who', (req, res) => {
          res.end(String(own(req).user))
        })
        app.get('/save', (req, res) => req.session.save(error => res.end(String(error ?? 'saved'))))
      },
      { cookie: { maxAge: life } },
    )
    await visit('/in')
    const stored = Date.now() + life
    // Touches, until the cookie in the stored bytes has long expired.
    while (Date.now() < stored + 50) expect((await visit('/who')).text).toBe('ann')
    const [listed] = await store.all()
    expect(Date.parse(String(listed.cookie.expires))).toBeGreaterThan(Date.now())
    expect((await visit('/save')).text).toBe('saved')
    expect((await visit('/who')).text).toBe('ann')
  })

  test('of overlapping requests the logout wins', async () => {
    let release = () => {}
    let entered = () => {}
    const inside = new Promise<void>(resolve => {
      entered = resolve
    })
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    const store = makeStore()
    const shop = await serve(store, app => {
      app.get('/in', (req, res) => {
        own(req).user = 'ann'
        res.send('in')
      })
      app.get('/slow', async (req, res) => {
        entered()
        await held
        own(req).late = true
        res.send('slow')
      })
      app.get('/out', (req, res) => {
        req.session.destroy(() => res.send('out'))
      })
      app.get('/who', (req, res) => {
        res.send(String(own(req).user))
      })
    })
    await shop.visit('/in')
    const slow = shop.visit('/slow')
    await inside
    expect((await shop.visit('/out')).text).toBe('out')
    release()
    expect(await slow).toEqual({ status: 200, text: 'slow' })
    expect((await shop.visit('/who')).text).toBe('undefined')
    expect(await store.length()).toBe(0)
  })

  test('save, then change, then the end of the response: both saves count', async () => {
    const store = makeStore()
    const shop = await serve(store, app => {
      app.get('/', (req, res, next) => {
        own(req).first = 1
        req.session.save(error => {
          if (error) return next(error)
          own(req).second = 2
          res.send('ok')
        })
      })
    })
    await shop.visit('/')
    const kept = (await store.get(shop.sid())) as SessionData
    expect([kept.first, kept.second]).toEqual([1, 2])
  })

  test('reload and regenerate keep their promises', async () => {
    const store = makeStore()
    const shop = await serve(store, app => {
      app.get('/in', (req, res) => {
        own(req).user = 'ann'
        res.send('in')
      })
      app.get('/reload', (req, res, next) => {
        own(req).user = 'eve'
        req.session.reload(error => (error ? next(error) : res.send(String(own(req).user))))
      })
      app.get('/again', (req, res, next) => {
        req.session.regenerate(error => {
          if (error) return next(error)
          own(req).user = 'bob'
          res.send('again')
        })
      })
    })
    await shop.visit('/in')
    const before = shop.sid()
    expect((await shop.visit('/reload')).text).toBe('ann')
    await shop.visit('/again')
    expect(shop.sid()).not.toBe(before)
    expect(await store.get(before)).toBeNull()
    expect(((await store.get(shop.sid())) as SessionData).user).toBe('bob')
  })
})

describe('refused configurations', () => {
  const refusal = (make: () => GcacheSessionStore) => {
    try {
      make()
    } catch (error) {
      return error
    }
    throw new Error('accepted')
  }

  test('without the module of express-session the error names the package', () => {
    expect(refusal(() => sessionStore(undefined as never, { client }))).toMatchObject({
      code: 'CONFIG',
      message: expect.stringContaining('npm install express-session'),
    })
  })

  test.each<[string, unknown]>([
    ['ack', 'foo'],
    ['ack', 5],
    ['ttlMs', 'x'],
    ['ttlMs', Number.NaN],
    ['timeoutMs', 'x'],
    ['timeoutMs', 0],
    ['prefix', 5],
    ['cacheName', 5],
    ['serializer', 5],
    ['serializer', { stringify: String }],
    ['disableTouch', 'no'],
    ['client', 5],
    ['client', null],
  ])('option %s of a wrong value is refused when the store is made, case %#', (name, value) => {
    expect(() => makeStore({ [name]: value })).toThrow(
      expect.objectContaining({ code: 'CONFIG', message: expect.stringContaining(name) }),
    )
  })

  test('an unknown option is refused by name with a suggestion', () => {
    const options = { client, prefx: 'x' } as SessionStoreOptions
    expect(refusal(() => sessionStore(session, options))).toMatchObject({
      code: 'CONFIG',
      message: expect.stringContaining('did you mean prefix?'),
    })
  })

  test.each([
    () => ({}),
    () => ({ client, node }),
    () => ({ cache: client.cache<SessionData>('x'), cacheName: 'y' }),
  ])('exactly one source is wanted, case %#', options => {
    expect(refusal(() => sessionStore(session, options()))).toMatchObject({ code: 'CONFIG' })
  })
})
