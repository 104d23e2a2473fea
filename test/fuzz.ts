/**
 * `npm run fuzz -- --runs N [--seed S] [--target NAME] [--workers 2] [--leave]` gives N mutated
 * inputs to everything that takes bytes of strangers: decoders, handshakes, engines, clients. What
 * it finds is printed with its input and the command that repeats it; `--leave` also writes the
 * input to test/fuzz/found, from where every later run begins. Closes with one line of JSON; exits
 * 1 if anything but `runs`, `accepted` and `refused` was counted.
 */
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { TARGETS } from './fuzz/all.js'
import { leaveFound } from './fuzz/corpus.js'
import { add, BLOCK_RUNS, emptyTally, isClean, runBlock, type Tally } from './fuzz/run.js'
import type { Target } from './fuzz/target.js'
import { type Piece, runPieces, servePieces } from './sim-workers.js'

/** Blocks of a piece, which one process runs before it answers. */
const PIECE_BLOCKS = 20
/** A process that has not ended its piece by then hangs: it is killed, which counts as a crash. */
const PIECE_MS_MAX = 120_000
/** Of so many blocks one is run twice: the same seed must give the same. */
const TWICE_EVERY = 25

export interface FuzzResult {
  readonly tally: Tally
  /** What to print for each finding. */
  readonly broken: readonly string[]
}

interface FuzzOptions {
  readonly runs: number
  readonly firstSeed: number
  readonly targets: readonly Target[]
  readonly leave: boolean
}

/** Runs the blocks whose seeds are `piece`. */
export async function fuzzPiece(options: FuzzOptions, piece: Piece): Promise<FuzzResult> {
  const { runs, firstSeed, targets, leave } = options
  const tally = emptyTally()
  const broken: string[] = []
  for (let seed = piece.first; seed < piece.first + piece.seeds; seed++) {
    const blockRuns = Math.min(BLOCK_RUNS, runs - (seed - firstSeed) * BLOCK_RUNS)
    const block = runBlock(targets, seed, blockRuns)
    add(tally, block.tally)
    const only = targets.length === 1 ? ` --target ${targets[0].name}` : ''
    const replay = `npm run fuzz -- --runs ${blockRuns} --seed ${seed}${only}`
    for (const { target, what, input } of block.findings) {
      const file = leave && input !== undefined ? `\n  left    ${leaveFound(target, input)}` : ''
      const hex = input === undefined ? 'none alone' : input.toString('hex')
      broken.push(`${target}: ${what}\n  input   ${hex}${file}\n  replay  ${replay}`)
    }
    if (seed % TWICE_EVERY === 0 && runBlock(targets, seed, blockRuns).hash !== block.hash) {
      tally.violations++
      broken.push(`the same seed gave another run\n  replay  ${replay}`)
    }
    // Promises that an input has settled are heard here; one that nobody hears ends the process.
    await new Promise(resolve => setImmediate(resolve))
  }
  return { tally, broken }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '20000' },
      seed: { type: 'string', default: '1' },
      target: { type: 'string' },
      workers: { type: 'string' },
      leave: { type: 'boolean', default: false },
    },
  })
  const runs = Number(values.runs)
  const firstSeed = Number(values.seed)
  const targets = TARGETS.filter(({ name }) => name === (values.target ?? name))
  if (targets.length === 0)
    throw new RangeError(`unknown target: ${TARGETS.map(({ name }) => name).join(', ')}`)
  const options = { runs, firstSeed, targets, leave: values.leave }
  // Nobody reads where in the code a refusal was made, and most inputs are refused.
  Error.stackTraceLimit = 0
  if (process.send !== undefined) return servePieces(piece => fuzzPiece(options, piece))
  const startedAt = performance.now()
  const blocks = Math.ceil(runs / BLOCK_RUNS)
  const wanted = Number(values.workers ?? Math.min(availableParallelism(), 8))
  const workers = Math.max(1, Math.min(wanted, Math.ceil(blocks / PIECE_BLOCKS)))
  const total = emptyTally()
  const onResult = ({ tally, broken }: FuzzResult) => {
    add(total, tally)
    for (const text of broken) console.log(text)
  }
  const next = pieces(firstSeed, blocks)
  const file = fileURLToPath(import.meta.url)
  try {
    await runPieces<FuzzResult>(file, process.argv.slice(2), workers, next, onResult, PIECE_MS_MAX)
  } catch (error) {
    total.crashes++
    console.log(`${(error as Error).message}: repeat it with --seed, --runs and --workers 1`)
  }
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10
  console.log(JSON.stringify({ ...total, seconds, runsPerSec: Math.round(total.runs / seconds) }))
  process.exitCode = isClean(total) ? 0 : 1
}

function pieces(first: number, blocks: number): () => Piece | undefined {
  let next = first
  const end = first + blocks
  return () => {
    if (next >= end) return undefined
    const piece = { first: next, seeds: Math.min(PIECE_BLOCKS, end - next) }
    next += piece.seeds
    return piece
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
