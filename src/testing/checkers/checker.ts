/**
 * What a checker may hook into. Each law is an object beside the cluster, the same in every
 * scenario; it sees facts as they happen and has a last word when all is quiet.
 */
import type { Outcome } from '../../contracts/store.js'
import type { Standing, StrategyStatus } from '../../contracts/strategy.js'
import type { Batch, Epoch, GroupId, Offset, PeerId, Receipt } from '../../contracts/types.js'
import type { Disturbances } from '../disturbances.js'
import type { Life } from '../life.js'
import type { Lineage, LogPoint } from '../lineage.js'
import type { Call, Reply } from '../simulated-client.js'

/** A node that runs, as a checker may ask it. */
export interface LiveNode {
  readonly life: Life
  /** Not paused: it could answer now. */
  readonly awake: boolean
  /** It would answer as master now. */
  acts(): boolean
  digest(): string
  applied(): Offset
  status(): StrategyStatus
  clusterTime(): number
  /** What the log holds now. */
  backlog(): { bytes: number; entries: number }
  /** Undefined where there is no such record. */
  version(cache: string, key: string): Offset | undefined
}

/** The world that checkers look at. */
export interface World {
  readonly lineage: Lineage
  readonly disturbances: Disturbances
  /** Voters. */
  readonly nodes: number
  now(): number
  live(): readonly LiveNode[]
  lives(): readonly Life[]
  /** So long no frame of the one has reached the other, ms: cut both ways, or gone. */
  apartMs(a: PeerId, b: PeerId): number
  /** The fewest data nodes that voted by any view so far. */
  votersMin(): number
  /** False for a node that the newest view of those that run leaves out. */
  belongs(node: PeerId): boolean
  fail(law: string, fact: string): never
}

export interface Checker {
  readonly name: string
  onStart?(life: Life): void
  onEnd?(life: Life): void
  /** `life.tip` is the log with the batch; `before` the one without. */
  onAppend?(life: Life, batch: Batch, before: LogPoint): void
  /** `life.tip` is what is left. */
  onDrop?(life: Life, before: LogPoint): void
  /** Of another group than 0, whose logs are no part of the lineage. */
  onOtherAppend?(life: Life, batch: Batch, group: GroupId): void
  /** Records of another node come, not by a log; `first`: what was there is dropped before. */
  onInstall?(life: Life, group: GroupId, at: Offset, slice: Uint8Array, first: boolean): void
  /** What the strategy says to a peer. */
  onSend?(life: Life, message: unknown): void
  /** The strategy is about to step; the effects of its last step are carried out. */
  onInput?(life: Life): void
  /** The first entry of an epoch that this life leads: `before` is what it began with. */
  onPromotion?(life: Life, epoch: Epoch, before: LogPoint): void
  onBecome?(life: Life, standing: Standing): void
  onPersist?(life: Life, promised: Epoch): void
  /** It was stopped, and has worked off what lay there when it woke. `led`: what it led before. */
  onWoken?(life: Life, stoppedMs: number, led: Epoch | undefined): void
  /** What the strategy tells operators. */
  onReport?(life: Life, event: string, fields: Readonly<Record<string, unknown>>): void
  onPropose?(life: Life, ids: readonly number[]): void
  onSettle?(life: Life, id: number, receipt: Receipt): void
  onReject?(life: Life, id: number, code: string): void
  onResult?(life: Life, offset: Offset, outcome: Outcome, version: Offset): void
  /** A client has begun a call. */
  onCallStart?(call: Call): void
  /** A client's call has ended. */
  onCallEnd?(call: Call): void
  /** An answered write was said again and answered again. */
  onRepeat?(call: Call, again: Reply): void
  /** Every 100 ms of virtual time. */
  onTick?(): void
  /** The faults of the first phase are over; some nodes may be taken away now. */
  onHeal?(): void
  /** All faults are over and the survivors had time to agree. */
  onQuiet?(core: readonly PeerId[]): void
}
