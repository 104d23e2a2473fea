/**
 * P4  nothing acknowledged is missing where its partition is served: not after a failover, a move,
 *     a restart. No fault excuses it, because a partition that has lost its data is not served.
 * P5  what is acknowledged by the default lies with every heir: with each to whom the table would
 *     pass the partition next, and that has not lost its memory since it was named. Whom the
 *     table has let go drops its copy, and asks for the partition no more.
 * P6  a read at the owner has all that was acknowledged before it began; one that names what its
 *     client has seen does not go back behind that, or says that it is lost.
 */
import type { GroupId, Offset, PeerId } from '../../../contracts/types.js'
import { type PartitionedCluster, partitionName } from '../cluster.js'
import { CACHE, type GroupCall, isDeletable } from '../group-call.js'
import type { GroupLaw, Tenant } from '../law.js'

export interface KeptLaw extends GroupLaw {
  /** Acknowledged writes of partitions that were begun anew. */
  readonly lost: number
  /** Something that nobody deletes was acknowledged since it began: who has nothing lacks it. */
  hasData(group: GroupId): boolean
  /** All that was acknowledged lies there. */
  holdsAll(tenant: Tenant, group: GroupId): boolean
}

export function nothingIsMissing(cluster: PartitionedCluster): KeptLaw {
  return new Kept(cluster)
}

class Kept implements KeptLaw {
  readonly name = 'nothing acknowledged is missing'
  lost = 0
  readonly #cluster: PartitionedCluster
  /** Of each key the newest version that was acknowledged by the default. */
  readonly #acked = new Map<GroupId, Map<string, Offset>>()
  readonly #writes = new Map<GroupId, number>()
  /** By client, group and key. */
  readonly #seen = new Map<string, Offset>()
  /** The epoch in which the owner was looked at last. */
  readonly #judged = new Map<GroupId, string>()
  readonly #heirSince = new Map<GroupId, ReadonlyMap<PeerId, number>>()

  constructor(cluster: PartitionedCluster) {
    this.#cluster = cluster
  }

  hasData(group: GroupId): boolean {
    return [...(this.#acked.get(group)?.keys() ?? [])].some(key => !isDeletable(key))
  }

  holdsAll(tenant: Tenant, group: GroupId): boolean {
    return this.#missing(tenant, group) === undefined
  }

  #missing({ node }: Tenant, group: GroupId): string | undefined {
    const store = node.hosts.get(group)?.store
    for (const [key, version] of this.#acked.get(group) ?? []) {
      const held = store?.peek(CACHE, key)?.version
      if (isBehind(key, held, version)) return `${key} of version ${version}, but with ${held}`
    }
    return undefined
  }

  #judge(tenant: Tenant, group: GroupId): void {
    const missing = this.#missing(tenant, group)
    if (missing !== undefined)
      this.#cluster.fail('P4', `${tenant.life} serves ${partitionName(group)} without ${missing}`)
  }

  onLead(tenant: Tenant, group: GroupId): void {
    // What this step lets it apply counts.
    this.#cluster.clock.after(0, () => {
      if (this.#cluster.acts(tenant, group)) this.#judge(tenant, group)
    })
  }

  onTick(): void {
    for (const group of this.#cluster.rows.groups())
      for (const tenant of this.#cluster.acting(group)) {
        const epoch = tenant.standings.get(group)?.epoch
        const name = `${epoch?.number} ${epoch?.incarnation}`
        if (this.#judged.get(group) === name) continue
        this.#judged.set(group, name)
        this.#judge(tenant, group)
      }
  }

  onQuiet(): void {
    for (const group of this.#cluster.rows.groups())
      for (const id of this.#cluster.rows.of(group)?.owners ?? [])
        this.#judge(this.#cluster.tenant(id), group)
  }

  onRow: NonNullable<GroupLaw['onRow']> = (row, before) => {
    const group = row.partition + 1
    if (before !== undefined && before.born !== row.born) {
      this.lost += this.#writes.get(group) ?? 0
      this.#writes.delete(group)
      this.#acked.delete(group)
    }
    const since = this.#heirSince.get(group)
    const now = this.#cluster.now()
    this.#heirSince.set(group, new Map(row.heirs.map(id => [id, since?.get(id) ?? now])))
  }

  onSettle: NonNullable<GroupLaw['onSettle']> = ({ life }, { group, epoch, offset }, ack) => {
    if (ack !== 'insync') return
    const owners = this.#cluster.rows.of(group)?.owners ?? []
    for (const [id, sinceMs] of this.#heirSince.get(group) ?? []) {
      const heir = this.#cluster.tenant(id)
      // Its own log has it by the end of this step.
      if (heir.life === life || !heir.life.alive || heir.life.startedAt > sinceMs) continue
      const log = heir.node.hosts.get(group)?.log
      if (log === undefined && !owners.includes(id)) continue
      // Applied and gone from its backlog: it was there.
      if (log !== undefined && log.first > offset) continue
      const held = log !== undefined && log.next > offset ? log.epochBefore(offset + 1) : undefined
      if (held?.number === epoch.number && held.incarnation === epoch.incarnation) continue
      this.#cluster.fail(
        'P5',
        `${life} acknowledges entry ${offset} of ${partitionName(group)}, and its heir ` +
          `${heir.life} has ${log?.next ?? 'none'}`,
      )
    }
  }

  onCallStart(call: GroupCall): void {
    const { group, key } = call
    call.born = this.#bornOf(group)
    call.ackedBefore = this.#acked.get(group)?.get(key) ?? 0
    call.seenBefore = call.seen === undefined ? 0 : (this.#seen.get(nameOf(call)) ?? 0)
  }

  onCallEnd(call: GroupCall): void {
    const { reply, group, key, kind } = call
    // An answer from before the partition began anew says nothing of it.
    if (reply === undefined || this.#bornOf(group) !== call.born) return
    if (reply.kind === 'error') {
      if (reply.seenLost) this.#forget(call)
      return
    }
    if (kind === 'get') this.#judgeRead(call)
    else if (call.ack === undefined) this.#note(group, key, reply.offset)
    const name = nameOf(call)
    if (kind !== 'delete' && reply.version > (this.#seen.get(name) ?? 0))
      this.#seen.set(name, reply.version)
  }

  #bornOf(group: GroupId): number {
    return this.#cluster.rows.of(group)?.born ?? 0
  }

  #note(group: GroupId, key: string, offset: Offset): void {
    this.#writes.set(group, (this.#writes.get(group) ?? 0) + 1)
    const acked = this.#acked.get(group) ?? new Map<string, Offset>()
    this.#acked.set(group, acked.set(key, Math.max(offset, acked.get(key) ?? 0)))
  }

  #judgeRead({ id, node, key, reply, ackedBefore, seenBefore, group, seen }: GroupCall): void {
    const held = reply?.kind === 'value' ? reply.version : undefined
    const where = `read ${id} of ${key} at ${node} in ${partitionName(group)} finds ${held}`
    if (isBehind(key, held, ackedBefore))
      this.#cluster.fail('P6', `${where}: ${ackedBefore} was acknowledged before it began`)
    if (isBehind(key, held, seenBefore))
      this.#cluster.fail('P6', `${where}: its client saw ${seenBefore}, ${JSON.stringify(seen)}`)
  }

  /** That what it saw is lost was said. */
  #forget({ client, group }: GroupCall): void {
    const prefix = `${client} ${group} `
    for (const name of this.#seen.keys()) if (name.startsWith(prefix)) this.#seen.delete(name)
  }
}

/** `held`: the version that is there, if any. */
function isBehind(key: string, held: Offset | undefined, version: Offset): boolean {
  if (version === 0) return false
  return held === undefined ? !isDeletable(key) : held < version
}

function nameOf({ client, group, key, born }: GroupCall): string {
  return `${client} ${group} ${key} ${born}`
}
