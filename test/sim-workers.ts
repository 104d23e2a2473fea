/**
 * Processes that run the simulator's or the fuzzer's seeds, piece by piece. One runs many pieces: a
 * fresh one needs seconds until its code is compiled.
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

/** `file`, the simulator or the fuzzer, run by `workers` processes with `flags` until `next` says
 *  undefined. Rejects if one of them dies, or was killed because a piece took `pieceMsMax`. */
export async function runPieces<R = PieceResult>(
  file: string,
  flags: readonly string[],
  workers: number,
  next: () => Piece | undefined,
  onResult: (result: R) => void,
  pieceMsMax?: number,
): Promise<void> {
  const work = async () => {
    const child = fork(file, flags, { execArgv: NODE_FLAGS })
    try {
      for (let piece = next(); piece !== undefined; piece = next())
        onResult(await runPiece<R>(child, piece, pieceMsMax))
    } finally {
      child.kill()
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
}

async function runPiece<R>(child: ChildProcess, piece: Piece, msMax?: number): Promise<R> {
  const over = new AbortController()
  // One that hangs hears nothing but this.
  const watchdog = msMax === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), msMax)
  const { signal } = over
  try {
    const died = once(child, 'exit', { signal }).then(([code, by]) => {
      throw new Error(`seeds from ${piece.first}: exit ${code ?? by}`)
    })
    const answered = once(child, 'message', { signal })
    child.send(piece)
    const [result] = await Promise.race([answered, died])
    return result as R
  } finally {
    clearTimeout(watchdog)
    over.abort()
  }
}

/** The worker's side: answers each piece with what `run` returns. */
export function servePieces<R>(run: (piece: Piece) => R | Promise<R>): void {
  process.on('message', async piece => process.send?.(await run(piece as Piece)))
}
