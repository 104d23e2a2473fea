/**
 * The demo's course: start everything, let shoppers shop, and on `k` kill who leads and say what
 * it cost. Where nobody watches it takes the kill by itself, once, and judges.
 */
import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type { Client } from '../../client/connect.js'
import type { ClusterStatus } from '../../client/status.js'
import { GcacheError } from '../../errors.js'
import { connect } from '../../index.js'
import { oneLine } from '../run.js'
import type { DemoBroker } from './broker.js'
import { Children } from './children.js'
import { DEMO_CLUSTER, DemoCluster } from './cluster.js'
import type { Drill } from './drill.js'
import { type ShopProxy, startProxy } from './proxy.js'
import { Screen } from './screen.js'
import { checkHosts } from './shop.js'
import { type Books, Shoppers } from './shoppers.js'

const ASK_EVERY_MS = 100
/** Everything that is waited for has an end. */
const WAIT_MS_MAX = 20_000
const BEFORE_KILL_MS = 3_000
const AFTER_KILL_MS = 2_000

export interface DemoOptions {
  /** Of the shop; 0: a free one. */
  port: number
  interactive: boolean
  /** By name, and the scheme of its addresses. */
  transport: string
  scheme: string
  drill: Drill
}

export class Show {
  readonly #options: DemoOptions
  readonly #children = new Children()
  readonly #screen: Screen
  #broker: DemoBroker | undefined
  #cluster!: DemoCluster
  #client!: Client
  #proxy!: ShopProxy
  #shoppers!: Shoppers
  #status: ClusterStatus | undefined
  #asking: NodeJS.Timeout | undefined
  #lost = 0

  constructor(options: DemoOptions) {
    this.#options = options
    this.#screen = new Screen(options.interactive, () => ({
      shopUrl: this.#proxy.url,
      status: this.#status,
      counts: this.#shoppers.counts,
      whom: options.drill.whom,
    }))
  }

  /** Acknowledged session writes lost so far. */
  get lost(): number {
    return this.#lost
  }

  async start(): Promise<void> {
    await checkHosts()
    process.stdout.write('starting three nodes and two shop instances ...\n')
    const { transport, scheme } = this.#options
    if (transport === 'nats') {
      const { startBroker } = await import('./broker.js')
      this.#broker = await startBroker()
      process.stdout.write(`they meet by a nats-server at ${this.#broker.url}\n`)
    }
    const { strategy } = this.#options.drill
    const broker = this.#broker?.url
    this.#cluster = await DemoCluster.start(this.#children, scheme, strategy, broker)
    const { servers } = this.#cluster
    const secret = { GCACHE_DEMO_SECRET: randomBytes(32).toString('hex') }
    const shops = ['1', '2'].map(instance =>
      this.#children.start(
        `shop ${instance}`,
        ['demo-shop', '--instance', instance, '--cluster', DEMO_CLUSTER, '--servers', ...servers],
        secret,
      ),
    )
    const urls = await Promise.all(shops.map(shop => shop.ready()))
    this.#proxy = await startProxy(urls, this.#options.port)
    this.#client = await connect({ cluster: DEMO_CLUSTER, servers })
    this.#shoppers = new Shoppers(this.#proxy.url)
    await this.#ask()
    this.#asking = setInterval(() => void this.#ask(), ASK_EVERY_MS)
    this.#shoppers.start()
    if (this.#options.interactive) process.stdout.write('\u001b[2J')
    this.#screen.start()
    this.#screen.tell(this.#options.drill.opening(this.#status))
    this.#screen.tell(`the shop is open at ${this.#proxy.url}; 8 shoppers log in and fill carts`)
  }

  /** Kills who leads and tells what it cost; false if there was nobody to kill fairly. */
  async kill(): Promise<boolean> {
    const { drill } = this.#options
    const before = this.#status
    const victim = before && drill.victim(before)
    if (before === undefined || victim === undefined || this.#cluster.dead.length > 0) {
      this.#screen.tell('one node is down already: press r first, three are needed for a fair kill')
      return false
    }
    const failedBefore = this.#shoppers.counts.failed
    const writesBefore = this.#shoppers.counts.acknowledgedWrites
    const killedMs = performance.now()
    const acknowledged = this.#shoppers.nextAck()
    const pid = await this.#cluster.kill(victim)
    this.#screen.tell(
      `killed node ${victim}, ${drill.rank(before, victim)} (process ${pid}), with SIGKILL, ` +
        `after ${writesBefore} acknowledged session writes`,
    )
    const [writes, what] = drill.recovery(before, this.#client, acknowledged)
    const recoveredMs = (await within(writes, what)) - killedMs
    const heir = () => this.#status && drill.heir(this.#status, before, victim)
    await this.#until(() => heir() !== undefined, 'somebody to take over')
    this.#screen.tell(`${heir()}; ${Math.round(recoveredMs)} ms from the kill to ${what}`)
    await sleep(AFTER_KILL_MS)
    const failed = this.#shoppers.counts.failed - failedBefore
    const books = await this.#readBack()
    this.#screen.tell(`${failed} requests failed, ${books.lost} acknowledged session writes lost`)
    this.#screen.table()
    return true
  }

  /** Starts the dead node again and waits until it has copied everything. */
  async restart(): Promise<void> {
    const [id] = this.#cluster.dead
    if (id === undefined) {
      this.#screen.tell('no node is down')
      return
    }
    const startedMs = performance.now()
    this.#screen.tell(`starting node ${id} again, with empty memory`)
    await this.#cluster.restart(id)
    const state = () => this.#status?.members.find(member => member.id === id)
    const { drill } = this.#options
    const isBack = () => state()?.state === 'online' && state()?.lag === 0
    const isWhole = () => this.#status !== undefined && drill.isWhole(this.#status, id)
    await this.#until(() => isBack() && isWhole(), `${id} to resync`, 1)
    const tookMs = Math.round(performance.now() - startedMs)
    this.#screen.tell(`node ${id} is back as ${state()?.role}, resynced after ${tookMs} ms`)
    this.#screen.table()
  }

  /** The whole course without a person. Exit code 0 only if nothing was lost. */
  async alone(): Promise<number> {
    await sleep(BEFORE_KILL_MS)
    const { drill } = this.#options
    await this.#until(() => this.#status && drill.victim(this.#status) !== undefined, 'a victim')
    this.#screen.table()
    if (!(await this.kill())) return 1
    await this.restart()
    await this.#readBack()
    this.#screen.tell(this.#lost === 0 ? 'nothing was lost' : `LOST: ${this.#lost} writes`)
    return this.#lost === 0 ? 0 : 1
  }

  async end(): Promise<void> {
    if (this.#asking !== undefined) clearInterval(this.#asking)
    this.#screen.stop()
    await this.#shoppers?.stop().catch(() => {})
    await this.#proxy?.close()
    await this.#client?.close().catch(() => {})
    await this.#children.end()
    this.#broker?.end()
  }

  async #readBack(): Promise<Books> {
    const books = await within(this.#shoppers.readBack(), 'all sessions to be read back')
    this.#lost = Math.max(this.#lost, books.lost)
    this.#screen.tell(
      `read back ${books.sessions} sessions: ${books.writes} acknowledged writes looked for, ` +
        `${books.lost} missing`,
    )
    return books
  }

  async #ask(): Promise<void> {
    try {
      this.#status = await this.#client.status()
    } catch (error) {
      // Between two masters there may be nobody to ask; the table keeps its last state.
      if (!(error instanceof GcacheError)) this.#screen.tell(oneLine(error))
    }
  }

  async #until(
    condition: () => boolean | undefined,
    what: string,
    stepMs = ASK_EVERY_MS / 4,
  ): Promise<void> {
    const until = performance.now() + WAIT_MS_MAX
    while (!condition()) {
      if (performance.now() > until) throw late(what)
      await sleep(stepMs)
    }
  }
}

function late(what: string): GcacheError {
  return new GcacheError('TIMEOUT', `waited ${WAIT_MS_MAX} ms for ${what}`)
}

function sleep(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

function within<T>(work: Promise<T>, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late(what)), WAIT_MS_MAX)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
