/** One call of a simulated node's engine: a frame as a client writes it, and what is answered. */
import type { Ack } from '../../src/contracts/types.js'
import type { SimulatedNode } from '../../src/testing/simulated-node.js'
import { Writer } from '../../src/wire/bytes.js'
import {
  ackCode,
  beginRequest,
  beginRequests,
  endRequest,
  type Window,
} from '../../src/wire/requests.js'
import { type Ask, type Reply, repliesOf } from './master.js'

export interface How {
  readonly ack?: Ack | undefined
  readonly window?: Window | undefined
  readonly seq?: number
}

/** `onReplies` is told of each frame that answers; an engine knows one of them, the last given. */
export function ask(
  { engine }: SimulatedNode,
  call: number,
  { ack, window, seq = 0 }: How,
  write: Ask,
  onReplies: (replies: readonly Reply[]) => void,
): void {
  const out = new Writer()
  const countAt = beginRequests(out, window)
  const start = beginRequest(out, call, ackCode(ack), seq)
  write(out)
  endRequest(out, start)
  out.patchU16(countAt, 1)
  engine.request(out.copy(), frame => onReplies(repliesOf(Uint8Array.from(frame))))
}
