/**
 * What was refused, by its code; undefined if nothing was. What is thrown and is no GcacheError
 * goes on to the test, which then ends with the stack of what was really wrong.
 */
import { type ErrorCode, GcacheError } from '../../src/errors.js'

/** The code of what was caught. */
export function codeIn(error: unknown): ErrorCode {
  if (error instanceof GcacheError) return error.code
  throw error ?? new Error('nothing was thrown, or no cause was given')
}

/** The code with which `run` is refused before it returns. */
export function codeOf(run: () => unknown): ErrorCode | undefined {
  try {
    run()
  } catch (error) {
    return codeIn(error)
  }
  return undefined
}

/** The code with which `act` is rejected. */
export function rejectionOf(act: Promise<unknown>): Promise<ErrorCode | undefined> {
  return act.then(() => undefined, codeIn)
}
