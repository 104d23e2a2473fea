/**
 * What those who never read cost a node: a slave that is stopped while its master takes writes at a
 * steady rate, and clients that watch everything and never take an event. Bounds: the backlog and
 * 32 MiB for the slave (TESTING 10); the limit on what all clients together leave unread for them.
 * The node runs with a small heap, so that what is kept in it would end it.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../src/index.js'
import { options } from './arguments.js'
import { Gathered } from './gathered.js'
import { Cluster, residentMiB } from './harness.js'
import { printer } from './output.js'
import { roundMs } from './statistics.js'

const KINDS = ['slave', 'watchers'] as const
type Kind = (typeof KINDS)[number]

/** Writes of one turn go out together. */
const TURN_MS = 10
/** Writes under way: at a steady rate no more wait, whatever the node does. */
const UNDER_WAY_MAX = 4_000
/** Longer than a stalled client is borne with (SECURITY 12). */
const RECOVER_MS_MAX = 60_000

export async function main(args: string[]): Promise<void> {
  const chosen = options(args, {
    ...{ json: false, kinds: KINDS.join(), seconds: 60, rate: 10_000, watchers: 1_000 },
    ...{ 'value-bytes': 100, keys: 1_000, 'heap-mib': 256 },
  })
  const kinds = chosen.kinds.split(',')
  const unknown = kinds.find(kind => !KINDS.includes(kind as Kind))
  if (unknown !== undefined) throw new Error(`nobody unread is ${unknown}: ${KINDS.join(', ')}`)
  const print = printer(chosen.json)
  for (const kind of kinds)
    print(await (kind === 'slave' ? measureSlave(chosen) : measureWatchers(chosen)))
}

interface Chosen {
  readonly seconds: number
  readonly rate: number
  readonly watchers: number
  readonly 'value-bytes': number
  readonly keys: number
  readonly 'heap-mib': number
}

/** A master with `slaves`, a client that writes at the rate, and the master's memory by the way. */
class Scene {
  written = 0
  failed = 0
  peakMiB = 0
  beforeMiB = 0
  #underWay = 0
  #running = true
  #slowestMs = 0

  private constructor(
    readonly cluster: Cluster,
    readonly client: Awaited<ReturnType<typeof connect>>,
    readonly chosen: Chosen,
  ) {}

  static async open(chosen: Chosen, nodes: number): Promise<Scene> {
    const cluster = await Cluster.start({
      ...{ transport: 'tcp', strategy: 'master-slave', nodes, logLevel: 'error' },
      nodeFlags: [`--max-old-space-size=${chosen['heap-mib']}`],
    })
    const client = await connect({ cluster: cluster.name, servers: cluster.servers })
    const scene = new Scene(cluster, client, chosen)
    void scene.#write()
    // Before anything is measured the node's memory is what this rate needs anyway.
    await pause(Math.min(10, chosen.seconds) * 1_000)
    scene.beforeMiB = scene.#lookMiB()
    return scene
  }

  /** Writes on for the time that was chosen. */
  async go(): Promise<void> {
    this.written = 0
    this.failed = 0
    this.#slowestMs = 0
    const until = performance.now() + this.chosen.seconds * 1_000
    while (performance.now() < until) {
      this.peakMiB = Math.max(this.peakMiB, this.#lookMiB())
      await pause(100)
    }
  }

  get figures() {
    const { seconds, rate, 'heap-mib': heapMiB } = this.chosen
    return {
      ...{ seconds, rate, heapMiB },
      perSecond: Math.round(this.written / seconds),
      failed: this.failed,
      slowestMs: roundMs(this.#slowestMs),
      addedMiB: Math.round(this.peakMiB - this.beforeMiB),
    }
  }

  async close(): Promise<void> {
    this.#running = false
    await this.client.close()
    await this.cluster.stop()
  }

  async #write(): Promise<void> {
    const { rate, keys, 'value-bytes': valueBytes } = this.chosen
    const cache = this.client.cache<Uint8Array>('unread', { codec: 'bytes' })
    const value = new Uint8Array(valueBytes).fill(118)
    const began = performance.now()
    for (let sent = 0; this.#running; await pause(TURN_MS)) {
      const due = ((performance.now() - began) / 1_000) * rate
      for (; sent < due; sent++) {
        if (this.#underWay >= UNDER_WAY_MAX) continue
        this.#underWay++
        const at = performance.now()
        cache.set(`key:${sent % keys}`, value, { ack: 'master' }).then(
          () => this.#ended(at, true),
          () => this.#ended(at, false),
        )
      }
    }
  }

  #ended(at: number, ok: boolean): void {
    this.#underWay--
    if (ok) this.written++
    else this.failed++
    this.#slowestMs = Math.max(this.#slowestMs, performance.now() - at)
  }

  #lookMiB(): number {
    const master = this.cluster.nodes.get('a')
    if (master === undefined || master.child.exitCode !== null)
      throw new Error('the node has ended')
    return residentMiB(master.child)
  }
}

async function measureSlave(chosen: Chosen) {
  const scene = await Scene.open(chosen, 2)
  try {
    const slave = scene.cluster.nodes.get('b')?.child
    slave?.kill('SIGSTOP')
    await scene.go()
    slave?.kill('SIGCONT')
    const woke = performance.now()
    while (performance.now() - woke < RECOVER_MS_MAX && !(await isInSync(scene))) await pause(100)
    const caughtUpMs = roundMs(performance.now() - woke)
    return { bench: 'unread', who: 'slave', count: 1, ...scene.figures, caughtUpMs, cut: 0 }
  } finally {
    await scene.close()
  }
}

async function isInSync({ client }: Scene): Promise<boolean> {
  const { members } = await client.status()
  return members.some(({ id, role, state }) => id === 'b' && role === 'slave' && state === 'online')
}

async function measureWatchers(chosen: Chosen) {
  const scene = await Scene.open(chosen, 1)
  let crowd: Gathered | undefined
  try {
    const { cluster } = scene
    const port = Number(new URL(cluster.servers[0].replace('tcp:', 'http:')).port)
    const many = { sockets: chosen.watchers, cluster: cluster.name, port, cache: 'unread' }
    crowd = await Gathered.open({ kind: 'unread', ...many })
    await scene.go()
    const { cut } = await crowd.state()
    const count = chosen.watchers
    return { bench: 'unread', who: 'watchers', count, ...scene.figures, caughtUpMs: 0, cut }
  } finally {
    crowd?.close()
    await scene.close()
  }
}
