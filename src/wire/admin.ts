/** What an admin's command ends with, and how it travels: shared by who does it and who asks. */
import { ID, ID_RULE, LIMITS } from '../config.js'
import type { Member, PeerId } from '../contracts/types.js'
import { ERROR_CODES, errorCode, GcacheError } from '../errors.js'
import type { Control } from './control.js'

/** Who led, who leads, under which epoch number, and ms until this was known. */
export interface HandoverResult {
  readonly from: PeerId
  readonly to: PeerId
  readonly epoch: number
  readonly tookMs: number
}

/** The list of members after a change, and its number: it grows by one with each change. */
export interface MembersResult {
  readonly view: number
  readonly members: readonly Member[]
}

/** A forced beginning: the epoch number and the history that this node leads now, and the history
 *  whose entries it goes on from, '' for none. */
export interface ForceResult {
  readonly epoch: number
  readonly history: string
  readonly forcedFrom: string
}

/** A lost partition that began anew, empty, and how often it has begun by now. */
export interface ResetResult {
  readonly partition: number
  readonly born: number
}

export type AdminAsk = Extract<Control, { type: 'admin' }>
export type AdminReply = Extract<Control, { type: 'admin-reply' }>

const NOTHING = { code: '', message: '', from: '', to: '', epoch: 0, tookMs: 0 } as const

/** `master`: with NOT_MASTER, who is. */
export function refusalReply(id: number, error: GcacheError, master?: PeerId): AdminReply {
  const { code, message } = error
  return { ...NOTHING, type: 'admin-reply', id, code, message, to: master ?? '' }
}

export function handoverReply(id: number, { from, to, epoch, tookMs }: HandoverResult): AdminReply {
  return { type: 'admin-reply', id, code: '', message: '', from, to, epoch, tookMs }
}

export function membersReply(id: number, { view, members }: MembersResult): AdminReply {
  return { ...NOTHING, type: 'admin-reply', id, view, members: [...members] }
}

export function forceReply(id: number, { epoch, history, forcedFrom }: ForceResult): AdminReply {
  return { ...NOTHING, type: 'admin-reply', id, epoch, history, forcedFrom }
}

export function resetReply(id: number, { born }: ResetResult): AdminReply {
  return { ...NOTHING, type: 'admin-reply', id, born }
}

/** Throws the error that the reply holds. */
export function readHandover(reply: AdminReply): HandoverResult {
  assertDone(reply)
  const { from, to, epoch, tookMs } = reply
  return { from, to, epoch, tookMs }
}

/** Throws the error that the reply holds, PROTOCOL_ERROR where it lists no members. */
export function readMembers(reply: AdminReply): MembersResult {
  assertDone(reply)
  const { view, members } = reply
  if (view === undefined || members === undefined)
    throw new GcacheError('PROTOCOL_ERROR', 'the answer lists no members')
  return { view, members }
}

/** Throws the error that the reply holds. */
export function readForce(reply: AdminReply): ForceResult {
  assertDone(reply)
  const { epoch, history = '', forcedFrom = '' } = reply
  return { epoch, history, forcedFrom }
}

/** Throws the error that the reply holds, PROTOCOL_ERROR where it tells no beginning. */
export function readReset(reply: AdminReply, partition: number): ResetResult {
  assertDone(reply)
  const { born } = reply
  if (born === undefined) throw new GcacheError('PROTOCOL_ERROR', 'the answer tells no beginning')
  return { partition, born }
}

function assertDone({ code, message }: AdminReply): void {
  if (code === '') return
  const known = errorCode(code)
  throw new GcacheError(known, message === '' ? ERROR_CODES[known].when : message)
}

/** Without what a strategy notes of a member besides. */
export function bareMember({ id, ordinal, address, witness, learner }: Member): Member {
  const flags = { ...(witness ? { witness } : {}), ...(learner ? { learner } : {}) }
  return { id, ordinal, address, ...flags }
}

/** CONFIG for an id that names no node. */
export function checkId(id: unknown): PeerId {
  if (typeof id === 'string' && ID.test(id)) return id
  throw new GcacheError('CONFIG', `id ${shown(id)} ${ID_RULE}`)
}

/** CONFIG for what numbers no partition. */
export function checkPartition(partition: unknown): number {
  if (Number.isSafeInteger(partition) && (partition as number) >= 0) return partition as number
  throw new GcacheError('CONFIG', `partition ${shown(partition)} must be a number from 0 on`)
}

/** A member's own fields, and no others; CONFIG for the first that is wrong. */
export function checkMember(value: unknown): Member {
  if (typeof value !== 'object' || value === null)
    throw new GcacheError('CONFIG', 'a member is { id, ordinal, address, witness? }')
  const { id, ordinal, address, witness } = value as Record<string, unknown>
  checkId(id)
  const { ordinalMax, addressCharsMax } = LIMITS
  if (!Number.isInteger(ordinal) || (ordinal as number) < 0 || (ordinal as number) > ordinalMax)
    throw new GcacheError('CONFIG', `ordinal ${shown(ordinal)} must be within 0..${ordinalMax}`)
  if (typeof address !== 'string' || address === '' || address.length > addressCharsMax)
    throw new GcacheError(
      'CONFIG',
      `address ${shown(address)} must have 1 to ${addressCharsMax} characters`,
    )
  if (witness !== undefined && typeof witness !== 'boolean')
    throw new GcacheError('CONFIG', `witness ${shown(witness)} must be true or false`)
  const member = { id: id as PeerId, ordinal: ordinal as number, address }
  return witness === true ? { ...member, witness } : member
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : String(value)
}
