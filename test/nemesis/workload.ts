/**
 * The load: each client writes keys of its own, appends to shared lists and uses shared registers,
 * without a pause longer than some ms, until it is told to stop.
 *
 *   own/~1/0/7     one writer; growing numbers         what is lost, and what was done twice
 *   list/1/4       all append, each with ifVersion     the same, for every single append
 *   register/0/2   read, set, compare-and-set, delete  histories for the checker of linearizability
 */
import type { Client } from '../../src/client/connect.js'
import type { Cache, Entry, SetOptions } from '../../src/contracts/cache.js'
import type { Ack } from '../../src/contracts/types.js'
import type { SeededRandom } from '../../src/core/prng.js'
import { type Histories, timed } from './histories.js'
import type { Recorder, Write } from './record.js'

const OWN_KEYS = 16
const OWN_PAUSE_MS = 5
const LISTS = 2
/** A full list is left for the next one: reading it all again must stay cheap. */
const LIST_LENGTH_MAX = 100
const REGISTERS = 3
/** A history much longer is hard to judge. */
const REGISTER_CALLS_MAX = 400
const SHARED_PAUSE_MS = 20

export interface Shared {
  readonly recorder: Recorder
  readonly histories: Histories
  readonly ack: Ack | undefined
  readonly nodes: number
  readonly random: SeededRandom
  /** Writes of each own key from the last one on that was acknowledged with all copies. */
  readonly own: Map<string, Write[]>
  /** Every append, by list. */
  readonly lists: Map<string, Write[]>
  /** Every write of each register; a delete writes null. */
  readonly registers: Map<string, Write[]>
  /** The round of each list and register. */
  readonly rounds: Map<string, number>
}

/** One client's writers. */
export class Load {
  readonly #shared: Shared
  readonly #client: string
  readonly #cache: Cache<unknown>
  readonly #random: SeededRandom
  readonly #done: Promise<unknown>
  #stopping = false
  #unique = 0

  constructor(shared: Shared, name: string, client: Client) {
    this.#shared = shared
    this.#client = name
    this.#cache = client.cache('nemesis')
    this.#random = shared.random.fork()
    this.#done = Promise.all([this.#own(0), this.#own(1), this.#append(), this.#register()])
  }

  /** Resolves when its last call has settled. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#done
  }

  async #own(writer: number): Promise<void> {
    const { recorder, own } = this.#shared
    for (let n = 0; !this.#stopping; n++) {
      const key = `own/${this.#client}/${writer}/${n % OWN_KEYS}`
      const write = await recorder.write(this.#client, key, n, () =>
        this.#cache.set(key, n, this.#options({})),
      )
      const everywhere = write.outcome === 'ok' && write.receipt?.copies === this.#shared.nodes
      if (everywhere) own.set(key, [write])
      else listIn(own, key).push(write)
      await this.#pause(OWN_PAUSE_MS)
    }
  }

  async #append(): Promise<void> {
    const { recorder, lists, rounds } = this.#shared
    for (; !this.#stopping; await this.#pause(SHARED_PAUSE_MS)) {
      const name = `list/${this.#random.below(LISTS)}`
      const round = rounds.get(name) ?? 0
      const key = `${name}/${round}`
      const found = await recorder.read(() => this.#cache.getEntry(key))
      if (found === undefined) continue
      const before = (found.value?.value ?? []) as string[]
      if (before.length >= LIST_LENGTH_MAX) {
        rounds.set(name, Math.max(round + 1, rounds.get(name) ?? 0))
        continue
      }
      const token = `${this.#client}.${this.#unique++}`
      const write = await recorder.write(this.#client, key, token, () =>
        this.#cache.set(key, [...before, token], this.#options(onlyAfter(found.value))),
      )
      listIn(lists, key).push(write)
    }
  }

  async #register(): Promise<void> {
    const { histories, rounds } = this.#shared
    for (; !this.#stopping; await this.#pause(SHARED_PAUSE_MS)) {
      const name = `register/${this.#random.below(REGISTERS)}`
      const round = rounds.get(name) ?? 0
      const key = `${name}/${round}`
      if (histories.callsOf(key) >= REGISTER_CALLS_MAX) rounds.set(name, round + 1)
      const dice = this.#random.next()
      if (dice < 0.35) await this.#read(key)
      else if (dice < 0.65) await this.#set(key)
      else if (dice < 0.95) await this.#compareAndSet(key)
      else await this.#delete(key)
    }
  }

  /** What it found, so that a compare-and-set can go on from there; undefined if it failed. */
  async #read(key: string): Promise<{ entry: Entry<unknown> | undefined } | undefined> {
    const { recorder, histories } = this.#shared
    const startMs = performance.now()
    const found = await recorder.read(() => this.#cache.getEntry(key))
    const endMs = performance.now()
    const result = found?.value?.value ?? null
    histories.add({
      client: this.#client,
      key,
      kind: 'read',
      ...(found === undefined ? { outcome: 'fail' } : { outcome: 'ok', result }),
      startMs,
      endMs,
    })
    return found === undefined ? undefined : { entry: found.value }
  }

  async #set(key: string): Promise<void> {
    const value = `${this.#client}.${this.#unique++}`
    const write = await this.#shared.recorder.write(this.#client, key, value, () =>
      this.#cache.set(key, value, this.#options({})),
    )
    this.#note(write, { kind: 'write', value })
  }

  async #compareAndSet(key: string): Promise<void> {
    const found = await this.#read(key)
    if (found === undefined) return
    const value = `${this.#client}.${this.#unique++}`
    const expected = found.entry?.value ?? null
    const write = await this.#shared.recorder.write(this.#client, key, value, () =>
      this.#cache.set(key, value, this.#options(onlyAfter(found.entry))),
    )
    this.#note(write, { kind: 'cas', value, expected })
  }

  async #delete(key: string): Promise<void> {
    const { ack } = this.#shared
    const options = ack === undefined ? {} : { ack }
    const write = await this.#shared.recorder.write(this.#client, key, null, () =>
      this.#cache.delete(key, options),
    )
    this.#note(write, { kind: 'delete' })
  }

  #note(write: Write, call: { kind: 'write' | 'cas' | 'delete'; [field: string]: unknown }): void {
    listIn(this.#shared.registers, write.key).push(write)
    this.#shared.histories.add({ client: this.#client, key: write.key, ...call, ...timed(write) })
  }

  #options(options: SetOptions): SetOptions {
    const { ack } = this.#shared
    return ack === undefined ? options : { ...options, ack }
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => setTimeout(resolve, ms * (0.5 + this.#random.next())))
  }
}

/** Nobody wrote since `entry` was read. */
function onlyAfter(entry: Entry<unknown> | undefined): SetOptions {
  return entry === undefined ? { ifAbsent: true } : { ifVersion: entry.version }
}

function listIn<V>(map: Map<string, V[]>, key: string): V[] {
  let list = map.get(key)
  if (list === undefined) {
    list = []
    map.set(key, list)
  }
  return list
}
