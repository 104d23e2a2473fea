/**
 * The entry that says who belongs to a cluster from here on. It stands in a batch of its own, so
 * that a strategy finds it by looking at one byte of each batch.
 *
 *   head of a command | u32 number
 *   u16 n, members: u8 n, id | u8 ordinal | u8 flags | u16 n, address | u8 n, incarnation
 *   u16 n, past members: u8 n, id | u8 ordinal
 */
import type { Batch, Member, PeerId } from '../contracts/types.js'
import { BATCH_HEAD_BYTES } from './batch.js'
import { Reader, Writer } from './bytes.js'
import { OP, writePlain } from './command.js'

export interface View {
  /** 0: the configuration; one more with every change. */
  readonly number: number
  readonly members: readonly ViewMember[]
  /** Who belonged to it once: their ordinals go to nobody else. */
  readonly past: readonly PastMember[]
}

export interface ViewMember extends Member {
  /** The one process that may vote as this node: no other one's word counts. */
  readonly incarnation?: string
  /** That process began without memory: it votes from when it is told so. Otherwise it has
   *  forgotten nothing of this history, and counts at once. */
  readonly amnesiac?: boolean
}

export interface PastMember {
  readonly id: PeerId
  readonly ordinal: number
}

const FLAG = { witness: 1, learner: 2, amnesiac: 4 }
/** Where the only entry's command begins, in a batch without clients. */
const COMMAND_AT = BATCH_HEAD_BYTES + 2 + 2 + 8

/** The command, ready to be proposed. */
export function encodeView(view: View): Uint8Array {
  const out = new Writer(256)
  writePlain(out, OP.view, '', '')
  out.u32(view.number)
  out.u16(view.members.length)
  for (const member of view.members) {
    out.text8(member.id)
    out.u8(member.ordinal)
    out.u8(flagsOf(member))
    out.text16(member.address)
    out.text8(member.incarnation ?? '')
  }
  out.u16(view.past.length)
  for (const { id, ordinal } of view.past) {
    out.text8(id)
    out.u8(ordinal)
  }
  return out.copy()
}

function flagsOf({ witness, learner, amnesiac }: ViewMember): number {
  return (
    (witness ? FLAG.witness : 0) | (learner ? FLAG.learner : 0) | (amnesiac ? FLAG.amnesiac : 0)
  )
}

/** The view that `batch` brings; undefined for any other batch, and for bytes that are no view. */
export function viewOf(batch: Batch): View | undefined {
  if (batch.bytes[COMMAND_AT] !== OP.view || batch.next - batch.first !== 1) return undefined
  const reader = new Reader()
  // With clients the byte looked at was one of theirs.
  if (reader.open(batch.bytes, BATCH_HEAD_BYTES).u16() !== 0) return undefined
  try {
    return readView(reader.open(batch.bytes, COMMAND_AT + 1))
  } catch {
    return undefined
  }
}

/** The view of a command that encodeView() made; PROTOCOL_ERROR if it is none. */
export function decodeView(command: Uint8Array): View {
  const reader = new Reader(command)
  if (reader.u8() !== OP.view) reader.fail('no view')
  return readView(reader)
}

/** `reader` stands behind the operation. */
function readView(reader: Reader): View {
  reader.u8()
  reader.text8()
  reader.text16()
  const number = reader.u32()
  const members: ViewMember[] = []
  for (let n = reader.u16(); n > 0; n--) {
    const id = reader.text8()
    const ordinal = reader.u8()
    const flags = reader.u8()
    const address = reader.text16()
    const witness = flags & FLAG.witness ? { witness: true } : {}
    const learner = flags & FLAG.learner ? { learner: true } : {}
    const named = reader.text8()
    const incarnation = named === '' ? {} : { incarnation: named }
    const amnesiac = flags & FLAG.amnesiac ? { amnesiac: true } : {}
    members.push({ id, ordinal, address, ...witness, ...learner, ...incarnation, ...amnesiac })
  }
  const past: PastMember[] = []
  for (let n = reader.u16(); n > 0; n--) past.push({ id: reader.text8(), ordinal: reader.u8() })
  reader.finish()
  return { number, members, past }
}
