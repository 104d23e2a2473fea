/**
 * What applications inside the nodes do: sets, deletes and reads of keys of all partitions, asked
 * of whoever says that it serves the partition, of whom they asked last, or of anybody. Asked once:
 * who is refused asks another time, so a call's answer is one node's word.
 */

import { groupOf } from '../../../strategies/partitioned/table.js'
import type { Ack, GroupId, PeerId } from '../../contracts/types.js'
import { partitionOf } from '../../core/partition-map.js'
import { Seen } from '../../core/positions.js'
import type { SeededRandom } from '../../core/prng.js'
import type { WorkloadOptions } from '../workload.js'
import type { PartitionedCluster } from './cluster.js'
import { frameOf, type GroupCall, repliesIn } from './group-call.js'
import type { Tenant } from './law.js'

/** Of a partition: keys that nobody deletes, and others. */
const KEPT_KEYS = 6
const DELETED_KEYS = 2
const CLIENTS = 3
const NOT_THE_DEFAULT: readonly Ack[] = ['master', 'slaves:1', 'majority', 'all']
/** A loop that is busy answers everything a little later. */
const LATE_MS = 1_500

interface Client {
  readonly seen: Map<GroupId, Seen>
  /** Whom it asked last, and was answered by; the table by which it did. */
  readonly asked: Map<GroupId, PeerId>
  table: number
}

export class Applications {
  readonly #cluster: PartitionedCluster
  readonly #o: WorkloadOptions
  readonly #random: SeededRandom
  readonly #keys: { readonly kept: string[]; readonly deleted: string[] }[]
  readonly #clients: Client[]
  readonly #open = new Map<number, GroupCall>()
  readonly #ackTimeoutMs: number
  #ids = 0
  #running = true
  calls = 0
  acked = 0

  constructor(cluster: PartitionedCluster, options: WorkloadOptions, ackTimeoutMs: number) {
    this.#cluster = cluster
    this.#o = options
    this.#ackTimeoutMs = ackTimeoutMs
    this.#random = cluster.random.fork()
    this.#keys = keysOf(cluster.draw.partitions)
    this.#clients = Array.from({ length: CLIENTS }, () => ({
      ...{ seen: new Map(), asked: new Map(), table: 0 },
    }))
    cluster.checkers.push({
      name: 'applications',
      onEnd: life => {
        for (const call of [...this.#open.values()]) if (call.life === life) this.#end(call)
      },
      onTick: () => this.#checkLate(),
    })
    this.#schedule()
  }

  stop(): void {
    this.#running = false
  }

  /** A write of the default ack to whoever serves the group; undefined: nobody says so. */
  write(group: GroupId): GroupCall | undefined {
    const [tenant] = this.#cluster.acting(group)
    const [key] = this.#keys[group - 1].kept
    return tenant && this.#ask(tenant, 0, { kind: 'set', group, key, ack: undefined })
  }

  /** A read from that very node. */
  read(tenant: Tenant, group: GroupId): GroupCall {
    const [key] = this.#keys[group - 1].kept
    return this.#ask(tenant, 0, { kind: 'get', group, key, ack: undefined })
  }

  #schedule(): void {
    const random = this.#random
    const burst = 1 + random.below(this.#o.burstMax)
    const meanMs = (1_000 * (1 + this.#o.burstMax)) / 2 / this.#o.rate
    this.#cluster.clock.after(-Math.log(1 - random.next()) * meanMs, () => {
      if (!this.#running) return
      for (let n = 0; n < burst; n++) this.#call()
      this.#schedule()
    })
  }

  #call(): void {
    const random = this.#random
    const group = groupOf(random.below(this.#cluster.draw.partitions))
    const client = random.below(CLIENTS)
    const tenant = this.#target(client, group)
    const keys = this.#keys[group - 1]
    const kind = random.chance(this.#o.reads) ? 'get' : random.chance(0.1) ? 'delete' : 'set'
    const isKept = kind !== 'delete' && random.chance(0.8)
    const key = random.pick(isKept ? keys.kept : keys.deleted)
    const ack = random.chance(0.85) ? undefined : random.pick(NOT_THE_DEFAULT)
    if (tenant !== undefined) this.#ask(tenant, client, { kind, group, key, ack })
  }

  #target(client: number, group: GroupId): Tenant | undefined {
    const random = this.#random
    const tenants = this.#cluster.tenants()
    if (tenants.length === 0) return undefined
    const serving = tenants.filter(({ standings }) => standings.get(group)?.serving)
    const dice = random.next()
    if (dice < 0.75 && serving.length > 0) return random.pick(serving)
    const last = this.#clients[client].asked.get(group)
    return tenants.find(({ life }) => dice < 0.92 && life.node === last) ?? random.pick(tenants)
  }

  #ask(
    tenant: Tenant,
    by: number,
    what: Pick<GroupCall, 'kind' | 'group' | 'key' | 'ack'>,
  ): GroupCall {
    const client = this.#clients[by]
    const random = this.#random
    const { node, life, strategy } = tenant
    if (random.chance(0.8)) client.table = strategy?.table?.().number ?? 0
    const isToken = what.kind === 'get' && random.chance(0.5)
    const seen = isToken ? (client.seen.get(what.group)?.positions ?? []) : undefined
    const { kind, group, key, ack } = what
    // One shape, made at once: thousands of them are made a seed.
    const call: GroupCall = {
      id: ++this.#ids,
      kind,
      client: by,
      group,
      key,
      ack,
      table: client.table,
      node: node.id,
      life,
      startedAt: this.#cluster.now(),
      valueBytes: random.below(this.#o.valueBytesMax + 1),
      seen,
      endedAt: undefined,
      reply: undefined,
      ackedBefore: 0,
      seenBefore: 0,
      born: 0,
    }
    this.#open.set(call.id, call)
    this.#cluster.callStarts(call)
    const frame = frameOf(call)
    node.deliver(() => {
      // Without a table an engine knows the groups that lie here and no others.
      if (strategy?.table === undefined && !node.hosts.has(what.group)) return this.#end(call)
      node.engine.request(frame, reply => this.#onReplies(tenant, reply))
    })
    return call
  }

  #onReplies({ node, life }: Tenant, frame: Uint8Array): void {
    for (const [id, reply] of repliesIn(frame, node.id, this.#cluster.now())) {
      const call = this.#open.get(id)
      if (call === undefined || call.life !== life)
        this.#cluster.fail('P10', `${life} answers call ${id}, which is unknown or has ended`)
      call.reply = reply
      this.#end(call)
    }
  }

  #end(call: GroupCall): void {
    this.#open.delete(call.id)
    call.endedAt = this.#cluster.now()
    this.calls++
    const { reply, group } = call
    const client = this.#clients[call.client]
    if (reply?.kind === 'written') this.acked++
    if (reply !== undefined && reply.kind !== 'error') {
      client.asked.set(group, call.node)
      if (!client.seen.has(group)) client.seen.set(group, new Seen())
      const { epoch, offset } = reply.position
      client.seen.get(group)?.replace(call.seen ?? [], epoch, offset)
    } else if (reply?.seenLost) client.seen.delete(group)
    this.#cluster.callEnds(call)
  }

  /** P10. A process that stood still meanwhile answers when it can. */
  #checkLate(): void {
    const now = this.#cluster.now()
    const mostMs = this.#ackTimeoutMs * 1.1 + LATE_MS
    for (const call of this.#open.values()) {
      // In order of their making.
      if (now - call.startedAt <= mostMs) return
      if (this.#cluster.disturbances.stopped(call.node, call.startedAt, now)) continue
      const { kind, group, node } = call
      this.#cluster.fail('P10', `${kind} ${call.id} of group ${group} waits at ${node}: ${mostMs}`)
    }
  }
}

function keysOf(partitions: number): { kept: string[]; deleted: string[] }[] {
  const keys = Array.from({ length: partitions }, () => ({
    kept: [] as string[],
    deleted: [] as string[],
  }))
  for (let i = 0; keys.some(({ kept }) => kept.length < KEPT_KEYS); i++)
    put(keys[partitionOf(`k${i}`, partitions)].kept, `k${i}`, KEPT_KEYS)
  for (let i = 0; keys.some(({ deleted }) => deleted.length < DELETED_KEYS); i++)
    put(keys[partitionOf(`d${i}`, partitions)].deleted, `d${i}`, DELETED_KEYS)
  return keys
}

function put(keys: string[], key: string, most: number): void {
  if (keys.length < most) keys.push(key)
}
