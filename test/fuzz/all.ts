/** All that is fuzzed. */
import { PHASE_TARGET } from '../transport-phases.js'
import { BROKER_TARGET } from './broker.js'
import { CLIENT_TARGET } from './clients.js'
import { DECODERS } from './decoders.js'
import { ENGINE_TARGET } from './engines.js'
import { PROOF_TARGET } from './proofs.js'
import { STAMPED_TARGETS } from './stamped.js'
import type { Target } from './target.js'
import { NOTE_TARGET } from './witnesses.js'

export const TARGETS: readonly Target[] = [
  ...DECODERS,
  PHASE_TARGET,
  BROKER_TARGET,
  ENGINE_TARGET,
  CLIENT_TARGET,
  PROOF_TARGET,
  NOTE_TARGET,
  ...STAMPED_TARGETS,
]
