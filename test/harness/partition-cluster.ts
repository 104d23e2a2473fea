/**
 * A partitioned cluster of real engines under virtual time, with writes that name their partition
 * and laws that are judged at each event: a partition's epoch has one master, what is acknowledged
 * is acknowledged by the newest, and nothing acknowledged is missing where reads are served.
 */

import type {
  GroupTable,
  ReplicationStrategy,
  Standing,
  StrategyFactory,
} from '../../src/contracts/strategy.js'
import type { Ack, GroupId, Receipt } from '../../src/contracts/types.js'
import { compareEpochs, NO_EPOCH } from '../../src/core/epochs.js'
import { observeStrategy } from '../../src/testing/observed.js'
import { Writer } from '../../src/wire/bytes.js'
import { writeSet } from '../../src/wire/command.js'
import {
  type PartitionedMessage,
  type PartitionedOptions,
  type PartitionedStatus,
  partitioned,
} from '../../strategies/partitioned/index.js'
import { EngineCluster } from './engine-cluster.js'

export interface Written {
  readonly group: GroupId
  readonly key: string
  readonly node: string
  readonly at: number
  receipt?: Receipt
  code?: string
}

const IDS_FROM = 1_000_000_000
const nothing = () => {}

export class PartitionCluster extends EngineCluster {
  readonly written = new Map<number, Written>()
  readonly violations: string[] = []
  readonly reports: { node: string; event: string; fields: Record<string, unknown> }[] = []
  readonly options: PartitionedOptions
  sentBytes = 0
  sentFrames = 0
  stepMs = 0
  steps = 0
  #ids = IDS_FROM
  /** Of each node its newest process: what it said of each group. */
  readonly #lives = new Map<
    string,
    { inner: ReplicationStrategy<PartitionedMessage>; standings: Map<GroupId, Standing> }
  >()
  /** Of each group and epoch, who led it. */
  readonly #masters = new Map<string, string>()
  readonly #newest = new Map<GroupId, Receipt['epoch']>()

  constructor(ids: readonly string[], options: PartitionedOptions = {}, seed = 1) {
    super(ids, seed, ((env: never) => this.#watched(env)) as never)
    this.options = { partitions: 8, ...options }
  }

  /** Another value for the nodes that start from now on. */
  optionsOf: ((node: string) => PartitionedOptions) | undefined

  #watched(env: Parameters<StrategyFactory>[0]) {
    const node = env.self
    const options = this.optionsOf?.(node) ?? this.options
    const counted: StrategyFactory<PartitionedMessage> = own => {
      const inner = partitioned(options)(own)
      const { step } = inner
      this.#lives.set(node, { inner, standings: new Map() })
      const { encode } = inner.codec
      inner.codec.encode = message => {
        const frame = encode(message)
        this.sentBytes += frame.length
        this.sentFrames++
        return frame
      }
      inner.step = (input, effects) => {
        const from = performance.now()
        step.call(inner, input, effects)
        this.stepMs += performance.now() - from
        this.steps++
      }
      return inner
    }
    return observeStrategy(counted as StrategyFactory, () => ({
      onInput: nothing,
      onStepped: nothing,
      onPersist: nothing,
      onEffect: nothing,
      onSettle: (id, receipt) => this.#onSettle(node, id, receipt),
      onReject: (id, code) => {
        const write = this.written.get(id)
        if (write !== undefined) write.code = code
      },
      onBecome: (standing, group) => {
        const { role, epoch } = standing
        this.#lives.get(node)?.standings.set(group, standing)
        // One that stands for a lost partition leads nothing.
        if (role !== 'master' || epoch.number === 0) return
        const name = `${group} ${epoch.number} ${epoch.incarnation}`
        const other = this.#masters.get(name) ?? node
        if (other !== node) this.violations.push(`I16: epoch ${name} led by ${other} and ${node}`)
        this.#masters.set(name, node)
      },
      onReport: (event, fields) => this.reports.push({ node, event, fields }),
    }))(env)
  }

  #onSettle(node: string, id: number, receipt: Receipt): void {
    const write = this.written.get(id)
    if (write === undefined) return
    write.receipt = receipt
    const newest = this.#newest.get(receipt.group) ?? NO_EPOCH
    if (compareEpochs(receipt.epoch, newest) < 0)
      this.violations.push(`I9: ${node} acknowledged under ${receipt.epoch.number} in its past`)
    else this.#newest.set(receipt.group, receipt.epoch)
  }

  statusOf(node: string): PartitionedStatus {
    const engine = this.engines.get(node)
    if (engine === undefined) throw new Error(`${node} is down`)
    return engine.status() as PartitionedStatus
  }

  /** What a node tells clients. */
  tableOf(node: string): GroupTable {
    return this.#lives.get(node)?.inner.table?.() ?? { number: -1, masters: [], partitions: 1 }
  }

  /** The node that serves the group, by its own word. */
  ownerOf(group: GroupId): string | undefined {
    const owners = [...this.engines.keys()].filter(node => this.serves(node, group))
    if (owners.length > 1) this.violations.push(`${owners.join()} serve group ${group} at once`)
    return owners[0]
  }

  serves(node: string, group: GroupId): boolean {
    const life = this.#lives.get(node)
    if (!this.engines.has(node) || life === undefined) return false
    const standing = life.standings.get(group)
    if (standing?.role !== 'master' || !standing.serving) return false
    return this.clock.now() < (life.inner.actsUntil?.(group) ?? 0)
  }

  groups(): GroupId[] {
    return Array.from({ length: this.options.partitions ?? 256 }, (_, partition) => partition + 1)
  }

  /** All partitions are served, and all copies are where they should be. */
  async settled(msMax = 30_000): Promise<void> {
    await this.until(() => this.isSettled(), msMax)
  }

  isSettled(): boolean {
    if (!this.groups().every(group => this.ownerOf(group) !== undefined)) return false
    const [node] = this.engines.keys()
    const { partitions } = this.statusOf(node)
    const copies = Math.min((this.options.backups ?? 1) + 1, this.engines.size)
    const held = (of: Readonly<Record<string, number>>) =>
      Object.values(of).reduce((sum, each) => sum + each, 0)
    const all = copies * partitions.number
    return (
      partitions.moving === 0 && held(partitions.copies) === all && held(partitions.inSync) === all
    )
  }

  /** Asks the node that serves it; a key is written once. */
  write(group: GroupId, ack: Ack = 'insync', bytes = 20): Written | undefined {
    const node = this.ownerOf(group)
    return node === undefined ? undefined : this.writeTo(node, group, ack, bytes)
  }

  writeTo(node: string, group: GroupId, ack: Ack = 'insync', size = 20): Written {
    const id = ++this.#ids
    const key = `key-${id}`
    const write: Written = { group, key, node, at: this.clock.now() }
    this.written.set(id, write)
    const out = new Writer(64)
    writeSet(out, 'cache', key, new Uint8Array(size), {})
    const bytes = out.copy()
    const proposal = { id, group, ack, client: null, seq: 0, bytes, start: 0, end: bytes.length }
    this.engines.get(node)?.feed({ kind: 'propose', proposals: [proposal] })
    return write
  }

  get acked(): Written[] {
    return [...this.written.values()].filter(({ receipt }) => receipt !== undefined)
  }

  holds(node: string, { group, key }: Written): boolean {
    return this.hosts.get(node)?.get(group)?.store.peek('cache', key) !== undefined
  }

  /** Acknowledged writes that whoever serves their partition does not have. */
  missing(): Written[] {
    return this.acked.filter(write => {
      const owner = this.ownerOf(write.group)
      return owner === undefined || !this.holds(owner, write)
    })
  }

  /** Writes to all partitions for `ms`, one each `everyMs`. */
  async load(ms: number, everyMs = 20): Promise<void> {
    const until = this.clock.now() + ms
    while (this.clock.now() < until) {
      for (const group of this.groups()) this.write(group)
      await this.pass(everyMs)
    }
  }
}
