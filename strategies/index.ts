/**
 * `gcache/strategies`: for authors of strategies. The contract, and the pure parts that every
 * strategy needs: batches, epochs, quorums, cluster time, messages as bytes. README.md beside this
 * file takes a reader from nothing to a strategy that is proved.
 */
export type { Random } from '../src/contracts/environment.js'
export type { LogView } from '../src/contracts/store.js'
export type {
  AdminCommand,
  Effects,
  Input,
  LogBase,
  MemberStatus,
  MessageCodec,
  Place,
  Proposal,
  ReplicationStrategy,
  SnapshotState,
  Standing,
  StrategyEnv,
  StrategyFactory,
  StrategyStatus,
} from '../src/contracts/strategy.js'
export type { LinkLoss } from '../src/contracts/transport.js'
export type {
  Ack,
  Batch,
  ClientRef,
  Epoch,
  GroupId,
  Member,
  Offset,
  PeerId,
  Position,
  Receipt,
  Session,
} from '../src/contracts/types.js'
export { ClusterTime } from '../src/core/cluster-time.js'
export { CopyGiver, CopyTaker, PIECE, type Piece } from '../src/core/copying.js'
export { compareEpochs, isBetterLog, mintEpoch, NO_EPOCH } from '../src/core/epochs.js'
export { copiesWanted, majorityOf, reachedBy } from '../src/core/majority.js'
export {
  batchEnd,
  continuesChain,
  decodeBatch,
  encodeBatch,
  entryBytesMax,
} from '../src/wire/batch.js'
export { noopProposal } from '../src/wire/own-entries.js'
export { type MessageOf, messageCodec, type Shapes } from '../src/wire/shaped.js'
