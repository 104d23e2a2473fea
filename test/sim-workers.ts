/**
 * Processes that run the simulator's seeds, piece by piece. One runs many pieces: a fresh one needs
 * seconds until its code is compiled.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Tally } from './sim.js'

export interface Piece {
  readonly first: number
  readonly seeds: number
}

export interface PieceResult {
  readonly tally: Tally
  /** What to print for each broken law. */
  readonly broken: readonly string[]
}

/** A new space of 32 MiB: most of what a seed makes is gone at its next collection. */
export const NODE_FLAGS = ['--max-semi-space-size=32']

/** `file`, the simulator, run by `workers` processes with `flags` until `next` says undefined.
 *  Rejects if one of them dies. */
export async function runPieces(
  file: string,
  flags: readonly string[],
  workers: number,
  next: () => Piece | undefined,
  onResult: (result: PieceResult) => void,
): Promise<void> {
  const work = async () => {
    const child = fork(file, flags, { execArgv: NODE_FLAGS })
    try {
      for (let piece = next(); piece !== undefined; piece = next())
        onResult(await runPiece(child, piece))
    } finally {
      child.kill()
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
}

async function runPiece(child: ChildProcess, piece: Piece): Promise<PieceResult> {
  const over = new AbortController()
  const { signal } = over
  try {
    const died = once(child, 'exit', { signal }).then(([code, by]) => {
      throw new Error(`seeds from ${piece.first}: exit ${code ?? by}`)
    })
    const answered = once(child, 'message', { signal })
    child.send(piece)
    const [result] = await Promise.race([answered, died])
    return result as PieceResult
  } finally {
    over.abort()
  }
}

/** The worker's side: answers each piece with what `run` returns. */
export function servePieces(run: (piece: Piece) => PieceResult): void {
  process.on('message', piece => process.send?.(run(piece as Piece)))
}
