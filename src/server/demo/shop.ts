/**
 * The web application of the demo: a real Express 5 shop that knows nothing of masters and slaves.
 * Its sessions live in the cluster through express-session; two instances of it run side by side.
 */
import type { Server } from 'node:http'
import type { Express, NextFunction, Request, Response } from 'express'
import { GcacheError } from '../../errors.js'
import { connect } from '../../index.js'
import { sessionStore } from '../../integrations/express-session.js'
import { page } from './shop-page.js'

export interface ShopOptions {
  /** Shown on every page, so that one sees the instances take turns. */
  instance: string
  cluster: string
  servers: string[]
  /** Signs the session cookies; the same in all instances. */
  secret: string
  /** 0: a free one, on 127.0.0.1. */
  port: number
}

export interface Shop {
  readonly url: string
  close(): Promise<void>
}

/** What the shop keeps of a visitor; beside it the session has its cookie. */
export interface ShopSession {
  user?: string
  cart?: string[]
}

const LIFE_MS = 30 * 60_000
const CART_LINES_MAX = 1_000

/** Express and express-session are the application's to install. */
async function hosts() {
  try {
    const [{ default: express }, { default: session }] = await Promise.all([
      import('express'),
      import('express-session'),
    ])
    return { express, session }
  } catch (cause) {
    throw new GcacheError(
      'CONFIG',
      'the demo is an Express application: npm install express express-session',
      { cause },
    )
  }
}

/** Throws CONFIG if express or express-session cannot be found. */
export async function checkHosts(): Promise<void> {
  await hosts()
}

export async function startShop(options: ShopOptions): Promise<Shop> {
  const { express, session } = await hosts()
  const client = await connect({ cluster: options.cluster, servers: options.servers })
  const app = express()
  app.disable('x-powered-by')
  app.use(express.urlencoded({ extended: false, limit: '4kb' }))
  app.use(
    session({
      store: sessionStore(session, { client }),
      name: 'sid',
      secret: options.secret,
      resave: false,
      saveUninitialized: false,
      cookie: { maxAge: LIFE_MS, httpOnly: true, sameSite: 'lax' },
    }),
  )
  addRoutes(app, options.instance)
  const server = await new Promise<Server>((resolve, reject) => {
    const listening = app.listen(options.port, '127.0.0.1', error =>
      error ? reject(error) : resolve(listening),
    )
  })
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    close: async () => {
      server.closeAllConnections() // tidy: allow connections - Node's own word
      await new Promise(resolve => server.close(resolve))
      await client.close()
    },
  }
}

const data = (req: Request) => req.session as unknown as ShopSession

function addRoutes(app: Express, instance: string): void {
  app.get('/', (req, res) => {
    res.type('html').send(page(data(req), instance, req.sessionID))
  })
  app.get('/session', (req, res) => {
    const { user, cart } = data(req)
    res.json({ user, cart, instance })
  })
  app.post('/login', async (req, res) => {
    // A new id at login, so that nobody can plant one beforehand.
    await promised(done => req.session.regenerate(done))
    data(req).user = String(req.body?.user ?? '').slice(0, 40) || 'anonymous'
    data(req).cart = []
    await saved(req)
    answer(req, res)
  })
  app.post('/cart', async (req, res) => {
    const { user, cart = [] } = data(req)
    if (user === undefined) {
      res.status(401).json({ error: 'log in first' })
      return
    }
    const line = String(req.body?.line ?? '').slice(0, 80)
    // A line has a name of its own, so a request that is repeated adds it once.
    if (!cart.includes(line) && cart.length < CART_LINES_MAX) cart.push(line)
    data(req).cart = cart
    await saved(req)
    answer(req, res)
  })
  app.post('/logout', async (req, res) => {
    await promised(done => req.session.destroy(done))
    answer(req, res)
  })
  app.use((error: Error, _req: Request, res: Response, _next: NextFunction) => {
    // Express-session saves while the response ends: then there is nothing left to say.
    if (res.headersSent) return
    res.status(503).json({ error: error.message })
  })
}

/** Saved before it is answered: what a visitor sees acknowledged, the cluster has acknowledged. */
function saved(req: Request): Promise<void> {
  return promised(done => req.session.save(done))
}

function promised(call: (done: (error?: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call(error => (error ? reject(error) : resolve()))
  })
}

/** A browser goes back to the page; a program gets JSON. */
function answer(req: Request, res: Response): void {
  if (req.accepts(['html', 'json']) === 'html') res.redirect(303, '/')
  else res.json({ ok: true })
}
