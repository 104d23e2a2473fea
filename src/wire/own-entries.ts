/** Entries that a master writes for itself: nobody waits for an answer to them. */
import type { Proposal } from '../contracts/strategy.js'
import { Writer } from './bytes.js'
import { OP, writePlain } from './command.js'

/** `bytes` as an entry of the master's own. */
export function ownProposal(bytes: Uint8Array): Proposal {
  return { id: -1, ack: 'none', client: null, seq: 0, bytes, start: 0, end: bytes.length }
}

/** An entry that changes nothing: whoever holds it holds all that its master had before. */
export function noopProposal(): Proposal {
  const out = new Writer(16)
  writePlain(out, OP.noop, '', '')
  return ownProposal(out.copy())
}
