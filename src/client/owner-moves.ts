/** Which groups are served by another node than before, as one change for each pair of nodes. */
import type { GroupId, PeerId } from '../contracts/types.js'

export interface Moves {
  readonly from: PeerId
  readonly to: PeerId
  /** Between the loss of the former route and this one, ms. */
  readonly pausedMs: number
  /** Which groups went. */
  readonly groups?: readonly GroupId[]
}

interface Place {
  node: PeerId
  /** Since when it serves no more; undefined: it does. */
  lostAt: number | undefined
}

export class OwnerMoves {
  readonly #places = new Map<GroupId, Place>()

  /** Who serves each group at `now`, undefined for nobody that can be reached. Group 0 is told of
   *  elsewhere. */
  note(serving: readonly (PeerId | undefined)[], now: number): Moves[] {
    const moves = new Map<string, Moves & { groups: GroupId[] }>()
    for (let group = 1; group < serving.length; group++) {
      const to = serving[group]
      const place = this.#places.get(group)
      if (place === undefined) {
        if (to !== undefined) this.#places.set(group, { node: to, lostAt: undefined })
        continue
      }
      if (to === undefined) {
        place.lostAt ??= now
        continue
      }
      const { node: from } = place
      const pausedMs = now - (place.lostAt ?? now)
      this.#places.set(group, { node: to, lostAt: undefined })
      if (to === from) continue
      const pair = JSON.stringify([from, to])
      const before = moves.get(pair)
      const groups = [...(before?.groups ?? []), group]
      moves.set(pair, { from, to, groups, pausedMs: Math.max(pausedMs, before?.pausedMs ?? 0) })
    }
    return [...moves.values()]
  }
}
