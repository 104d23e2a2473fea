/**
 * Scripts with recorded output (in the manner of etcd-io/raft's interaction tests): what every node
 * took in and did, line by line. Re-record with `npm test -- traces -u`, and only if you understand
 * each line that changed: a trace that was re-recorded blindly proves nothing.
 */
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../src/config.js'
import { seededRandom } from '../src/core/prng.js'
import { SimulatedCluster } from '../src/testing/cluster.js'
import type { Call } from '../src/testing/simulated-client.js'
import { addCheckers } from '../src/testing/simulation.js'
import { CALM_WORKLOAD, Workload } from '../src/testing/workload.js'
import { ORDINAL } from './sim.js'

const WARNING = '# Recorded. Re-record only if you understand each changed line.\n'
/** Said all the time; they would hide what matters. */
const NOISE = /"type":"(heartbeat|append-ack)"|^> (tick|hint) |^ {2}readSnapshot |"kind":"hint"/
const COLUMNS = 180

class Script {
  readonly cluster: SimulatedCluster
  readonly lines: string[] = []
  readonly #workload: Workload
  #recording = false
  #pending = ''

  constructor(nodes: number, limits: { backlogEntriesMax?: number; sliceBytesMax?: number } = {}) {
    const random = seededRandom(1)
    const strategy = ORDINAL.strategy
    const onTrace = (node: string, line: string) => this.#note(node, line)
    this.cluster = new SimulatedCluster({ nodes, random, strategy, onTrace, ...limits })
    this.cluster.network.setFaults({ latencyMsMin: 1, latencyMsMax: 1 })
    addCheckers(this.cluster, ORDINAL, {
      profile: 'ordinal' as const,
      witness: false,
      mayLose: true,
      steadyAfterMs: undefined,
      calmAfterMs: undefined,
      backlogBytesMax: LIMITS.backlogBytesMax,
      backlogEntriesMax: limits.backlogEntriesMax ?? LIMITS.backlogEntriesMax,
    })
    // A client that does nothing by itself.
    const workload = { ...CALM_WORKLOAD, clients: 1, rate: 1e-9, repeatChance: 0 }
    this.#workload = new Workload(this.cluster, workload)
    this.cluster.startAll()
    this.cluster.run(2_000)
  }

  /** From here on everything is written down. */
  record(): void {
    this.#recording = true
  }

  say(what: string): void {
    this.lines.push(`# ${Math.round(this.cluster.now())} ms: ${what}`)
  }

  run(ms: number): void {
    this.cluster.run(ms)
  }

  set(key: string, ack: Call['ack'] = 'insync'): Call {
    const value = new Uint8Array(8)
    const call = this.#workload.call({ kind: 'set', cache: 'plain', key, ack, value })
    if (call === undefined) throw new Error('the client has no window')
    return call
  }

  /** The lines, then who leads what. */
  end(): string {
    for (const { id, life } of this.cluster.live()) {
      const { self, master, epoch } = this.cluster.node(id).status()
      this.say(`${life}: ${self.state}, master ${master}, epoch ${epoch}, offset ${self.offset}`)
    }
    expect(this.cluster.converged(this.cluster.live().map(({ id }) => id))).toBe(true)
    return `${WARNING}${this.lines.join('\n')}\n`
  }

  #note(node: string, raw: string): void {
    if (!this.#recording) return
    const line = raw.replace(/"client":\{"id":"[^,]*",/g, '"client":{')
    const at = this.cluster.now().toFixed(1).padStart(8)
    // An input that led to nothing but noise is noise.
    if (line.startsWith('>')) this.#pending = `${at} ${node} ${line}`.slice(0, COLUMNS)
    if (NOISE.test(line)) return
    if (line.startsWith('>')) this.lines.push(this.#pending)
    else {
      if (this.#pending !== '' && this.lines.at(-1) !== this.#pending && !this.#isBelow())
        this.lines.push(this.#pending)
      this.lines.push(`${at} ${node} ${line}`.slice(0, COLUMNS))
    }
  }

  /** True if the newest line belongs to the pending input already. */
  #isBelow(): boolean {
    const at = this.lines.lastIndexOf(this.#pending)
    return at >= 0 && this.lines.slice(at + 1).every(line => / {2,}\S/.test(line.slice(10)))
  }
}

const traceOf = (name: string) => `traces/${name}.txt`

describe('traces', () => {
  test('the master is killed, the lowest live ordinal pulls the best log and leads', async () => {
    const script = new Script(3)
    script.set('before')
    script.run(100)
    // b misses the last entry, c holds it: b must pull it from c.
    script.record()
    script.say('the link a-b is cut; a write reaches only c')
    script.cluster.cut('a', 'b')
    script.set('last', 'slaves:1')
    script.run(20)
    script.say('a is killed')
    script.cluster.mend('a', 'b')
    script.cluster.crash('a')
    script.run(600)
    script.say('a write')
    script.set('after')
    script.run(100)
    await expect(script.end()).toMatchFileSnapshot(traceOf('kill-of-the-master'))
  })

  test('a slave whose link was lost goes on from the backlog', async () => {
    const script = new Script(3)
    script.record()
    script.say('the link a-c is cut; two writes go on with b')
    script.cluster.cut('a', 'c')
    script.set('one', 'slaves:1')
    script.run(20)
    script.set('two', 'slaves:1')
    script.run(100)
    script.say('mended: the link ends, and c asks for what it lacks')
    script.cluster.mend('a', 'c')
    script.run(400)
    await expect(script.end()).toMatchFileSnapshot(traceOf('partial-resync'))
  })

  test('a slave without data is copied while writes go on', async () => {
    const script = new Script(2, { backlogEntriesMax: 4, sliceBytesMax: 150 })
    for (let i = 0; i < 12; i++) {
      script.set(`k${i}`, 'master')
      script.run(5)
    }
    script.cluster.crash('b')
    script.run(1_500)
    script.record()
    script.say('b starts empty; the backlog does not reach back')
    script.cluster.start('b')
    for (let i = 0; i < 6; i++) {
      script.run(2)
      script.set(`k${i * 2}`, 'master')
    }
    script.run(400)
    await expect(script.end()).toMatchFileSnapshot(traceOf('full-resync'))
  })

  test('a master that was stopped is fenced when it wakes, and follows', async () => {
    const script = new Script(3)
    script.record()
    script.say('a is stopped')
    script.cluster.pause('a')
    script.run(1_600)
    script.say('a write with the new master')
    script.set('new')
    script.run(1_200)
    script.say('a wakes')
    script.cluster.resume('a')
    script.run(800)
    await expect(script.end()).toMatchFileSnapshot(traceOf('fencing'))
  })

  test('a master hands over: it holds a write, which comes again to the target', async () => {
    const script = new Script(3)
    script.set('before')
    script.run(100)
    script.record()
    script.say('a gives its place to b')
    script.cluster
      .node('a')
      .engine.handover('b', 1_000, (_, result) =>
        script.say(`done: ${result?.from} -> ${result?.to} in ${result?.tookMs.toFixed(1)} ms`),
      )
    script.run(3)
    script.say('a write, while a holds')
    script.set('held')
    script.run(300)
    await expect(script.end()).toMatchFileSnapshot(traceOf('handover'))
  })

  test('the lowest ordinal restarts empty and takes nothing from anybody', async () => {
    const script = new Script(3)
    script.set('kept')
    script.run(100)
    script.cluster.crash('a')
    script.run(1_000)
    script.record()
    script.say('a starts empty')
    script.cluster.start('a')
    script.run(600)
    for (const node of script.cluster.live())
      expect(node.version('plain', 'kept')).toBeTypeOf('number')
    await expect(script.end()).toMatchFileSnapshot(traceOf('restart-empty'))
  })
})
