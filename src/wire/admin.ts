/** What an admin's handover ends with, and how it travels: shared by who does it and who asks. */
import type { PeerId } from '../contracts/types.js'
import { ERROR_CODES, errorCode, GcacheError } from '../errors.js'
import type { Control } from './control.js'

/** Who led, who leads, under which epoch number, and ms until this was known. */
export interface HandoverResult {
  readonly from: PeerId
  readonly to: PeerId
  readonly epoch: number
  readonly tookMs: number
}

export type AdminReply = Extract<Control, { type: 'admin-reply' }>

/** `master`: with NOT_MASTER, who is. */
export function refusalReply(id: number, error: GcacheError, master?: PeerId): AdminReply {
  const { code, message } = error
  const facts = { from: '', to: master ?? '', epoch: 0, tookMs: 0 }
  return { type: 'admin-reply', id, code, message, ...facts }
}

export function handoverReply(id: number, { from, to, epoch, tookMs }: HandoverResult): AdminReply {
  return { type: 'admin-reply', id, code: '', message: '', from, to, epoch, tookMs }
}

/** Throws the error that the reply holds. */
export function readHandover(reply: AdminReply): HandoverResult {
  const { code, message, from, to, epoch, tookMs } = reply
  if (code === '') return { from, to, epoch, tookMs }
  const known = errorCode(code)
  throw new GcacheError(known, message === '' ? ERROR_CODES[known].when : message)
}
