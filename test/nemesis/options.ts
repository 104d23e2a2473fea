/** The flags of `npm run nemesis`, checked; their meaning stands in test/nemesis.ts. */
import { parseArgs } from 'node:util'
import type { Ack } from '../../src/contracts/types.js'
import { ackCode } from '../../src/wire/requests.js'
import { numberFlag, wholeFlag } from '../flags.js'
import { FAULTS, type FaultKind } from './schedule.js'
import type { Limits } from './world.js'

export interface NemesisOptions {
  readonly minutes: number
  readonly nodes: number
  readonly profile: string | undefined
  readonly ack: Ack | undefined
  readonly seed: number
  readonly faults: readonly FaultKind[]
  /** Exactly these, in this order, instead of a seeded order for the whole time. */
  readonly plan: readonly FaultKind[] | undefined
  readonly limits: Limits
  readonly histories: string | undefined
  readonly json: boolean
}

const LIMITS: Limits = { stopMsMax: 20_000, splitMsMax: 10_000 }

/** Less is over before the first fault. */
const MINUTES_MIN = 0.01

export const DEFAULTS: NemesisOptions = {
  minutes: 1,
  nodes: 3,
  profile: undefined,
  ack: undefined,
  seed: 1,
  faults: FAULTS,
  plan: undefined,
  limits: LIMITS,
  histories: undefined,
  json: false,
}

/** Throws RangeError for a value that makes no sense. */
export function parseOptions(argv: readonly string[]): NemesisOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      minutes: { type: 'string', default: '1' },
      nodes: { type: 'string', default: '3' },
      profile: { type: 'string' },
      ack: { type: 'string' },
      seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1_000_000)) },
      faults: { type: 'string', default: FAULTS.join(',') },
      histories: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const minutes = numberFlag('minutes', values.minutes, MINUTES_MIN, 10_000)
  const nodes = Number(values.nodes)
  // Two nodes cannot tell a dead peer from a cut link; more than five say nothing new.
  if (nodes !== 3 && nodes !== 5) throw new RangeError('--nodes: 3 or 5')
  const seed = wholeFlag('seed', values.seed, 0)
  const { profile, histories, json } = values
  const faults = values.faults.split(',').map(name => faultNamed(name.trim()))
  return { ...DEFAULTS, minutes, nodes, seed, faults, profile, histories, json, ack: ackOf(values) }
}

/** `none` is no acknowledgement, so nothing could be lost. */
function ackOf({ ack }: { ack?: string }): Ack | undefined {
  if (ack === undefined) return undefined
  if (ack === 'none') throw new RangeError('--ack none acknowledges nothing')
  ackCode(ack as Ack)
  return ack as Ack
}

function faultNamed(name: string): FaultKind {
  const kind = FAULTS.find(fault => fault === name)
  if (kind === undefined) throw new RangeError(`unknown fault ${name}: ${FAULTS.join(', ')}`)
  return kind
}

/** The command that runs the same order of faults again. */
export function commandOf(options: NemesisOptions): string {
  const { minutes, nodes, profile, ack, seed, faults } = options
  const flags = [`--minutes ${minutes}`, `--nodes ${nodes}`, `--seed ${seed}`]
  if (profile !== undefined) flags.push(`--profile ${profile}`)
  if (ack !== undefined) flags.push(`--ack ${ack}`)
  if (faults.length < FAULTS.length) flags.push(`--faults ${faults.join(',')}`)
  return `npm run nemesis -- ${flags.join(' ')}`
}
