/** All that is fuzzed. */
import { DECODERS } from './decoders.js'
import type { Target } from './target.js'

export const TARGETS: readonly Target[] = [...DECODERS]
