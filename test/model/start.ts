/**
 * Where every search begins: three nodes in touch, node 0 leads and serves, all vote, one entry is
 * acknowledged and everybody knows it. What leads there is one execution, with no faults.
 */

import { Life } from './life.js'
import { UP } from './queues.js'
import { NODES, type Subject } from './scope.js'
import { CALM_TICK, delivery, type Step, type Steps, WRITE } from './steps.js'

const ROUNDS = 8
/** The write that is made before the search. */
const WRITE_BEFORE = 9

export interface Start {
  readonly lives: number[]
  readonly past: number
}

export function settle(subject: Subject, steps: Steps): Start {
  const world = new Calm(subject, steps)
  for (let round = 0; round < ROUNDS; round++) world.round()
  world.input(0, WRITE + WRITE_BEFORE)
  world.deliverAll()
  world.round()
  const { lives } = world
  if (!steps.lives[lives[0]].serves) throw new Error(`${subject.name}: node 0 does not serve`)
  for (const life of lives.map(number => steps.lives[number]))
    if (life.outstanding.length > 0) throw new Error(`${subject.name}: a write waits`)
  return { lives, past: world.past }
}

class Calm {
  readonly lives: number[] = []
  past = 0
  readonly #links: number[][][] = []

  constructor(
    subject: Subject,
    readonly steps: Steps,
  ) {
    for (let node = 0; node < NODES; node++) {
      this.#links.push(Array.from({ length: NODES }, () => []))
      this.lives.push(steps.note(new Life(subject, node, 0).begin()).life)
    }
    for (let from = 0; from < NODES; from++)
      for (let to = 0; to < NODES; to++) if (from !== to) this.#links[from][to].push(UP)
    this.deliverAll()
  }

  round(): void {
    for (let node = 0; node < NODES; node++) this.input(node, CALM_TICK)
    this.deliverAll()
  }

  input(node: number, input: number): void {
    const step: Step = this.steps.of(this.lives[node], input)
    this.lives[node] = step.life
    if (step.event !== 0) {
      const { past, broken } = this.steps.laws.add(this.past, step.event)
      if (broken !== undefined) throw new Error(broken)
      this.past = past
    }
    for (let i = 0; i < step.sent.length; i += 2)
      this.#links[node][step.sent[i]].push(step.sent[i + 1])
  }

  deliverAll(): void {
    for (let moved = true; moved; ) {
      moved = false
      for (let from = 0; from < NODES; from++)
        for (let to = 0; to < NODES; to++) {
          const item = this.#links[from][to].shift()
          if (item === undefined) continue
          this.input(to, delivery(from, item))
          moved = true
        }
    }
  }
}
