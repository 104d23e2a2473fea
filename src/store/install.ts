/**
 * Puts snapshot slices into a fresh state. Between two slices the entries that may follow the first
 * are applied; the walk's order sees to it that they never miss a record they meet.
 */
import { LIMITS } from '../config.js'
import type { Offset } from '../contracts/types.js'
import { Reader } from '../wire/bytes.js'
import { PAGE_MASK } from './page.js'
import { ITEM, RecordItem, readCacheItem, readWindowItem, SLICE_VERSION } from './slice.js'
import type { State } from './state.js'

export class Installer {
  readonly #state: State
  /** S: everything in the snapshot is older. */
  readonly #at: Offset
  readonly #record = new RecordItem()

  constructor(state: State, at: Offset) {
    this.#state = state
    this.#at = at
  }

  /** Throws PROTOCOL_ERROR; the items before the bad one are then in the state. */
  install(slice: Uint8Array): void {
    // The first of a copy may bring nothing: it only drops the old state.
    if (slice.length === 0) return
    const reader = new Reader(slice)
    const version = reader.u8()
    if (version !== SLICE_VERSION) reader.fail(`slice layout ${version}`)
    let into: string | undefined
    while (reader.left > 0) {
      const kind = reader.u8()
      if (kind === ITEM.record) this.#installRecord(reader, into)
      else if (kind === ITEM.into) into = reader.text8()
      else if (kind === ITEM.cache) this.#installCache(reader)
      else if (kind === ITEM.window) this.#installWindow(reader)
      else reader.fail(`unknown item ${kind}`)
    }
  }

  #installCache(reader: Reader): void {
    const { caches } = this.#state
    const item = readCacheItem(reader)
    if (caches.byName.has(item.name)) reader.fail('a cache came twice')
    const cache = caches.need(item.name)
    if (cache === undefined) reader.fail(`more than ${LIMITS.cachesMax} caches`)
    cache.options = item.options
    cache.entries = item.entries
    cache.bytes = item.bytes
  }

  #installRecord(reader: Reader, into: string | undefined): void {
    const cache = into === undefined ? undefined : this.#state.caches.byName.get(into)
    if (cache === undefined) reader.fail('a record of an unknown cache')
    const { region } = cache
    const item = this.#record
    item.read(reader, this.#at)
    if (region.peek(item.key) >= 0) reader.fail('a record came twice')
    const slot = region.insert(item.key)
    const page = region.page(slot)
    const at = slot & PAGE_MASK
    region.write(slot, reader.source, item.valueStart, item.valueEnd)
    page.stamp(at, item.version, item.changed)
    page.setLife(at, item.deadline, item.idleMs, item.expiresAt)
  }

  #installWindow(reader: Reader): void {
    const { windows } = this.#state
    const window = readWindowItem(reader, this.#at)
    if (windows.has(window.id)) reader.fail('a window came twice')
    windows.set(window.id, window)
  }
}
