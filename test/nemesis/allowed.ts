/**
 * Which acknowledged writes may be lost, and which masters may overlap: PROTOCOL sections 5 and 6,
 * computed for the faults that were injected. Without a reason from here every loss is a violation.
 *
 * Profile ordinal promises a write while the next master reaches one of the logs that held it. So a
 * loss needs all of: a master of a higher epoch that began during a network split (or right after
 * it), from which the acknowledging master was cut off, and `copies + nodes it reached <= N`.
 */
import type { Ack as AckLevel } from '../../src/contracts/types.js'
import type { Ack } from './record.js'
import type { Schedule } from './schedule.js'

/** After a heal: a promotion that the split began may end, and the loser has not heard of it. */
const SETTLE_MS = 3_000
/** A master that died so soon after its answer may not have sent the entry to anybody. */
const UNSENT_MS = 5_000

export interface Judge {
  readonly profile: string
  /** Logs that every receipt must name, by copiesPromised(). */
  readonly copiesMin: number
  readonly nodes: readonly string[]
  readonly schedule: Schedule
  /** By epoch number: when the first of its acks ended, ms. */
  readonly epochsAt: ReadonlyMap<number, number>
}

/** The least copies that an ack level promises, or else a profile's own (PROTOCOL 5 and 6). */
export function copiesPromised(
  level: AckLevel | undefined,
  profile: string,
  nodes: number,
): number {
  const ack =
    level ?? (profile === 'majority' ? 'majority' : profile === 'strict' ? 'all' : 'insync')
  if (ack === 'majority') return Math.floor(nodes / 2) + 1
  if (ack === 'all') return nodes
  if (ack === 'insync') return 2
  return ack.startsWith('slaves:') ? Number(ack.slice('slaves:'.length)) + 1 : 1
}

/** Why `ack` may be lost, or stand beside one of a higher epoch; undefined: it may not. */
export function allowance(judge: Judge, ack: Ack): string | undefined {
  return loneCopy(judge, ack) ?? cutOff(judge, ack)
}

/** Only where the caller asked for so little: `--ack master`. */
function loneCopy({ schedule, nodes, copiesMin }: Judge, ack: Ack): string | undefined {
  if (ack.receipt.copies > 1 || copiesMin > 1) return undefined
  const master = nodes[ack.receipt.epoch % 256]
  const hit = schedule.ailments.find(
    ({ node, fromMs, untilMs }) =>
      node === master && ack.startMs <= untilMs + SETTLE_MS && fromMs <= ack.endMs + UNSENT_MS,
  )
  return hit === undefined ? undefined : `one copy only, and its node was ${hit.kind}`
}

function cutOff(judge: Judge, ack: Ack): string | undefined {
  const { profile, nodes, schedule, epochsAt, copiesMin } = judge
  const { copies, epoch } = ack.receipt
  // Elsewhere only what asked for less than the profile's own level can be cut off.
  const own = copiesPromised(undefined, profile, nodes.length)
  if (copies < copiesMin || (profile !== 'ordinal' && copies >= own)) return undefined
  const master = nodes[epoch % 256]
  for (const [higher, atMs] of epochsAt) {
    if (higher <= epoch) continue
    const separation = schedule.separations.findLast(({ fromMs }) => fromMs <= atMs)
    if (separation === undefined) continue
    const { fromMs, untilMs, linked } = separation
    if (atMs > untilMs + SETTLE_MS || ack.startMs > untilMs + SETTLE_MS) continue
    if (ack.endMs < fromMs && copies > 1) continue
    const other = nodes[higher % 256]
    if (linked(master, other)) continue
    const reached = nodes.filter(node => linked(other, node)).length
    if (copies + reached <= nodes.length)
      return `${copies} copies, ${master} cut off from ${other}, which reached ${reached}`
  }
  return undefined
}
