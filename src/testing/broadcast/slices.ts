/** What two nodes send each other when they compare records, read by who watches them. */

import { RecordItem } from '../../store/slice.js'
import { Reader } from '../../wire/bytes.js'
import { readTouchItem, STAMPED_ITEM } from '../../wire/stamped-records.js'

/** Of one key: a record by its stamps, or what ended those before. */
export type SliceItem =
  | { readonly kind: 'record'; cache: string; key: string; version: number; changed: number }
  | { readonly kind: 'touch'; cache: string; key: string; changed: number }
  | {
      readonly kind: 'end'
      readonly cache: string
      readonly key: string
      readonly deleted: number
      readonly replaced: number
      readonly evicted: number
      readonly evictedBy: number
    }
  | { readonly kind: 'floor'; readonly cache: string; readonly stamp: number }

const RECORD = new RecordItem()

/** Those that a store joins which lets in stamps up to `stampMax`. */
export function itemsOf(slice: Uint8Array, stampMax: number): SliceItem[] {
  const items: SliceItem[] = []
  const reader = new Reader(slice)
  reader.u8()
  let cache = ''
  while (reader.left > 0) {
    const kind = reader.u8()
    if (kind === STAMPED_ITEM.seen) reader.whole()
    else if (kind === STAMPED_ITEM.into) cache = reader.text8()
    else if (kind === STAMPED_ITEM.record) {
      RECORD.read(reader, Number.POSITIVE_INFINITY)
      const { key, version, changed } = RECORD
      if (changed <= stampMax) items.push({ kind: 'record', cache, key, version, changed })
    } else if (kind === STAMPED_ITEM.touch) {
      const key = reader.text16()
      const { changed } = readTouchItem(reader)
      if (changed <= stampMax) items.push({ kind: 'touch', cache, key, changed })
    } else if (kind === STAMPED_ITEM.end) {
      const key = reader.text16()
      const [deleted, replaced] = [reader.whole(), reader.whole()]
      const [evicted, evictedBy] = [reader.whole(), reader.whole()]
      if (Math.max(deleted, replaced, evicted, evictedBy) <= stampMax)
        items.push({ kind: 'end', cache, key, deleted, replaced, evicted, evictedBy })
    } else if (kind === STAMPED_ITEM.floor) {
      const name = reader.text8()
      const stamp = reader.whole()
      if (stamp <= stampMax) items.push({ kind: 'floor', cache: name, stamp })
    } else reader.fail(`unknown item ${kind}`)
  }
  return items
}
