/** All that is fuzzed. */
import { PHASE_TARGET } from '../transport-phases.js'
import { BROKER_TARGET } from './broker.js'
import { DECODERS } from './decoders.js'
import { ENGINE_TARGET } from './engines.js'
import type { Target } from './target.js'

export const TARGETS: readonly Target[] = [...DECODERS, PHASE_TARGET, BROKER_TARGET, ENGINE_TARGET]
