/**
 * The state machine that Gcache replicates: named caches of opaque values. This file is its face;
 * what an entry does stands in apply.ts, how a copy is made while writes go on in walk.ts.
 */
import { LIMITS } from '../config.js'
import type { CacheOptions, ChangeSink, ResultSink, StateMachine } from '../contracts/store.js'
import type { Batch, Offset } from '../contracts/types.js'
import { assert } from '../core/assert.js'
import { Applier } from './apply.js'
import { digestOf } from './digest.js'
import { Housekeeping } from './housekeeping.js'
import { Installer } from './install.js'
import { Records } from './records.js'
import { State } from './state.js'
import { type Slice, Walk } from './walk.js'

export interface KeyValueOptions {
  /** Bytes that first touch may hold for one snapshot; more answers 'overflow'. Default 64 MiB. */
  readonly snapshotPendingBytesMax?: number
  /** Of caches that nobody configured. Default CACHE_DEFAULTS. The same in every copy. */
  readonly defaults?: CacheOptions | undefined
}

const NOTHING = new Uint8Array(0)

export class KeyValueStore extends Records implements StateMachine {
  readonly #pendingBytesMax: number
  readonly #defaults: CacheOptions | undefined
  #applier = new Applier(this.state)
  #housekeeping = new Housekeeping(this.state)
  #installer: Installer | undefined

  constructor(options: KeyValueOptions = {}) {
    super(options.defaults)
    this.#defaults = options.defaults
    this.#pendingBytesMax = options.snapshotPendingBytesMax ?? LIMITS.snapshotPendingBytesMax
  }

  get changes(): ChangeSink | undefined {
    return this.#applier.changes
  }

  set changes(sink: ChangeSink | undefined) {
    this.#applier.changes = sink
  }

  apply(batch: Batch, results?: ResultSink): void {
    const { applied } = this.state
    assert(batch.first === applied, `batch begins at ${batch.first}, applied is ${applied}`)
    this.#applier.apply(batch, results)
  }

  housekeeping(time: number, limit: number): readonly Uint8Array[] {
    return this.#housekeeping.propose(time, limit)
  }

  openSnapshot(id: number): void {
    const { applied, caches, windows, walks } = this.state
    walks.set(id, new Walk(applied, caches, windows.values(), this.#pendingBytesMax))
  }

  readSnapshot(id: number, bytesMax: number): Slice {
    const { walks, applied } = this.state
    const walk = walks.get(id)
    // Unknown, or dropped by an install: whoever reads must begin anew.
    if (walk === undefined) return { slice: NOTHING, next: applied, state: 'overflow' }
    return walk.read(applied, bytesMax)
  }

  closeSnapshot(id: number): void {
    this.state.walks.delete(id)
  }

  install(at: Offset, slice: Uint8Array, first: boolean): void {
    if (first) {
      const { changes } = this
      this.state = new State(this.#defaults)
      this.state.applied = at
      this.#applier = new Applier(this.state)
      this.#applier.changes = changes
      this.#housekeeping = new Housekeeping(this.state)
      this.#installer = new Installer(this.state, at)
    }
    assert(this.#installer !== undefined, 'install without a first slice')
    this.#installer.install(slice)
  }

  digest(): string {
    return digestOf(this.state)
  }
}
