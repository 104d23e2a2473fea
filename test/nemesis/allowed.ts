/**
 * Which acknowledged writes may be lost, and which masters may overlap: PROTOCOL sections 5 and 6,
 * computed for the faults that were injected. Without a reason from here every loss is a violation.
 *
 * In profile ordinal a network split may make two masters; at heal the side of the lower epoch is
 * merged, and per key the newer write stays. So a loss needs all of: two masters cut off from
 * each other, the higher epoch begun during that split (or right after it), a write of the same
 * key on the other side, and `copies + nodes reached by the higher epoch's master <= N`.
 */
import type { Ack as AckLevel } from '../../src/contracts/types.js'
import type { Ack, Write } from './record.js'
import type { Schedule, Separation } from './schedule.js'

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

/** Why `ack` may be lost; undefined: it may not. `others`: the writes of its key. */
export function lossAllowed(judge: Judge, ack: Ack, others: readonly Write[]): string | undefined {
  const lone = loneCopy(judge, ack)
  if (lone !== undefined || judge.profile !== 'ordinal') return lone ?? cutOff(judge, ack)
  for (const other of others) {
    const reason = bothSides(judge, ack, other)
    if (reason !== undefined) return reason
  }
  return undefined
}

/** Why `ack` may stand beside one of a higher epoch that came first; undefined: it may not. */
export function overlapAllowed(judge: Judge, ack: Ack): string | undefined {
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

/** Some master of a higher epoch did not know of `ack`. */
function cutOff(judge: Judge, ack: Ack): string | undefined {
  const { profile, nodes, epochsAt, copiesMin } = judge
  const { copies } = ack.receipt
  // Elsewhere only what asked for less than the profile's own level can be cut off.
  const own = copiesPromised(undefined, profile, nodes.length)
  if (copies < copiesMin || (profile !== 'ordinal' && copies >= own)) return undefined
  for (const higher of epochsAt.keys())
    if (parted(judge, ack, higher) !== undefined)
      return `${copies} copies, epoch ${ack.receipt.epoch} cut off from ${higher}`
  return undefined
}

/** `other`, a write of the same key, was made on the other side of a split. */
function bothSides(judge: Judge, ack: Ack, other: Write): string | undefined {
  if (other.outcome === 'rejected') return undefined
  const { receipt, startMs, endMs } = other
  if (receipt === undefined) {
    // Nobody knows where it was done: on the other side, if this split made a master.
    const both = judge.schedule.separations.some(
      split => isIn(split, ack) && isIn(split, other) && madeMaster(judge, split, ack),
    )
    return both ? 'another write of the key, of unknown outcome, during a split' : undefined
  }
  const [low, high] =
    receipt.epoch < ack.receipt.epoch ? [{ receipt, startMs, endMs }, ack] : [ack, other]
  const higher = high.receipt?.epoch ?? 0
  const separation = parted(judge, low, higher)
  if (separation === undefined || !isIn(separation, high)) return undefined
  return `the key was written on both sides, epochs ${low.receipt.epoch} and ${higher}`
}

/** True if `ack`'s own epoch began in `split`, or a higher one that was cut off from it. */
function madeMaster(judge: Judge, split: Separation, ack: Ack): boolean {
  const beganMs = judge.epochsAt.get(ack.receipt.epoch) ?? 0
  if (beganMs >= split.fromMs && beganMs <= split.untilMs + SETTLE_MS) return true
  return [...judge.epochsAt.keys()].some(higher => parted(judge, ack, higher) === split)
}

/** The split in which epoch `higher` began, if it kept `low` from that epoch's master. */
function parted(judge: Judge, low: Ack, higher: number): Separation | undefined {
  const { nodes, schedule, epochsAt } = judge
  const { epoch, copies } = low.receipt
  const atMs = epochsAt.get(higher)
  if (atMs === undefined || higher <= epoch) return undefined
  const separation = schedule.separations.findLast(({ fromMs }) => fromMs <= atMs)
  if (separation === undefined || atMs > separation.untilMs + SETTLE_MS) return undefined
  const other = nodes[higher % 256]
  if (separation.linked(nodes[epoch % 256], other) || !isIn(separation, low)) return undefined
  const reached = nodes.filter(node => separation.linked(other, node)).length
  return copies + reached <= nodes.length ? separation : undefined
}

function isIn({ fromMs, untilMs }: Separation, { startMs, endMs }: Omit<Ack, 'receipt'>): boolean {
  return endMs >= fromMs && startMs <= untilMs + SETTLE_MS
}
