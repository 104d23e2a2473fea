/** A client of the simplest kind for scenarios: asks a simulated node and notes its answers. */
import type { Ack } from '../../src/contracts/types.js'
import type { SimulatedCluster } from '../../src/testing/cluster.js'
import type { SimulatedNode } from '../../src/testing/simulated-node.js'
import { OP, writePlain, writeSet } from '../../src/wire/command.js'
import { STATUS, type Window } from '../../src/wire/requests.js'
import { ask, type How } from './ask.js'
import type { Ask, Reply } from './master.js'

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

  set(node: SimulatedNode, key: string, value: Uint8Array, ack?: Ack, window?: Window): number {
    return this.#ask(node, { ack, window }, out => writeSet(out, 'c', key, value, {}))
  }

  get(node: SimulatedNode, key: string): number {
    return this.#ask(node, {}, out => writePlain(out, OP.get, 'c', key))
  }

  open(node: SimulatedNode, window: Window): number {
    return this.#ask(node, { ack: 'none', window }, out => writePlain(out, OP.openWindow, '', ''))
  }

  #ask(node: SimulatedNode, how: How, write: Ask): number {
    const call = ++this.#calls
    ask(node, call, how, write, replies => {
      for (const reply of replies) this.answers.set(reply.id, answerOf(reply))
    })
    return call
  }
}

function answerOf({ status, code }: Reply): string {
  if (code !== undefined) return code
  if (status === STATUS.written) return 'written'
  if (status === STATUS.value) return 'value'
  if (status === STATUS.absent) return 'absent'
  throw new Error(`status ${status}`)
}
