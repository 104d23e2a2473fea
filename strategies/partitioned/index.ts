/**
 * Strategy partitioned: keys lie in partitions, each a group of strategy master-slave with a master
 * and an epoch of its own on a few of the nodes. This file routes inputs to the groups and to the
 * two roles that lie above them: every node is a tenant (tenant.ts), and the master of the control
 * group is the warden (warden.ts), which alone says who may lead which partition.
 */
import type {
  AdminCommand,
  Effects,
  GroupTable,
  Input,
  Place,
  ReplicationStrategy,
  StrategyEnv,
  StrategyFactory,
} from '../../src/contracts/strategy.js'
import type { GroupId, Position } from '../../src/contracts/types.js'
import { unreachable } from '../../src/core/assert.js'
import { messageCodec } from './message-codec.js'
import type { Message } from './messages.js'
import { type PartitionedOptions, partitionedSettings, type Settings } from './options.js'
import { Router } from './router.js'
import { type PartitionedStatus, statusOf } from './status.js'

export type { Message as PartitionedMessage } from './messages.js'
export type { PartitionedOptions } from './options.js'
export type { PartitionedStatus } from './status.js'

/**
 * Throws CONFIG for an option that is unknown or out of range; the factory that it returns throws
 * CONFIG where the members cannot do what the options ask.
 */
export function partitioned(options: PartitionedOptions = {}): StrategyFactory<Message> {
  const settings = partitionedSettings(options)
  return env => new Partitioned(env, settings)
}

class Partitioned implements ReplicationStrategy<Message> {
  readonly name = 'partitioned'
  readonly codec = messageCodec()
  readonly keyed = false
  readonly commands: readonly AdminCommand[] = [
    'join',
    'leave',
    'force-bootstrap',
    'reset-partition',
  ]
  readonly defaultAck
  readonly #router: Router

  constructor(env: StrategyEnv, settings: Settings) {
    this.defaultAck = settings.group.ack
    this.#router = new Router(env, settings)
  }

  table(): GroupTable {
    return this.#router.office.groupTable()
  }

  actsUntil(group: GroupId): number {
    return this.#router.actsUntil(group)
  }

  time(group: GroupId): number {
    return this.#router.coreOf(group)?.time(0) ?? 0
  }

  freshness(group: GroupId): number {
    return this.#router.coreOf(group)?.freshness?.(0) ?? Number.NEGATIVE_INFINITY
  }

  place(group: GroupId, position: Position): Place {
    return this.#router.coreOf(group)?.place?.(0, position) ?? 'ahead'
  }

  welcomesStrangers(): boolean {
    return this.#router.control.core.welcomesStrangers?.() ?? false
  }

  status(): PartitionedStatus {
    return statusOf(this.#router)
  }

  step(input: Input<Message>, effects: Effects<Message>): void {
    const router = this.#router
    router.begin(effects)
    switch (input.kind) {
      case 'tick':
        router.tick(input)
        break
      case 'propose':
        router.propose(input.proposals)
        break
      case 'message':
        router.onMessage(input.peer, input.session, input.message)
        break
      case 'link-up':
        router.onLinkUp(input.peer, input.session)
        break
      case 'link-down':
        router.onLinkDown(input.peer, input.session, input.loss)
        break
      case 'congested':
        router.onCongested(input.peer, input.session, input.lost)
        break
      case 'writable':
        router.onWritable(input.peer, input.session)
        break
      case 'snapshot':
        router.onSnapshot(input)
        break
      case 'collected':
      case 'merged':
        router.feedGroup(input.group, input)
        break
      case 'view':
        router.feed(router.control, input)
        break
      case 'hint':
        router.onHint(input)
        break
      case 'read':
        router.onRead(input)
        break
      case 'admin':
        router.onAdmin(input)
        break
      case 'lease':
        break // no election is carried
      default:
        unreachable(input)
    }
    router.end()
  }
}
