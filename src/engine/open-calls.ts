/**
 * What the requests of all groups share: one frame of replies a link and step, one account of what
 * each link waits for, one bound on the writes that wait, and ids that say whose they are.
 */
import type { PeerId, Receipt, Session } from '../contracts/types.js'
import { FIRST_READ_ID } from './request-reads.js'
import { Replies, type ReplyEnv } from './request-replies.js'
import { WaitingWrites } from './request-writes.js'
import type { Requests } from './requests.js'

export class OpenCalls {
  readonly replies: Replies
  readonly waiting = new WaitingWrites<Requests>()
  /** A frame is being read: its replies leave together, at its end. */
  inFrame = false
  readonly #all: Requests[] = []
  /** Those that have something to do after a step: of 256 groups, most have not. */
  readonly #due = new Set<Requests>()
  #nextRead = FIRST_READ_ID

  constructor(env: ReplyEnv) {
    this.replies = new Replies(env)
  }

  add(requests: Requests): void {
    this.#all.push(requests)
  }

  remove(requests: Requests): void {
    this.#all.splice(this.#all.indexOf(requests), 1)
    this.#due.delete(requests)
  }

  /** `requests` is to finish after each step, until it says that nothing waits. */
  awaits(requests: Requests): void {
    this.#due.add(requests)
  }

  takeReadId(): number {
    return this.#nextRead--
  }

  /** The strategy answers a proposal. Ids that are not ours are passed over. */
  settle(id: number, receipt: Receipt): void {
    this.waiting.owner(id)?.settle(id, receipt)
  }

  /** The strategy refuses a proposal or a read. */
  reject(id: number, code: string, surely: boolean): void {
    if (id > FIRST_READ_ID) this.waiting.owner(id)?.reject(id, code, surely)
    // Seldom, and nobody else's id.
    else for (const requests of this.#all) requests.reject(id, code, surely)
  }

  /** Its replies are forgotten; its writes go on. */
  onLinkDown(peer: PeerId, session: Session): void {
    this.replies.onLinkDown(peer, session)
    for (const requests of this.#all) requests.onLinkDown(peer, session)
  }

  /** After the effects of a step: sends what became known. */
  finish(): void {
    if (this.inFrame) return
    for (const requests of this.#due) if (!requests.finish()) this.#due.delete(requests)
    this.replies.writeOut()
  }
}
