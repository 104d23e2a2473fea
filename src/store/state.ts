/**
 * What a store holds, shared by the parts that apply, walk, sweep and hash it. A snapshot replaces
 * it whole.
 */
import type { CacheOptions } from '../contracts/store.js'
import type { Offset } from '../contracts/types.js'
import { Caches } from './caches.js'
import type { Walk } from './walk.js'
import type { Window } from './windows.js'

export class State {
  readonly caches: Caches
  readonly windows = new Map<string, Window>()
  /** Open snapshots by id; node-local. */
  readonly walks = new Map<number, Walk>()
  /** Entries `[1, applied)` are in the state; stays at a batch's first while it is applied. */
  applied: Offset = 1
  /** Cluster time of the last batch applied, ms. */
  time = 0

  constructor(defaults?: CacheOptions) {
    this.caches = new Caches(defaults)
  }
}
