/** For whoever gives no logger. */
import type { Logger } from '../contracts/environment.js'

export const SILENCE: Logger = { debug() {}, info() {}, warn() {}, error() {} }
