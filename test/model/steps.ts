/**
 * Every life of a node that was met, once, by a number; and what a step of it comes to, worked out
 * once. An execution of the cluster is then a walk over numbers, however many ways lead through
 * the same steps of one node.
 */
import { createHash } from 'node:crypto'
import type { Input, Proposal } from '../../src/contracts/strategy.js'
import { Writer } from '../../src/wire/bytes.js'
import { OP, writePlain } from '../../src/wire/command.js'
import type { Message } from '../../strategies/master-slave/messages.js'
import { Laws } from './laws.js'
import type { Life, Outcome } from './life.js'
import { nameOfMessage } from './names.js'
import { DOWN, FIRST_MESSAGE, UP } from './queues.js'
import { CALM_TICK_MS, IDS, NODES, type Subject, TICK_MS } from './scope.js'

/** Inputs by number: these, then items from each node. */
export const TICK = 0
export const CRASH = 1
/** As often as in production: only for the way to where a search begins. */
export const CALM_TICK = 2
/** And the writes 1, 2 ... */
export const WRITE = 3
const DELIVER = 16
const INPUTS = 2 ** 24

export interface Step {
  readonly life: number
  /** To, message, to, message ... */
  readonly sent: readonly number[]
  /** For the laws; 0: it showed nothing. */
  readonly event: number
}

export function delivery(from: number, item: number): number {
  return DELIVER + item * NODES + from
}

export class Steps {
  readonly lives: Life[] = []
  readonly messages: Message[] = []
  readonly laws: Laws
  readonly #lives = new Map<string, number>()
  readonly #messages = new Map<string, number>()
  readonly #steps = new Map<number, Step>()

  constructor(subject: Subject) {
    this.laws = new Laws(subject)
  }

  /** What `input` does to `life`. */
  of(life: number, input: number): Step {
    const key = life * INPUTS + input
    let step = this.#steps.get(key)
    if (step === undefined) {
      step = this.note(this.#work(this.lives[life], input))
      this.#steps.set(key, step)
    }
    return step
  }

  note({ life, sent, shown }: Outcome): Step {
    const items: number[] = []
    for (const { to, message } of sent) items.push(to, this.#numberOf(message))
    return { life: this.#keep(life), sent: items, event: this.laws.event(life, shown) }
  }

  messageOf(item: number): Message {
    return this.messages[item - FIRST_MESSAGE]
  }

  #work(life: Life, input: number): Outcome {
    if (input === TICK) return life.tick(TICK_MS)
    if (input === CALM_TICK) return life.tick(CALM_TICK_MS)
    if (input === CRASH) return life.next()
    if (input < DELIVER) return life.step(write(life, input - WRITE))
    const from = (input - DELIVER) % NODES
    const item = (input - DELIVER - from) / NODES
    const peer = IDS[from]
    // One number for every session: an older one's messages are gone when the next is up.
    const session = 1
    if (item === DOWN) return life.step({ kind: 'link-down', peer, session, loss: 'closed' })
    if (item === UP) return life.step({ kind: 'link-up', peer, session })
    return life.step({ kind: 'message', peer, session, message: this.messageOf(item) })
  }

  #keep(life: Life): number {
    // 128 bits in place of two thousand characters: a million lives must fit.
    const digest = createHash('md5').update(life.name).digest('base64')
    let number = this.#lives.get(digest)
    if (number === undefined) {
      number = this.lives.length
      this.lives.push(life)
      this.#lives.set(digest, number)
    }
    return number
  }

  #numberOf(message: Message): number {
    const name = nameOfMessage(message)
    let number = this.#messages.get(name)
    if (number === undefined) {
      number = FIRST_MESSAGE + this.messages.length
      this.messages.push(message)
      this.#messages.set(name, number)
    }
    return number
  }
}

/** 16 bytes, as every window's. */
const CLIENT = { id: 'the model writes', lowest: 1 }

function write(life: Life, number: number): Input<Message> {
  const out = new Writer(32)
  writePlain(out, OP.noop, '', '')
  const bytes = out.copy()
  const { ack } = life.subject
  const placed = { bytes, start: 0, end: bytes.length }
  const proposal: Proposal = { id: number, ack, client: CLIENT, seq: number, ...placed }
  return { kind: 'propose', proposals: [proposal] }
}
