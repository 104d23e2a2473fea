/**
 * The visitors of the demo's shop: they log in, fill carts, look, log out, over real HTTP; and they
 * keep books of every write that was acknowledged, so that each one can be read back.
 */
import { performance } from 'node:perf_hooks'

/** One login and what was acknowledged for it since. */
interface Basket {
  cookie: string
  readonly user: string
  readonly lines: string[]
  /** Its logout was acknowledged: it must stay dead. */
  ended: boolean
}

/** What reading everything back has shown. */
export interface Books {
  /** Sessions read back, the logged-out ones among them. */
  sessions: number
  /** Acknowledged writes that were looked for: logins, cart lines; of a dead one, its logout. */
  writes: number
  lost: number
}

export interface Counts {
  requests: number
  failed: number
  acknowledgedWrites: number
  sessions: number
}

const SHOPPERS = 8
const PAUSE_MS = 60
const LINES_A_BASKET = 20
/** Older sessions are read back, logged out and forgotten, so that a long demo stays small. */
const BASKETS_MAX = 800
const READERS = 8
const RETRY_MS = 50
/** Longer than any call inside the shop: a request that ended late would overlap its own repeat. */
const REQUEST_MS_MAX = 30_000

export class Shoppers {
  readonly #url: string
  readonly #baskets: Basket[] = []
  readonly #abort = new AbortController()
  readonly #loops: Promise<void>[] = []
  #requests = 0
  #failed = 0
  #writes = 0
  #logins = 0
  #retiredLost = 0
  /** A fault of the shoppers themselves. */
  #trouble: unknown
  #paused: Promise<void> | undefined
  #resume: () => void = () => {}
  #busy = 0
  #idle: () => void = () => {}
  #afterMs = Number.POSITIVE_INFINITY
  #onFirstAck: (atMs: number) => void = () => {}

  constructor(url: string) {
    this.#url = url
  }

  get counts(): Counts {
    return {
      requests: this.#requests,
      failed: this.#failed,
      acknowledgedWrites: this.#writes,
      sessions: this.#baskets.length,
    }
  }

  start(): void {
    for (let i = 1; i <= SHOPPERS; i++) {
      const loop = this.#shop(i).catch((error: unknown) => {
        this.#trouble ??= error
      })
      this.#loops.push(loop)
    }
  }

  /** Resolves with the time (performance.now) of the first acknowledged write begun after now. */
  nextAck(): Promise<number> {
    this.#afterMs = performance.now()
    return new Promise(resolve => {
      this.#onFirstAck = atMs => {
        this.#afterMs = Number.POSITIVE_INFINITY
        resolve(atMs)
      }
    })
  }

  /** Lets every shopper finish what it does, reads ALL back, then lets them go on. */
  async readBack(): Promise<Books> {
    if (this.#trouble !== undefined) throw this.#trouble
    this.#paused = new Promise(resolve => {
      this.#resume = resolve
    })
    if (this.#busy > 0)
      await new Promise<void>(resolve => {
        this.#idle = resolve
      })
    const queue = [...this.#baskets]
    const books: Books = { sessions: queue.length, writes: 0, lost: this.#retiredLost }
    await Promise.all(
      Array.from({ length: READERS }, async () => {
        for (let basket = queue.pop(); basket !== undefined; basket = queue.pop()) {
          books.writes += basket.ended ? 1 : 1 + basket.lines.length
          books.lost += await this.#lostOf(basket)
        }
      }),
    )
    this.#paused = undefined
    this.#resume()
    return books
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    this.#paused = undefined
    this.#resume()
    await Promise.all(this.#loops)
  }

  async #shop(number: number): Promise<void> {
    try {
      for (let visit = 1; ; visit++) await this.#visit(`shopper-${number}`, visit)
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error
    }
  }

  async #visit(user: string, visit: number): Promise<void> {
    const basket: Basket = { cookie: '', user, lines: [], ended: false }
    await this.#insist('POST', '/login', '', { user }, answer => {
      basket.cookie = cookieOf(answer)
      this.#baskets.push(basket)
    })
    const { cookie } = basket
    this.#logins++
    for (let n = 1; n <= LINES_A_BASKET; n++) {
      const line = `${user}/${visit}/${n}`
      await this.#insist('POST', '/cart', cookie, { line }, () => {
        basket.lines.push(line)
      })
      if (n % 4 === 0) await this.#insist('GET', '/', cookie)
    }
    // Every third one logs out; the others leave, and their sessions must live on.
    if (this.#logins % 3 === 0)
      await this.#insist('POST', '/logout', cookie, undefined, () => {
        basket.ended = true
      })
    if (this.#baskets.length > BASKETS_MAX) await this.#retire(this.#baskets.shift()!)
  }

  async #retire(basket: Basket): Promise<void> {
    this.#retiredLost += await this.#lostOf(basket)
    await this.#insist('POST', '/logout', basket.cookie)
  }

  /**
   * One request, repeated until it succeeds: whoever shops reloads the page. Nobody is paused
   * between its tries, because what a failed one has done is known only after the next.
   */
  async #insist(
    method: 'GET' | 'POST',
    path: string,
    cookie: string,
    form?: Record<string, string>,
    booked?: (answer: Response) => void,
  ): Promise<void> {
    await this.#pause(PAUSE_MS)
    this.#busy++
    try {
      for (;;) {
        const answer = await this.#once(method, path, cookie, form)
        if (answer !== undefined) {
          booked?.(answer)
          return
        }
        await delay(RETRY_MS, this.#abort.signal)
      }
    } finally {
      this.#busy--
      if (this.#busy === 0) this.#idle()
    }
  }

  /** Undefined: it failed, whatever the reason. */
  async #once(
    method: 'GET' | 'POST',
    path: string,
    cookie: string,
    form?: Record<string, string>,
  ): Promise<Response | undefined> {
    const startedMs = performance.now()
    this.#requests++
    try {
      const answer = await this.#fetch(method, path, cookie, form)
      if (answer.ok) {
        if (method === 'POST') {
          this.#writes++
          if (startedMs >= this.#afterMs) this.#onFirstAck(performance.now())
        }
        return answer
      }
    } catch (error) {
      if (this.#abort.signal.aborted) throw error
    }
    this.#failed++
    return undefined
  }

  async #fetch(
    method: string,
    path: string,
    cookie: string,
    form?: Record<string, string>,
  ): Promise<Response> {
    const answer = await fetch(this.#url + path, {
      method,
      headers: { cookie, accept: 'application/json' },
      ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
      redirect: 'manual',
      signal: AbortSignal.any([this.#abort.signal, AbortSignal.timeout(REQUEST_MS_MAX)]),
    })
    // Read to the end: only then has the session been saved.
    const body = await answer.text()
    return new Response(body, { status: answer.status, headers: answer.headers })
  }

  /** How many acknowledged writes of `basket` cannot be read back. */
  async #lostOf(basket: Basket): Promise<number> {
    for (let tries = 0; tries < 20; tries++) {
      const answer = await this.#fetch('GET', '/session', basket.cookie).catch(() => undefined)
      if (answer?.ok) {
        const { user, cart } = (await answer.json()) as { user?: string; cart?: string[] }
        if (basket.ended) return user === undefined ? 0 : 1
        if (user !== basket.user) return 1 + basket.lines.length
        const kept = new Set(cart)
        return basket.lines.filter(line => !kept.has(line)).length
      }
      await delay(RETRY_MS * 4, this.#abort.signal)
    }
    // What cannot be read counts as lost: the demo does not flatter.
    return 1 + basket.lines.length
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, this.#abort.signal)
    while (this.#paused !== undefined) await this.#paused
    this.#abort.signal.throwIfAborted()
  }
}

function cookieOf(answer: Response): string {
  const header = answer.headers.get('set-cookie') ?? ''
  return header.split(';')[0]
}

/** Rejects when the demo ends. */
function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason as Error)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
  })
}
