/** What a node says of itself to whoever asks for its status. */
import type { StrategyStatus } from '../contracts/strategy.js'
import { encodeControl } from '../wire/control.js'
import type { EngineOptions } from './engine-options.js'

/** Besides the strategy's: links with clients, refusals by role or grant, own monotonic ms. */
export interface OwnStatus extends StrategyStatus {
  readonly clients: number
  readonly forbidden: number
  readonly startedAt: number
}

/** Answers the ask `id`; what is no part of the strategy's status stands under `extra`. */
export function statusFrame<M>(
  id: number,
  { cluster, store, facts, clock, transport }: EngineOptions<M>,
  { clients, forbidden, startedAt, ...strategy }: OwnStatus,
): Uint8Array {
  const { entries, bytes, windows } = store.stats()
  const upMs = Math.floor(clock.now() - startedAt)
  const refused = { forbidden, ...transport.counts?.() }
  const extra = { ...facts?.(), entries, bytes, windows, clients, ...refused, upMs }
  const status = { cluster, ...strategy, extra } as unknown as Record<string, unknown>
  return encodeControl({ type: 'status-reply', id, status })
}
