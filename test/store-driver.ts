/** What the tests of the store share: short commands, and a store that applies them in batches. */
import type { CacheOptions } from '../src/contracts/store.js'
import type { Batch, ClientRef } from '../src/contracts/types.js'
import { type KeyValueOptions, KeyValueStore } from '../src/store/key-value.js'
import { BatchMaker, type Command, type EntryOf, proposalOf } from './store-model.js'

export const CACHE = 'c'
export const DEFAULTS: CacheOptions = {
  maxEntries: 1_000_000,
  maxBytes: 2 ** 30,
  ttlMs: 0,
  idleMs: 0,
  eviction: 'lru',
}

/** A store with its maker of batches, and what became of the entries. */
export class Bench {
  readonly maker = new BatchMaker()
  readonly store: KeyValueStore
  time = 1_000
  constructor(options: KeyValueOptions = {}) {
    this.store = new KeyValueStore(options)
  }
  run(...commands: Command[]): string[] {
    return this.runEntries(commands.map(command => ({ client: null, seq: 0, command })))
  }
  runEntries(entries: readonly EntryOf[]): string[] {
    return this.#apply(this.maker.make(this.time, entries))
  }
  runRaw(commands: readonly Uint8Array[]): string[] {
    if (commands.length === 0) return []
    return this.#apply(
      this.maker.makeRaw(
        this.time,
        commands.map(bytes => proposalOf(null, 0, bytes)),
      ),
    )
  }
  #apply(batch: Batch): string[] {
    const found: string[] = []
    this.store.apply(batch, {
      onResult: (_offset, outcome, version) => found.push(`${outcome} ${version}`),
    })
    return found
  }
  get(key: string) {
    return this.store.get(CACHE, key, this.time)
  }
  /** Everything proposed is applied, as a master would. */
  keepHouse(): number {
    let total = 0
    for (;;) {
      const commands = this.store.housekeeping(this.time, 1_000)
      if (commands.length === 0) return total
      total += commands.length
      this.runRaw(commands)
    }
  }
}

export const set = (key: string, value = 'v', fields = {}): Command => ({
  op: 'set',
  cache: CACHE,
  key,
  value,
  fields,
})
export const touch = (key: string, fields = {}): Command => ({
  op: 'touch',
  cache: CACHE,
  key,
  fields,
})
export const del = (key: string, fields = {}): Command => ({
  op: 'delete',
  cache: CACHE,
  key,
  fields,
})
export const configure = (options: Partial<CacheOptions>): Command => ({
  op: 'configure',
  cache: CACHE,
  options: { ...DEFAULTS, ...options },
})
export const writer = (lowest: number, id = 'w'): ClientRef => ({ id: id.padEnd(16, '.'), lowest })
