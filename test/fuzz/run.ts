/**
 * Runs in blocks: one seed, one target, a few hundred mutants. A block is repeated bit for bit by
 * its seed alone, so whatever it finds is a command line. Counts apart: what is thrown and is no
 * refusal, what takes too long, and every other broken promise.
 */
import { type SeededRandom, seededRandom } from '../../src/core/prng.js'
import { ERROR_CODES, GcacheError } from '../../src/errors.js'
import { checksum } from '../../src/wire/checksum.js'
import { mutator } from './mutate.js'
import { BrokenPromise, type Target, type Trial } from './target.js'

export const BLOCK_RUNS = 250
/** No input may take longer: everything else on the loop waits for it. */
export const INPUT_MS_MAX = 20
/** An input is slow if it is in each of so many runs: others use this machine, too. */
const SLOW_TIMES = 3

export interface Tally {
  runs: number
  accepted: number
  refused: number
  crashes: number
  uncaughtExceptions: number
  overTimeout: number
  violations: number
}

export function emptyTally(): Tally {
  return {
    ...{ runs: 0, accepted: 0, refused: 0 },
    ...{ crashes: 0, uncaughtExceptions: 0, overTimeout: 0, violations: 0 },
  }
}

export function add(tally: Tally, other: Tally): void {
  for (const name of Object.keys(tally) as (keyof Tally)[]) tally[name] += other[name]
}

export function isClean(tally: Tally): boolean {
  const { crashes, uncaughtExceptions, overTimeout, violations } = tally
  return crashes + uncaughtExceptions + overTimeout + violations === 0
}

export interface Finding {
  readonly target: string
  readonly seed: number
  readonly what: string
  /** Undefined if no single input did it. */
  readonly input: Buffer | undefined
}

export interface BlockResult {
  readonly tally: Tally
  readonly findings: readonly Finding[]
  /** Of all inputs and what became of them: the same seed gives the same. */
  readonly hash: number
}

/** Runs block `seed`; slow inputs are tried again before they count. */
export function runBlock(targets: readonly Target[], seed: number, runs: number): BlockResult {
  const block = new Block(targets, seed)
  block.run(runs)
  let slow = block.slow
  for (let i = 1; i < SLOW_TIMES && slow.size > 0; i++) {
    const repeat = new Block(targets, seed)
    repeat.run(runs)
    slow = new Map([...slow].filter(([at]) => repeat.slow.has(at)))
  }
  for (const input of slow.values()) {
    block.tally.overTimeout++
    block.find(`took more than ${INPUT_MS_MAX} ms`, input)
  }
  return { tally: block.tally, findings: block.findings, hash: block.hash }
}

class Block {
  readonly tally = emptyTally()
  readonly findings: Finding[] = []
  /** Inputs that took too long, by their place in the block. */
  readonly slow = new Map<number, Buffer>()
  hash = 0
  readonly #seed: number
  readonly #target: Target
  readonly #trial: Trial
  readonly #next: () => Buffer

  constructor(targets: readonly Target[], seed: number) {
    const random = seededRandom(seed)
    this.#seed = seed
    this.#target = draw(targets, random)
    this.#trial = this.#target.open(random.fork())
    const mutate = mutator(random.fork())
    this.#next = () => mutate(this.#trial.seeds)
  }

  run(runs: number): void {
    const known = builtIns()
    const outcomes: [Buffer, string][] = []
    for (let i = 0; i < runs && this.findings.length === 0; i++) {
      const input = this.#next()
      // The trial may write to it.
      const kept = Buffer.from(input)
      const cpu = process.cpuUsage()
      const startedAt = performance.now()
      const outcome = this.#take(input, kept)
      const slow = performance.now() - startedAt > INPUT_MS_MAX
      if (slow && cpuMs(cpu) > INPUT_MS_MAX) this.slow.set(i, kept)
      if (this.findings.length === 0) this.#try(() => this.#trial.after?.(), kept)
      this.hash = checksum(Buffer.from(outcome), checksum(kept, this.hash))
      this.tally.runs++
      if (this.#target.pure) outcomes.push([kept, outcome])
    }
    if (this.findings.length === 0) this.#again(outcomes)
    if (this.findings.length === 0) this.#try(() => this.#trial.close?.(), undefined)
    if (builtIns() !== known)
      this.#violation('something was added to a built-in prototype', undefined)
  }

  find(what: string, input: Buffer | undefined): void {
    this.findings.push({ target: this.#target.name, seed: this.#seed, what, input })
  }

  #violation(what: string, input: Buffer | undefined): void {
    this.tally.violations++
    this.find(what, input)
  }

  #take(input: Buffer, kept: Buffer): string {
    try {
      const outcome = this.#trial.take(input)
      this.tally.accepted++
      return outcome
    } catch (error) {
      this.tally.refused++
      if (isRefusal(error)) return `${error.code} ${error.message}`
      this.#thrown(error, kept)
      return String(error)
    }
  }

  #thrown(error: unknown, input: Buffer | undefined): void {
    if (error instanceof BrokenPromise) return this.#violation(error.message, input)
    this.tally.uncaughtExceptions++
    this.find(error instanceof Error ? (error.stack ?? String(error)) : String(error), input)
  }

  /** In the other order: what came before may not matter. */
  #again(outcomes: [Buffer, string][]): void {
    for (const [input, outcome] of outcomes.reverse()) {
      let now: string
      try {
        now = this.#trial.take(Buffer.from(input))
      } catch (error) {
        now = isRefusal(error) ? `${error.code} ${error.message}` : String(error)
      }
      if (now !== outcome) return this.#violation(`was "${outcome}", is "${now}" now`, input)
    }
  }

  #try(task: () => void, input: Buffer | undefined): void {
    try {
      task()
    } catch (error) {
      this.#thrown(error, input)
    }
  }
}

/** A broken invariant is none, whatever it is thrown as. */
function isRefusal(error: unknown): error is GcacheError {
  if (!(error instanceof GcacheError) || error.code === 'INTERNAL') return false
  return Object.hasOwn(ERROR_CODES, error.code)
}

function draw(targets: readonly Target[], random: SeededRandom): Target {
  let drawn = random.next() * targets.reduce((sum, target) => sum + target.weight, 0)
  for (const target of targets) {
    drawn -= target.weight
    if (drawn < 0) return target
  }
  return targets[targets.length - 1]
}

/** Time of this process: on a busy machine the clock goes on while others run. */
function cpuMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since)
  return (user + system) / 1_000
}

const PROTOTYPES = [Object, Array, Function, Map, Uint8Array, Buffer, Error].map(
  each => each.prototype as object,
)

function builtIns(): string {
  return PROTOTYPES.map(each => Reflect.ownKeys(each).length).join()
}
