/**
 * What must hold. I1: an epoch has one master. I2 and I5: two logs that hold an entry of the same
 * epoch and offset are equal up to it, and what is applied is equal. I4: whoever leads holds all
 * that was acknowledged in a lower epoch, whichever came first; so a late ack of a deposed master
 * (I9) is allowed only for what the higher master holds. I3 and I17 are judged where they happen.
 */
import type { Epoch } from '../../src/contracts/types.js'
import { compareEpochs } from '../../src/core/epochs.js'
import { GroupState } from '../../strategies/master-slave/state.js'
import type { Life, Shown } from './life.js'
import { nameOfEpoch } from './names.js'
import type { Subject } from './scope.js'

interface Event {
  readonly node: number
  readonly shown: Shown
}

interface Led {
  readonly epoch: Epoch
  readonly served: boolean
  readonly node: number
  readonly log: readonly number[]
}

interface Acked {
  readonly epoch: Epoch
  readonly offset: number
  readonly crc: number
}

/** All that the laws remember of an execution. */
interface Past {
  readonly acked: readonly Acked[]
  readonly led: readonly Led[]
}

export interface Verdict {
  readonly past: number
  readonly broken: string | undefined
}

/** Of a step that shows nothing. */
export const NOTHING: Shown = { acked: [], leads: [], broken: undefined, dies: false }

const PLACES = 2 ** 24

export class Laws {
  readonly #subject: Subject
  readonly #events: Event[] = [{ node: 0, shown: { ...NOTHING } }]
  readonly #eventNumbers = new Map<string, number>()
  readonly #pasts: Past[] = [{ acked: [], led: [] }]
  readonly #pastNumbers = new Map<string, number>([[JSON.stringify([[], []]), 0]])
  readonly #verdicts = new Map<number, Verdict>()
  readonly #pairs = new Map<number, string | undefined>()

  constructor(subject: Subject) {
    this.#subject = subject
  }

  event({ node }: Life, shown: Shown): number {
    const { acked, broken, dies } = shown
    // With P = 1 a node may lead alone and acknowledge nothing: only one that serves is judged.
    const leads = shown.leads.filter(({ serving }) => serving || this.#subject.promises > 1)
    const quiet = acked.length === 0 && leads.length === 0 && !dies
    if (quiet && broken === undefined) return 0
    const event = { node, shown: { acked, leads, broken, dies } }
    const name = JSON.stringify(event)
    let number = this.#eventNumbers.get(name)
    if (number === undefined) {
      number = this.#events.length
      this.#events.push(event)
      this.#eventNumbers.set(name, number)
    }
    return number
  }

  /** What `past` becomes by `event`, and the law that it breaks. */
  add(past: number, event: number): Verdict {
    const key = past * PLACES + event
    let verdict = this.#verdicts.get(key)
    if (verdict === undefined) {
      verdict = this.#judge(this.#pasts[past], this.#events[event])
      this.#verdicts.set(key, verdict)
    }
    return verdict
  }

  #judge(past: Past, { node, shown }: Event): Verdict {
    const acked = [...past.acked]
    // Who led, never served and died with its memory leads nobody: its epoch is its process's own.
    const led = past.led.filter(one => !shown.dies || one.node !== node || one.served)
    let { broken } = shown
    for (const { epoch, serving, log } of shown.leads) {
      const at = led.findIndex(one => compareEpochs(one.epoch, epoch) === 0)
      const known = led[at]
      if (known === undefined) led.push({ epoch, node, log, served: serving })
      else if (known.node !== node) broken = `I1: two masters of ${nameOfEpoch(epoch)}`
      else if (serving) led[at] = { ...known, served: true }
    }
    for (const one of shown.acked) {
      if (acked.some(other => compareEpochs(other.epoch, one.epoch) > 0))
        if (lacks(led, one)) broken ??= `I9: ${tell(one)} after a higher epoch did`
      acked.push(one)
    }
    for (const one of acked) {
      const master = lacks(led, one)
      if (master !== undefined) broken ??= `I4: ${tellLed(master)} without ${tell(one)}`
    }
    return { past: this.#keep({ acked, led }), broken }
  }

  #keep(past: Past): number {
    const acked = past.acked.map(one => JSON.stringify(one)).sort()
    const led = past.led.map(one => JSON.stringify(one)).sort()
    const name = JSON.stringify([acked, led])
    let number = this.#pastNumbers.get(name)
    if (number === undefined) {
      number = this.#pasts.length
      this.#pasts.push(past)
      this.#pastNumbers.set(name, number)
    }
    return number
  }

  /** I2 and I5 between two nodes; `x` and `y` are their numbers. */
  judgePair(x: number, one: Life, y: number, other: Life): string | undefined {
    const key = x < y ? x * PLACES + y : y * PLACES + x
    if (this.#pairs.has(key)) return this.#pairs.get(key)
    const broken = judgeLogs(one, other)
    this.#pairs.set(key, broken)
    return broken
  }
}

function lacks(led: readonly Led[], { epoch, offset, crc }: Acked): Led | undefined {
  return led.find(one => compareEpochs(one.epoch, epoch) > 0 && one.log[offset - 1] !== crc)
}

function tellLed({ epoch, node, served }: Led): string {
  return `node ${node} leads ${nameOfEpoch(epoch)}${served ? '' : ' (and serves not yet)'}`
}

function tell({ epoch, offset }: Acked): string {
  return `entry ${offset}, acknowledged in ${nameOfEpoch(epoch)}`
}

function judgeLogs(one: Life, other: Life): string | undefined {
  if (!(one.state instanceof GroupState) || !(other.state instanceof GroupState)) return undefined
  const first = Math.max(one.log.first, other.log.first)
  const next = Math.min(one.log.next, other.log.next)
  for (let at = first; at < next; at++) {
    const [mine, theirs] = [one.log.batchAt(at), other.log.batchAt(at)]
    if (mine === undefined || theirs === undefined) continue
    if (compareEpochs(mine.epoch, theirs.epoch) === 0 && mine.crc !== theirs.crc)
      return `I2: entry ${at} of ${nameOfEpoch(mine.epoch)} on nodes ${one.node}, ${other.node}`
  }
  if (!one.state.commitsLate) return undefined
  const applied = Math.min(one.log.applied, other.log.applied)
  for (let at = 1; at < applied; at++) {
    const [mine, theirs] = [one.applied[at - 1], other.applied[at - 1]]
    if (mine !== undefined && theirs !== undefined && mine !== theirs)
      return `I5: nodes ${one.node} and ${other.node} applied two entries ${at}`
  }
  return undefined
}
