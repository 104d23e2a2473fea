/** A client of the simplest kind for scenarios: asks a simulated node and notes its answers. */
import type { Ack } from '../../src/contracts/types.js'
import type { SimulatedCluster } from '../../src/testing/cluster.js'
import type { SimulatedNode } from '../../src/testing/simulated-node.js'
import { Reader, Writer } from '../../src/wire/bytes.js'
import { OP, writePlain, writeSet } from '../../src/wire/command.js'
import {
  ackCode,
  beginRequest,
  beginRequests,
  endRequest,
  STATUS,
} from '../../src/wire/requests.js'

export interface AskerWindow {
  id: string
  lowest: number
}

export class Asker {
  /** Codes by call id; 'written' for an acknowledged write. */
  readonly answers = new Map<number, string>()
  #calls = 0

  constructor(readonly cluster: SimulatedCluster) {}

  get master(): SimulatedNode {
    const master = this.cluster.master()
    if (master === undefined) throw new Error('no master')
    return master
  }

  set(
    node: SimulatedNode,
    key: string,
    value: Uint8Array,
    ack?: Ack,
    window?: AskerWindow,
  ): number {
    return this.#ask(node, ack, window, out => writeSet(out, 'c', key, value, {}))
  }

  get(node: SimulatedNode, key: string): number {
    return this.#ask(node, undefined, undefined, out => writePlain(out, OP.get, 'c', key))
  }

  open(node: SimulatedNode, window: AskerWindow): number {
    return this.#ask(node, 'none', window, out => writePlain(out, OP.openWindow, '', ''))
  }

  #ask(
    node: SimulatedNode,
    ack: Ack | undefined,
    window: AskerWindow | undefined,
    write: (out: Writer) => void,
  ): number {
    const out = new Writer()
    const countAt = beginRequests(out, window)
    this.#calls++
    const id = this.#calls
    const start = beginRequest(out, id, ackCode(ack), 0)
    write(out)
    endRequest(out, start)
    out.patchU16(countAt, 1)
    node.engine.request(out.copy(), frame => this.#onReply(frame))
    return id
  }

  #onReply(frame: Uint8Array): void {
    const reader = new Reader().open(Uint8Array.from(frame), 33)
    for (let n = reader.u16(); n > 0; n--) {
      const id = reader.u32()
      const status = reader.u8()
      if (status === STATUS.written) {
        reader.skip(18)
        this.answers.set(id, 'written')
      } else if (status === STATUS.absent) this.answers.set(id, 'absent')
      else if (status === STATUS.value) {
        reader.skip(16)
        reader.skip(reader.u32())
        this.answers.set(id, 'value')
      } else if (status === STATUS.error) {
        this.answers.set(id, reader.text8())
        reader.skip(1)
        reader.skip(reader.u16())
      } else throw new Error(`status ${status}`)
    }
  }
}
