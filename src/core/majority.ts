/** Vote and ack arithmetic: how many logs an ack level asks for, and which offset has them. */
import type { Ack, Offset } from '../contracts/types.js'

export function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1
}

/** Logs, the master's included, that `ack` asks for with `voters`; 0 for insync, which has its own
 *  rule. */
export function copiesWanted(ack: Ack, voters: number): number {
  switch (ack) {
    case 'none':
    case 'master':
      return 1
    case 'majority':
      return majorityOf(voters)
    case 'all':
      return voters
    case 'insync':
      return 0
    default:
      return Number(ack.slice('slaves:'.length)) + 1
  }
}

/**
 * The offset below which at least `copies` logs reach, given what each of the others acked. The
 * master's own log is one of them. Sorts `acked` in place, highest first.
 */
export function reachedBy(copies: number, ownNext: Offset, acked: Offset[]): Offset {
  if (copies <= 1) return ownNext
  if (acked.length < copies - 1) return 0
  if (acked.length > 1) acked.sort((a, b) => b - a)
  return acked[copies - 2]
}
