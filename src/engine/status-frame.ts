/** What a node says of itself to whoever asks for its status. */
import type { StrategyStatus } from '../contracts/strategy.js'
import { encodeControl } from '../wire/control.js'
import type { EngineOptions } from './engine-options.js'

/** Besides the strategy's: links with clients, refusals by role or grant, own monotonic ms. */
export interface OwnStatus extends StrategyStatus {
  readonly clients: number
  readonly forbidden: number
  readonly startedAt: number
  /** What lies in the stores of all groups, and, where there are several, entries in those that
   *  this node leads. */
  readonly stores: {
    readonly entries: number
    readonly bytes: number
    readonly windows: number
    readonly served: number | undefined
  }
}

/** Answers the ask `id`; what is no part of the strategy's status stands under `extra`. */
export function statusFrame<M>(
  id: number,
  { cluster, facts, clock, transport }: EngineOptions<M>,
  { clients, forbidden, startedAt, stores, ...strategy }: OwnStatus,
): Uint8Array {
  const upMs = Math.floor(clock.now() - startedAt)
  const refused = { forbidden, ...transport.counts?.() }
  const extra = { ...facts?.(), ...stores, clients, ...refused, upMs }
  const status = { cluster, ...strategy, extra } as unknown as Record<string, unknown>
  return encodeControl({ type: 'status-reply', id, status })
}
