/** What of a node depends on whether its members are configured or have to be found. */
import { announcementSigner } from './auth.js'
import { FORMATION } from './config.js'
import type { Clock, Logger, Random } from './contracts/environment.js'
import type { StrategyFactory } from './contracts/strategy.js'
import type { TransportFactory } from './contracts/transport.js'
import type { Engine } from './engine/engine.js'
import { GcacheError } from './errors.js'
import { Formation } from './formation.js'
import { lateStrategy } from './late-strategy.js'
import type { FullNodeOptions } from './options.js'
import { schemeOf } from './registry.js'
import { judgedFactory } from './strategy-made.js'

export interface FormationParts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Whose links prove who they are. */
  readonly transport: TransportFactory
  /** 16 hex digits. */
  readonly process: string
  readonly engine: Engine
  /** '' until the node listens. */
  listensAt(): string
  fail(error: GcacheError): void
}

/** Undefined where the members are configured. Throws what the discovery throws for its options. */
export function formationOf(
  options: FullNodeOptions,
  parts: FormationParts,
): Formation | undefined {
  const { discovery, self, cluster, auth, insecure } = options
  if (discovery === undefined) return undefined
  const { clock, random, logger, transport, process, engine, listensAt, fail } = parts
  const { id, ordinal, address } = self
  return new Formation({
    ...{ clock, random, logger, cluster, transport, insecure, fail },
    ...{ discovery: discovery.factory, expect: discovery.expect ?? FORMATION.expect },
    scheme: schemeOf(address),
    ...{ sign: announcementSigner(auth, cluster), self: { id, ordinal, process } },
    address: () => advertised(address, listensAt()),
    status: () => engine.status(),
    meet: members => engine.meet(members),
    sight: (peer, at) => engine.sight(peer, at),
  })
}

/** Where the members have to be found, one that waits for them. CONFIG, when it is made, for what
 *  is no strategy. */
export function startingStrategy(
  options: FullNodeOptions,
  strategy: StrategyFactory,
  listensAt: () => string,
): StrategyFactory {
  const { discovery, self } = options
  const checked = judgedFactory(options, strategy)
  if (discovery === undefined) return checked
  if (strategy.records !== undefined)
    throw new GcacheError(
      'CONFIG',
      'option discovery does not go with strategy broadcast in this version: name all members',
    )
  const address = () => advertised(self.address, listensAt())
  return lateStrategy(checked, { expect: discovery.expect, self, address })
}

/** Port 0 asked for a free one. */
function advertised(address: string, listensAt: string): string {
  return /:0$/.test(address) && listensAt !== '' ? listensAt : address
}
