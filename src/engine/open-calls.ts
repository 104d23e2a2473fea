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
  #nextRead = FIRST_READ_ID

  constructor(env: ReplyEnv) {
    this.replies = new Replies(env)
  }

  add(requests: Requests): void {
    this.#all.push(requests)
  }

  remove(requests: Requests): void {
    this.#all.splice(this.#all.indexOf(requests), 1)
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
    const all = this.#all
    for (let i = 0; i < all.length; i++) all[i].finish()
    this.replies.writeOut()
  }
}
