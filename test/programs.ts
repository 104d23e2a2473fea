/** Before any test: the programs that tests run are there, or it is said that they are not. */
import { ensurePrograms } from './harness/programs.js'

export function setup(): void {
  ensurePrograms()
}
