/**
 * One group as this node has part in it: an instance of strategy master-slave, its links (a group
 * is linked with a peer while both have a part in it), and what it wants of a lease. The control
 * group is one, too; its leases are nobody's.
 */
import type { ElectionFactory, Heirs } from '../../src/contracts/election.js'
import type { Input, ReplicationStrategy, Standing } from '../../src/contracts/strategy.js'
import type { GroupId, PeerId, Session } from '../../src/contracts/types.js'
import { MasterSlave as Group, type MasterSlave } from '../master-slave/index.js'
import type { Message as GroupMessage } from '../master-slave/messages.js'
import type { Census } from '../master-slave/status.js'
import type { Row } from './table.js'

export type GroupInput = Input<GroupMessage>

/** The settings of a partition name it; the router answers in its place, so nobody calls it. */
export function grants(): ElectionFactory {
  const never = () => {
    throw new TypeError('leases of partitions come from the control group')
  }
  return Object.assign(never, { from: 'the control group', heirs: 'in-sync' as const })
}

/** Words on who is in sync, which a granter may not have heard yet. */
export interface Asking {
  /** Number of the last one under this counter; 0: none. */
  ask: number
  heirs: readonly PeerId[]
  /** Since when fewer are in sync than the table says, ms; 0: they are not. */
  fewerAt: number
}

export class Hosted {
  readonly group: GroupId
  /** Which beginning of it. */
  readonly born: number
  readonly core: ReplicationStrategy<GroupMessage>
  /** Own clock: the last tick that it had. */
  tickedAt = Number.NEGATIVE_INFINITY
  /** The largest delay of this process since then. */
  lateMs = 0
  /** Peers that it is linked with: a number of its own for each life of such a link. */
  readonly sessions = new Map<PeerId, Session>()
  /** Members of its view; undefined: any peer (control). */
  listed: ReadonlySet<PeerId> | undefined
  standing: Standing | undefined
  /** It wants a lease with a counter above it, for these heirs; undefined: none. */
  wants: { readonly above: number; readonly heirs: Heirs | undefined } | undefined
  /** By no counter up to it will it ever act again. */
  released = 0
  readonly asking: Asking = { ask: 0, heirs: [], fewerAt: 0 }
  /** The counter that `asking` is of. */
  counter = 0
  /** What it was told last of its lease: of which row, word and end; undefined: it has none. */
  told: { readonly row: Row; readonly ask: number; readonly untilMs: number } | undefined
  /** Own clock: when it was looked at last for what the table should know. */
  notedAt = Number.NEGATIVE_INFINITY
  /** Something is under way that nobody reports the end of. */
  restless = true

  constructor(group: GroupId, born: number, core: ReplicationStrategy<GroupMessage>) {
    this.group = group
    this.born = born
    this.core = core
  }

  /** Undefined: a witness of the control group, which has no log. */
  census(): Census | undefined {
    return this.core instanceof Group ? (this.core as MasterSlave).census() : undefined
  }

  want(above: number | undefined, heirs: Heirs | undefined): void {
    if (above === undefined) {
      this.wants = undefined
      this.released = Math.max(this.released, this.counter)
    } else this.wants = { above, heirs }
  }

  /** True while `row` grants it to this process and it has not let that go. */
  isGranted(row: Row | undefined, self: PeerId, life: string): row is Row {
    if (row === undefined || row.born !== this.born || this.wants === undefined) return false
    return row.holder === self && row.life === life && row.counter > this.released
  }

  /** Who may lead next, as far as whoever grants may go by it; undefined: nothing is known yet. */
  heirsKnown(row: Row): readonly PeerId[] | undefined {
    // Before the table names the history an heir without it would begin anew.
    if (row.history === '') return undefined
    const { ask, heirs } = this.asking
    if (this.counter !== row.counter || ask === row.ask) return row.heirs
    return [...new Set([...row.heirs, ...heirs])]
  }
}
