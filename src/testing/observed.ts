/**
 * Windows into a node: a log, a state machine and a strategy that behave as those they wrap and
 * tell a watcher what passed. Checkers see facts, never what a node says about itself.
 */
import type { Heirs } from '../contracts/election.js'
import type {
  CacheOptions,
  ChangeSink,
  LogStore,
  LogView,
  Outcome,
  ResultSink,
  ScanPage,
  StateMachine,
  StoredRecord,
  WholeRecord,
} from '../contracts/store.js'
import type {
  Effects,
  Input,
  LogBase,
  ReplicationStrategy,
  Standing,
  StrategyEnv,
  StrategyFactory,
} from '../contracts/strategy.js'
import type { Batch, Epoch, GroupId, Member, Offset, PeerId, Receipt } from '../contracts/types.js'

export interface LogWatcher {
  onAppend(batch: Batch, group: GroupId): void
  onTruncate(from: Offset, group: GroupId): void
  onReset(at: Offset, crc: number, group: GroupId): void
}

export class ObservedLog implements LogStore {
  readonly #inner: LogStore
  readonly #watcher: LogWatcher
  readonly #group: GroupId

  constructor(inner: LogStore, watcher: LogWatcher, group: GroupId = 0) {
    this.#inner = inner
    this.#watcher = watcher
    this.#group = group
  }

  get first(): Offset {
    return this.#inner.first
  }

  get next(): Offset {
    return this.#inner.next
  }

  get durable(): Offset {
    return this.#inner.durable
  }

  get applied(): Offset {
    return this.#inner.applied
  }

  get last(): LogView['last'] {
    return this.#inner.last
  }

  epochBefore(at: Offset): Epoch | undefined {
    return this.#inner.epochBefore(at)
  }

  crcBefore(at: Offset): number | undefined {
    return this.#inner.crcBefore(at)
  }

  read(from: Offset, bytesMax: number): readonly Batch[] | undefined {
    return this.#inner.read(from, bytesMax)
  }

  batchAt(offset: Offset): Batch | undefined {
    return this.#inner.batchAt(offset)
  }

  append(batch: Batch): void {
    this.#inner.append(batch)
    this.#watcher.onAppend(batch, this.#group)
  }

  truncate(from: Offset): void {
    this.#inner.truncate(from)
    this.#watcher.onTruncate(from, this.#group)
  }

  reset(at: Offset, epoch: Epoch | undefined, crc: number): void {
    this.#inner.reset(at, epoch, crc)
    this.#watcher.onReset(at, crc, this.#group)
  }

  markApplied(next: Offset): void {
    this.#inner.markApplied(next)
  }
}

export interface StoreWatcher {
  onResult(offset: Offset, outcome: Outcome, version: Offset, group: GroupId): void
  /** Before it is installed. */
  onInstall?(at: Offset, slice: Uint8Array, first: boolean, group: GroupId): void
}

export class ObservedStore implements StateMachine {
  readonly #inner: StateMachine
  readonly #watcher: StoreWatcher
  readonly #sliceBytesMax: number
  readonly #group: GroupId

  /** Small slices make long copies, during which much may happen. */
  constructor(
    inner: StateMachine,
    watcher: StoreWatcher,
    sliceBytesMax: number,
    group: GroupId = 0,
  ) {
    this.#group = group
    this.#inner = inner
    this.#watcher = watcher
    this.#sliceBytesMax = sliceBytesMax
  }

  get applied(): Offset {
    return this.#inner.applied
  }

  get changes(): ChangeSink | undefined {
    return this.#inner.changes
  }

  set changes(sink: ChangeSink | undefined) {
    this.#inner.changes = sink
  }

  apply(batch: Batch, results?: ResultSink): void {
    this.#inner.apply(batch, {
      onResult: (offset, outcome, version) => {
        this.#watcher.onResult(offset, outcome, version, this.#group)
        results?.onResult(offset, outcome, version)
      },
    })
  }

  get(cache: string, key: string, time: number): StoredRecord | undefined {
    return this.#inner.get(cache, key, time)
  }

  has(cache: string, key: string, time: number): boolean {
    return this.#inner.has(cache, key, time)
  }

  peek(cache: string, key: string): WholeRecord | undefined {
    return this.#inner.peek(cache, key)
  }

  size(cache: string, time: number): number {
    return this.#inner.size(cache, time)
  }

  scan(cache: string, prefix: string, cursor: number, limit: number, time: number): ScanPage {
    return this.#inner.scan(cache, prefix, cursor, limit, time)
  }

  caches(): ReadonlyMap<string, CacheOptions> {
    return this.#inner.caches()
  }

  housekeeping(time: number, limit: number): readonly Uint8Array[] {
    return this.#inner.housekeeping(time, limit)
  }

  openSnapshot(id: number, what?: Uint8Array): void {
    this.#inner.openSnapshot(id, what)
  }

  readSnapshot(id: number, bytesMax: number): ReturnType<StateMachine['readSnapshot']> {
    return this.#inner.readSnapshot(id, Math.min(bytesMax, this.#sliceBytesMax))
  }

  closeSnapshot(id: number): void {
    this.#inner.closeSnapshot(id)
  }

  install(at: Offset, slice: Uint8Array, first: boolean): void {
    this.#watcher.onInstall?.(at, slice, first, this.#group)
    this.#inner.install(at, slice, first)
  }

  digest(): string {
    return this.#inner.digest()
  }

  stats(): { entries: number; bytes: number; windows: number } {
    return this.#inner.stats()
  }
}

export interface StrategyWatcher {
  /** Before the step. */
  onInput(input: Input<unknown>): void
  /** After the step and before its effects are carried out. */
  onStepped(): void
  onPersist(promised: Epoch, group: GroupId): void
  onSettle(id: number, receipt: Receipt): void
  onReject(id: number, code: string, surely: boolean): void
  onBecome(standing: Standing, group: GroupId): void
  onReport(event: string, fields: Record<string, unknown>): void
  /** Its log and store are given up. */
  onDropped?(group: GroupId): void
  /** What a step did, by name: for laws that say "nothing". */
  onEffect(name: string): void
  /** For laws about what nodes say of themselves. */
  onSend?(message: unknown): void
}

/** `factory`, watched: `watch` is asked for a watcher at each start of a node. */
export function observeStrategy<M>(
  factory: StrategyFactory<M>,
  watch: (strategy: ReplicationStrategy<M>) => StrategyWatcher,
): StrategyFactory<M> {
  return (env: StrategyEnv) => {
    const inner = factory(env)
    const watcher = watch(inner)
    const effects = new ObservedEffects<M>(watcher)
    return {
      name: inner.name,
      codec: inner.codec,
      keyed: inner.keyed,
      defaultAck: inner.defaultAck,
      step(input, to) {
        watcher.onInput(input)
        effects.to = to
        const result = inner.step(input, effects)
        watcher.onStepped()
        return result // the engine judges it
      },
      time: group => inner.time(group),
      ...answersOf(inner),
      status: () => inner.status(),
    }
  }
}

/** What a wrapped strategy may leave out, for the wrapper to offer as well. */
export function answersOf<M>(
  inner: ReplicationStrategy<M>,
): Pick<
  ReplicationStrategy<M>,
  'commands' | 'welcomesStrangers' | 'freshness' | 'place' | 'election' | 'actsUntil' | 'table'
> {
  const { commands, welcomesStrangers, freshness, place, election, actsUntil } = inner
  const { table } = inner
  return {
    ...(election === undefined ? {} : { election }),
    ...(table === undefined ? {} : { table: table.bind(inner) }),
    ...(actsUntil === undefined ? {} : { actsUntil: actsUntil.bind(inner) }),
    ...(commands === undefined ? {} : { commands }),
    ...(welcomesStrangers === undefined
      ? {}
      : { welcomesStrangers: welcomesStrangers.bind(inner) }),
    ...(freshness === undefined ? {} : { freshness: freshness.bind(inner) }),
    ...(place === undefined ? {} : { place: place.bind(inner) }),
  }
}

class ObservedEffects<M> implements Effects<M> {
  to!: Effects<M>
  readonly #watcher: StrategyWatcher

  constructor(watcher: StrategyWatcher) {
    this.#watcher = watcher
  }

  append(group: GroupId, batch: Batch): void {
    this.#watcher.onEffect('append')
    this.to.append(group, batch)
  }

  truncate(group: GroupId, from: Offset): void {
    this.#watcher.onEffect('truncate')
    this.to.truncate(group, from)
  }

  persist(group: GroupId, promised: Epoch, note?: Uint8Array): void {
    this.#watcher.onEffect('persist')
    this.#watcher.onPersist(promised, group)
    this.to.persist(group, promised, note)
  }

  commit(group: GroupId, next: Offset): void {
    this.#watcher.onEffect('commit')
    this.to.commit(group, next)
  }

  send(peer: PeerId, message: M): void {
    this.#watcher.onSend?.(message)
    this.to.send(peer, message)
  }

  broadcast(message: M): void {
    this.to.broadcast(message)
  }

  settle(id: number, receipt: Receipt): void {
    this.#watcher.onSettle(id, receipt)
    this.to.settle(id, receipt)
  }

  reject(id: number, code: string, surely: boolean): void {
    this.#watcher.onReject(id, code, surely)
    this.to.reject(id, code, surely)
  }

  serve(id: number, group: GroupId, next: Offset): void {
    this.to.serve(id, group, next)
  }

  openSnapshot(group: GroupId, id: number, what?: Uint8Array): void {
    this.to.openSnapshot(group, id, what)
  }

  readSnapshot(group: GroupId, id: number, bytesMax: number): void {
    this.to.readSnapshot(group, id, bytesMax)
  }

  closeSnapshot(group: GroupId, id: number): void {
    this.to.closeSnapshot(group, id)
  }

  install(group: GroupId, at: Offset, slice: Uint8Array, base?: LogBase): void {
    this.#watcher.onEffect('install')
    this.to.install(group, at, slice, base)
  }

  become(group: GroupId, standing: Standing): void {
    this.#watcher.onEffect('become')
    this.#watcher.onBecome(standing, group)
    this.to.become(group, standing)
  }

  collect(group: GroupId, id: number, from: Offset, bytesMax: number): void {
    this.to.collect(group, id, from, bytesMax)
  }

  merge(group: GroupId, id: number, from: Offset, records: Uint8Array, last: boolean): void {
    this.to.merge(group, id, from, records, last)
  }

  report(event: string, fields: Record<string, unknown>, level?: 'warn'): void {
    this.#watcher.onReport(event, fields)
    this.to.report(event, fields, level)
  }

  lease(above: number | undefined, heirs?: Heirs): void {
    this.to.lease(above, heirs)
  }

  disconnect(peer: PeerId, code: string, message?: string): void {
    this.to.disconnect(peer, code, message)
  }

  drop(group: GroupId): void {
    this.#watcher.onEffect('drop')
    this.#watcher.onDropped?.(group)
    this.to.drop(group)
  }

  view(group: GroupId, number: number, members: readonly Member[]): void {
    this.#watcher.onEffect('view')
    this.to.view(group, number, members)
  }
}
