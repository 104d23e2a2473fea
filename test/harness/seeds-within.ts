/** The simulator over as many seeds as fit into a time, in two processes. */
import { fileURLToPath } from 'node:url'
import { add, emptyTally } from '../sim.js'
import { type PieceResult, runPieces } from '../sim-workers.js'

const SIM = fileURLToPath(new URL('../../dist/test/sim.js', import.meta.url))

export interface SeedsBudget {
  readonly seedsMax: number
  /** No piece begins later. */
  readonly budgetMs: number
  /** Seeds that a process is given at once. */
  readonly piece: number
}

/** From seed 1 on, with the `flags` of `npm run sim`. */
export async function seedsWithin(
  { seedsMax, budgetMs, piece }: SeedsBudget,
  flags: readonly string[],
): Promise<PieceResult> {
  const startedAt = performance.now()
  const total = { tally: emptyTally(), broken: [] as string[] }
  let next = 1
  const nextPiece = () => {
    if (next > seedsMax || performance.now() - startedAt > budgetMs) return undefined
    const first = next
    next += piece
    return { first, seeds: piece }
  }
  await runPieces(SIM, flags, 2, nextPiece, ({ tally, broken }) => {
    add(total.tally, tally)
    total.broken.push(...broken)
  })
  return total
}
