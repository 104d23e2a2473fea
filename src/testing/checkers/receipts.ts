/**
 * Honest receipts: an answer never claims more copies than logs ever held the entry, nor fewer than
 * its ack level asks for; and what it says is what apply decided.
 */
import type { Ack } from '../../contracts/types.js'
import type { Call } from '../simulated-client.js'
import type { Checker, World } from './checker.js'

/** `ack`: of a call that names none. `witness`: a majority may be one log and the witness. */
export function receiptsAreHonest(
  world: World,
  inSyncMin: (nodes: number) => number,
  ack: Ack = 'insync',
  witness = false,
): Checker {
  return {
    name: 'receipts are honest',
    onCallEnd(call: Call) {
      const { reply } = call
      if (call.seq === 0 || reply?.kind !== 'written' || call.ack === 'none') return
      const entries = world.lineage.entriesOf(call.window, call.seq)
      const what = () => `${call.kind} ${call.client}#${call.seq} (${call.ack ?? 'default'})`
      if (entries.length === 0)
        world.fail('I6', `${what()} was acknowledged by ${reply.from} and stands in no log`)
      const holders = new Set<string>()
      for (const life of world.lives()) {
        // No more are asked for.
        if (holders.size >= reply.copies) break
        if (entries.some(entry => life.everHeld(entry.point))) holders.add(life.node)
      }
      if (reply.copies > holders.size)
        world.fail(
          'I6',
          `${what()}: a receipt of ${reply.copies} copies, but ${holders.size} logs ever held it`,
        )
      const level = call.ack ?? ack
      const nodes = world.votersMin()
      const least = copiesFor(level, nodes, inSyncMin(nodes))
      const wanted = witness && level === 'majority' ? 1 : least
      if (reply.copies < wanted)
        world.fail('I6', `${what()}: acknowledged with ${reply.copies} copies instead of ${wanted}`)
    },
  }
}

/** Logs that an ack level promises, the master's included. */
export function copiesFor(ack: Ack, nodes: number, inSyncMin: number): number {
  switch (ack) {
    case 'none':
      return 0
    case 'master':
      return 1
    case 'majority':
      return Math.floor(nodes / 2) + 1
    case 'insync':
      return inSyncMin
    case 'all':
      return nodes
    default:
      return Number(ack.slice('slaves:'.length)) + 1
  }
}
