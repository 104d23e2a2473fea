/**
 * After heal and quiet: all keys are read back and held against what clients were told. Each
 * acknowledged write is there (or a later one), each append once, nothing that was refused.
 */
import type { Cache, Entry } from '../../src/contracts/cache.js'
import { type Judge, lossAllowed, overlapAllowed } from './allowed.js'
import type { Ack, Write } from './record.js'
import type { Shared } from './workload.js'

const READS_AT_ONCE = 64
const READ_TRIES = 10
/** Lines for findings that come by the thousand. */
const FINDINGS_MAX = 20

export interface Verdict {
  /** Acknowledged writes that are not there, the allowed ones not counted. */
  lost: number
  /** ... that the profile's promise does not cover, each with its reason in `reasons`. */
  lostAllowed: number
  /** Writes applied twice. */
  duplicated: number
  /** Writes there though they were surely refused, and values that nobody wrote. */
  phantoms: number
  /** Acks with fewer copies than their level promises. */
  shortOfCopies: number
  /** Acks of a lower epoch whose call began after one of a higher epoch had ended. */
  overlaps: number
  overlapsAllowed: number
  /** Reasons of all that was allowed, with how often. */
  readonly reasons: Map<string, number>
  /** What was allowed, a line each. */
  readonly excuses: string[]
  /** What is wrong, a line each. */
  readonly findings: string[]
}

type Found = Map<string, Entry<unknown> | undefined>

/** Laws broken; `findings` may hold fewer lines. */
export function violationsOf(verdict: Verdict): number {
  const { lost, duplicated, phantoms, shortOfCopies, overlaps, overlapsAllowed } = verdict
  return lost + duplicated + phantoms + shortOfCopies + overlaps - overlapsAllowed
}

export function emptyVerdict(): Verdict {
  return {
    lost: 0,
    lostAllowed: 0,
    duplicated: 0,
    phantoms: 0,
    shortOfCopies: 0,
    overlaps: 0,
    overlapsAllowed: 0,
    reasons: new Map(),
    excuses: [],
    findings: [],
  }
}

/** Fills `verdict`. Rejects with what a read was refused with, again and again. */
export async function judgeAll(
  verdict: Verdict,
  shared: Shared,
  judge: Judge,
  cache: Cache<unknown>,
): Promise<void> {
  judgeCopies(verdict, judge, shared.recorder.acks)
  judgeOverlaps(verdict, judge, shared.recorder.acks)
  const { own, lists, registers } = shared
  const found = await readAll(cache, [...own.keys(), ...lists.keys(), ...registers.keys()])
  for (const [key, writes] of own) judgeOwn(verdict, judge, writes, found.get(key))
  for (const [key, writes] of lists) judgeList(verdict, judge, key, writes, found.get(key))
  for (const [key, writes] of registers) judgeRegister(verdict, judge, key, writes, found.get(key))
  noteFinalReads(shared, found)
}

async function readAll(cache: Cache<unknown>, keys: readonly string[]): Promise<Found> {
  const found: Found = new Map()
  for (let at = 0; at < keys.length; at += READS_AT_ONCE) {
    const some = keys.slice(at, at + READS_AT_ONCE)
    const entries = await Promise.all(some.map(key => readOne(cache, key)))
    for (const [i, key] of some.entries()) found.set(key, entries[i])
  }
  return found
}

async function readOne(cache: Cache<unknown>, key: string): Promise<Entry<unknown> | undefined> {
  for (let tries = 1; ; tries++)
    try {
      return await cache.getEntry(key)
    } catch (error) {
      if (tries === READ_TRIES) throw error
    }
}

/** `writes` of one writer in their order, from the last that reached every log on. */
function judgeOwn(
  verdict: Verdict,
  judge: Judge,
  writes: readonly Write[],
  entry: Entry<unknown> | undefined,
): void {
  const at = writes.findIndex(write => write.value === entry?.value)
  const there = writes[at]
  if (there?.outcome === 'rejected') {
    phantom(verdict, there)
    return
  }
  const missing = writes.slice(at + 1).filter(write => write.outcome === 'ok')
  lose(verdict, judge, missing, writes, `found ${entry?.value}`)
  if (there?.receipt === undefined || there.receipt.version === entry?.version) return
  // What a merge writes again has a new version.
  const { receipt, startMs, endMs } = there
  if (overlapAllowed(judge, { receipt, startMs, endMs }) !== undefined) return
  verdict.duplicated++
  verdict.findings.push(`twice: ${shown(there)}, and version ${entry?.version}`)
}

function judgeList(
  verdict: Verdict,
  judge: Judge,
  key: string,
  writes: readonly Write[],
  entry: Entry<unknown> | undefined,
): void {
  const times = new Map<unknown, number>()
  for (const token of (entry?.value ?? []) as string[])
    times.set(token, (times.get(token) ?? 0) + 1)
  for (const write of writes) {
    const count = times.get(write.value) ?? 0
    times.delete(write.value)
    if (count > 1) {
      verdict.duplicated++
      verdict.findings.push(`${key}: ${write.value} is there ${count} times`)
    }
    if (count === 0 && write.outcome === 'ok')
      lose(verdict, judge, [write], writes, 'not in the list')
    if (count > 0 && write.outcome === 'rejected') phantom(verdict, write)
  }
  for (const token of times.keys()) {
    verdict.phantoms++
    verdict.findings.push(`${key}: nobody wrote ${token}`)
  }
}

/** The last value may be any write's after which no acknowledged one began. */
function judgeRegister(
  verdict: Verdict,
  judge: Judge,
  key: string,
  writes: readonly Write[],
  entry: Entry<unknown> | undefined,
): void {
  const value = entry?.value ?? null
  const candidates = writes.filter(write => write.value === value)
  const possible = candidates.filter(write => write.outcome !== 'rejected')
  if (value !== null && possible.length === 0) {
    verdict.phantoms++
    verdict.findings.push(`${key}: ${value} is there, ${candidates[0]?.code ?? 'nobody wrote it'}`)
    return
  }
  if (possible.some(write => write.outcome === 'unknown')) return
  const endMs = Math.max(Number.NEGATIVE_INFINITY, ...possible.map(write => write.endMs))
  const missing = writes.filter(
    write => write.outcome === 'ok' && write.value !== value && write.startMs > endMs,
  )
  lose(verdict, judge, missing, writes, `found ${value}`)
}

/** Of `missing`, writes of one key, each would do: one is lost, and all need an excuse. */
function lose(
  verdict: Verdict,
  judge: Judge,
  missing: readonly Write[],
  writes: readonly Write[],
  fact: string,
): void {
  const excuses = missing.map(({ receipt, startMs, endMs }) =>
    receipt === undefined ? undefined : lossAllowed(judge, { startMs, endMs, receipt }, writes),
  )
  const bad = excuses.lastIndexOf(undefined)
  if (bad >= 0) {
    verdict.lost++
    verdict.findings.push(`lost: ${shown(missing[bad])}; ${fact}`)
    return
  }
  const [write, reason] = [missing.at(-1), excuses.at(-1)]
  if (write === undefined || reason === undefined) return
  verdict.lostAllowed++
  verdict.reasons.set(reason, (verdict.reasons.get(reason) ?? 0) + 1)
  verdict.excuses.push(`${shown(write)}; ${fact}; ${reason}`)
}

function phantom(verdict: Verdict, write: Write): void {
  verdict.phantoms++
  verdict.findings.push(`refused with ${write.code}, and there: ${shown(write)}`)
}

function judgeCopies(verdict: Verdict, { copiesMin }: Judge, acks: readonly Ack[]): void {
  const short = acks.filter(ack => ack.receipt.copies < copiesMin)
  verdict.shortOfCopies = short.length
  for (const { receipt, startMs } of short.slice(0, FINDINGS_MAX)) {
    const { epoch, offset, copies } = receipt
    const at = `(${epoch}, ${offset}), ${Math.round(startMs)} ms`
    verdict.findings.push(`short of copies: ${copies} of ${copiesMin} at ${at}`)
  }
}

/** By receipts alone: whoever acknowledged under a lower epoch did not know of the higher one. */
function judgeOverlaps(verdict: Verdict, judge: Judge, acks: readonly Ack[]): void {
  const epochs = [...judge.epochsAt].sort((a, b) => a[0] - b[0])
  for (const ack of acks) {
    const { epoch } = ack.receipt
    if (!epochs.some(([higher, endMs]) => higher > epoch && endMs < ack.startMs)) continue
    verdict.overlaps++
    const reason = overlapAllowed(judge, ack)
    if (reason !== undefined) verdict.overlapsAllowed++
    else if (verdict.overlaps - verdict.overlapsAllowed <= FINDINGS_MAX)
      verdict.findings.push(
        `overlap: an ack of epoch ${epoch} for a call of ${Math.round(ack.startMs)} ms, ` +
          `${ack.receipt.copies} copies, offset ${ack.receipt.offset}`,
      )
  }
}

/** The last read of each register belongs to its history: it shows what survived. */
function noteFinalReads(shared: Shared, found: Found): void {
  const startMs = performance.now()
  for (const key of shared.registers.keys()) {
    const result = found.get(key)?.value ?? null
    const call = { client: 'final', key, kind: 'read', outcome: 'ok', result } as const
    shared.histories.add({ ...call, startMs, endMs: startMs })
  }
}

function shown({ key, value, startMs, endMs, receipt }: Write): string {
  const at = receipt && ` at (${receipt.epoch}, ${receipt.offset}) with ${receipt.copies} copies`
  return `${key} = ${value}, ${Math.round(startMs)} to ${Math.round(endMs)} ms${at ?? ''}`
}
