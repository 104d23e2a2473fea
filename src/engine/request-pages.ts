/** Scan pages: as many records as asked for, or fewer, so that a page stays within a frame. */
import { LIMITS } from '../config.js'
import type { ScanPage, StateMachine } from '../contracts/store.js'
import type { Writer } from '../wire/bytes.js'
import { STATUS } from '../wire/requests.js'

/** A page that has more than one record stays below it. */
const PAGE_BYTES_MAX = 2 ** 20
const PAGE_HEAD_BYTES = 32
const RECORD_HEAD_BYTES = 22

export interface SizedPage {
  readonly page: ScanPage
  /** At most this many bytes in a reply. */
  readonly bytes: number
}

/** A page of at most `limit` records and about 1 MiB. A cursor stands behind a page, never inside
 *  one, so a page that is too large is read again with fewer records. */
export function readPage(
  store: StateMachine,
  cache: string,
  prefix: string,
  cursor: number,
  limit: number,
  time: number,
): SizedPage {
  let records = Math.min(Math.max(limit, 1), LIMITS.scanPageMax)
  for (;;) {
    const page = store.scan(cache, prefix, cursor, records, time)
    const bytes = pageBytes(page)
    if (bytes <= PAGE_BYTES_MAX || records === 1) return { page, bytes }
    const fitting = Math.floor((page.keys.length * PAGE_BYTES_MAX) / bytes)
    records = Math.max(1, Math.min(fitting, records - 1) >> 1)
  }
}

function pageBytes(page: ScanPage): number {
  let bytes = PAGE_HEAD_BYTES
  for (let i = 0; i < page.keys.length; i++)
    bytes += RECORD_HEAD_BYTES + page.keys[i].length * 3 + page.records[i].value.length
  return bytes
}

export function writePage(out: Writer, call: number, page: ScanPage): void {
  out.u32(call)
  out.u8(STATUS.page)
  out.f64(page.cursor)
  out.u16(page.keys.length)
  for (let i = 0; i < page.keys.length; i++) {
    const { value, version, expiresAt } = page.records[i]
    out.text16(page.keys[i])
    out.f64(version)
    out.f64(expiresAt)
    out.u32(value.length)
    out.latin1(value)
  }
}
