/**
 * What a search goes over: which profile on three nodes, how many writes, crashes, splits and ticks
 * an execution may have, and how many messages may be in flight. Every bound is part of the state.
 */
import type { Ack } from '../../src/contracts/types.js'
import type { Profile } from '../../strategies/master-slave/options.js'

/** Node 0, 1 and 2; ordinals likewise. Node 0 leads where the search begins. */
export const NODES = 3
export const IDS = ['a', 'b', 'c']

export interface Subject {
  readonly name: string
  readonly profile: Profile
  /** Node 2 is a witness. */
  readonly witness: boolean
  readonly ack: Ack
  /** W, of the profile. */
  readonly copies: number
  /** P, of the profile. */
  readonly promises: number
  /** Replaces R: only for the proof that a smaller one loses. */
  readonly readmits?: number
  /** Actions that are taken before the search begins: it is for depths that are out of reach. */
  readonly opening?: readonly number[]
}

export const KINDS = ['deliver', 'lose', 'tick', 'write', 'crash', 'isolate', 'mend'] as const
export type Kind = (typeof KINDS)[number]

/** An action by number: what happens at node `to`. */
export function actionOf(kind: Kind, to = 0, from = 0): number {
  return (KINDS.indexOf(kind) * NODES + to) * NODES + from
}

/** Node 1 stands as candidate; the promise of node 2, which may forget it, is on its way. */
const PROMISED = [
  actionOf('tick', 2),
  actionOf('tick', 1),
  actionOf('deliver', 2, 1),
  actionOf('deliver', 1, 2),
  actionOf('deliver', 1, 2),
  actionOf('deliver', 2, 1),
  actionOf('deliver', 2, 1),
]

const MAJORITY = { profile: 'majority', ack: 'majority', copies: 2, promises: 2 } as const

export const SUBJECTS: Record<string, Subject> = {
  ordinal: {
    name: 'ordinal',
    profile: 'ordinal',
    witness: false,
    ack: 'master',
    copies: 1,
    promises: 1,
  },
  strict: {
    name: 'strict',
    profile: 'strict',
    witness: false,
    ack: 'all',
    copies: 3,
    promises: 1,
  },
  majority: { name: 'majority', ...MAJORITY, witness: false },
  witness: { name: 'witness', ...MAJORITY, witness: true },
  promised: { name: 'promised', ...MAJORITY, witness: false, opening: PROMISED },
  'promised-r1': {
    name: 'promised-r1',
    ...MAJORITY,
    witness: false,
    readmits: 1,
    opening: PROMISED,
  },
}

/** True where nothing acknowledged may be lost. */
export function isSafe({ copies, promises, readmits }: Subject): boolean {
  return copies + promises > NODES && readmits === undefined
}

export interface Bounds {
  readonly writes: number
  readonly crashes: number
  /** Times that one node is cut off from both others; it is mended later, or never. */
  readonly splits: number
  /** Coarse steps of TICK_MS, all nodes together: each node has a clock of its own. */
  readonly ticks: number
  /** Messages in flight; a step that would make more is not taken. */
  readonly messages: number
  /** Where the search stops though it is not done. */
  readonly statesMax: number
  readonly msMax: number
}

/**
 * One step of a clock. Longer than the silence that is suspicious, than every back-off and every
 * repeat; shorter than what a node takes for having been stopped itself (TIMES.stoppedMs).
 */
export const TICK_MS = 700
export const CALM_TICK_MS = 100
const NEVER_MS = 2 ** 31 - 1

export const TIMES_OF_MODEL = {
  suspectAfterMs: 500,
  heardWithinMs: 300,
  promiseWaitMs: 600,
  // A write that times out is unknown to its caller and stays in the log: nothing to search.
  ackTimeoutMs: NEVER_MS,
  bootstrapWaitMs: NEVER_MS,
}

export interface Plan extends Omit<Bounds, 'statesMax' | 'msMax'> {
  readonly profile: string
  /** 'small' is searched whole, 'full' is what one would like to. */
  readonly plan: 'small' | 'full' | 'opening'
}

const SMALL = { plan: 'small', writes: 1, crashes: 1, splits: 0, ticks: 2, messages: 8 } as const
const FULL = { plan: 'full', writes: 2, crashes: 2, splits: 1, ticks: 6, messages: 12 } as const
const OPENING = {
  plan: 'opening',
  writes: 1,
  crashes: 1,
  splits: 0,
  ticks: 3,
  messages: 6,
} as const

export const PLANS: readonly Plan[] = [
  { profile: 'ordinal', ...FULL },
  { profile: 'strict', ...SMALL },
  { profile: 'strict', ...FULL },
  { profile: 'majority', ...SMALL },
  { profile: 'majority', ...FULL },
  { profile: 'witness', ...SMALL },
  { profile: 'witness', ...FULL },
  { profile: 'promised', ...OPENING },
  { profile: 'promised-r1', ...OPENING },
]
