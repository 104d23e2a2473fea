/** A broken law: what every checker throws, and what ends a run. */

export class Violation extends Error {
  override readonly name = 'Violation'

  /** `law`: I1 ... I21 or S1 ... S10. `atMs`: virtual time. */
  constructor(
    readonly law: string,
    readonly fact: string,
    readonly atMs: number,
  ) {
    super(`${law} broken at ${Math.round(atMs)} ms: ${fact}`)
  }
}
