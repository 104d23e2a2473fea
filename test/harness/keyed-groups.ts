/**
 * A small strategy with several groups, for what the engine owes such strategies: group 0 says
 * nothing, groups 1 and 2 hold the keys and are each led by one node, and every other node has a
 * copy until it is told to leave. No elections: an admin's command moves a group, and with `heirs`
 * the first of the other members takes what a node led whose link is lost.
 *
 *   propose -> append, commit at once where nobody copies -> settle
 *           -> append to all who copy -> their acks       -> commit, settle
 */
import { pack, unpack } from 'msgpackr'
import type {
  Effects,
  GroupTable,
  Input,
  LogBase,
  Proposal,
  ReplicationStrategy,
  Standing,
  StrategyEnv,
  StrategyStatus,
} from '../../src/contracts/strategy.js'
import type { Epoch, GroupId, Member, Offset, PeerId } from '../../src/contracts/types.js'
import { compareEpochs, mintEpoch, NO_EPOCH } from '../../src/core/epochs.js'
import { decodeBatch, encodeBatch } from '../../src/wire/batch.js'

export type KeyedMessage =
  | { type: 'append'; group: GroupId; bytes: Uint8Array }
  | { type: 'ack'; group: GroupId; next: Offset }
  | { type: 'left'; group: GroupId }
  /** A copy wants what follows `next`. */
  | { type: 'ask'; group: GroupId; next: Offset }
  | { type: 'copy'; group: GroupId; at: Offset; slice: Uint8Array; base?: LogBase; last: boolean }
  /** Who leads a group from now on. */
  | { type: 'lead'; group: GroupId; master: PeerId; epoch: Epoch; table: number }

type Sink = Effects<KeyedMessage>

const GROUPS: readonly GroupId[] = [1, 2]
const SLICE_BYTES = 4_096

interface Waiting {
  readonly id: number
  readonly offset: Offset
}

class KeyedGroup {
  standing: Standing = { role: 'slave', epoch: NO_EPOCH, master: undefined, serving: false }
  /** What each copy has; who copies whole is not in here before it is done. */
  readonly acked = new Map<PeerId, Offset>()
  waiting: Waiting[] = []
  held = true
}

class KeyedGroups implements ReplicationStrategy<KeyedMessage> {
  readonly name = 'keyed-groups'
  readonly keyed = true
  readonly defaultAck = 'all'
  readonly codec = {
    encode: (message: KeyedMessage) => Buffer.concat([Buffer.from([0x40]), pack(message)]),
    decode: (frame: Uint8Array) => unpack(Buffer.from(frame.subarray(1))) as KeyedMessage,
  }
  readonly #env: StrategyEnv
  readonly #members: readonly Member[]
  readonly #groups = new Map<GroupId, KeyedGroup>()
  readonly #copies = new Map<number, { group: GroupId; peer: PeerId; begun: boolean }>()
  #copyId = 0
  #table: GroupTable = { number: 0, masters: [undefined, undefined, undefined], partitions: 2 }
  #wall = 0
  #begun = false
  readonly #heirs: boolean

  constructor(env: StrategyEnv, heirs: boolean) {
    this.#env = env
    this.#heirs = heirs
    this.#members = [...env.members].sort((a, b) => a.ordinal - b.ordinal)
    for (const group of GROUPS) this.#groups.set(group, new KeyedGroup())
  }

  table(): GroupTable {
    return this.#table
  }

  time(): number {
    return this.#wall
  }

  step(input: Input<KeyedMessage>, effects: Sink): void {
    switch (input.kind) {
      case 'tick':
        this.#wall = Math.max(this.#wall, input.wall)
        if (!this.#begun) this.#begin(effects)
        return
      case 'link-up':
        return this.#askAll(effects, input.peer)
      case 'link-down':
        for (const [id, group] of this.#groups)
          if (group.acked.delete(input.peer)) this.#commit(effects, id, group)
        if (this.#heirs && input.session !== 0) this.#inherit(effects, input.peer)
        return
      case 'propose':
        return this.#propose(effects, input.proposals)
      case 'read': {
        const { id, group = 0 } = input
        if (!this.#leads(group)) return effects.reject(id, 'NOT_MASTER', true)
        return effects.serve(id, group, this.#env.log(group).applied)
      }
      case 'message':
        return this.#onMessage(effects, input.peer, input.message)
      case 'snapshot':
        return this.#onSnapshot(effects, input)
      case 'admin':
        if (input.command === 'handover') this.#move(effects, input.group, String(input.peer))
        if (input.command === 'join') this.#join(effects, input.group)
        // Without a word to those who wait.
        if (input.command === 'demote') effects.drop(input.group)
        if (input.command === 'leave') this.#leave(effects, input.group)
    }
  }

  #begin(effects: Sink): void {
    this.#begun = true
    for (const id of [0, ...GROUPS]) {
      const { id: master, ordinal } = this.#members[Math.max(0, id - 1) % this.#members.length]
      const epoch = mintEpoch(NO_EPOCH, ordinal, '0'.repeat(16))
      this.#become(effects, id, master, epoch, 1)
    }
  }

  #become(effects: Sink, id: GroupId, master: PeerId, epoch: Epoch, number: number): void {
    const leads = master === this.#env.self
    const role = leads ? 'master' : 'slave'
    const standing = { role, epoch, master, serving: leads } as const
    const masters = [...this.#table.masters]
    masters[id] = master
    this.#table = { ...this.#table, number: Math.max(this.#table.number, number), masters }
    const group = this.#groups.get(id)
    if (group !== undefined) {
      group.standing = standing
      group.acked.clear()
      for (const { id: write } of group.waiting) effects.reject(write, 'NOT_MASTER', false)
      group.waiting = []
      if (!group.held) return
    }
    effects.become(id, standing)
  }

  #leads(group: GroupId): boolean {
    return this.#groups.get(group)?.standing.role === 'master'
  }

  #askAll(effects: Sink, master: PeerId): void {
    for (const [id, group] of this.#groups)
      if (group.standing.master === master && group.held)
        effects.send(master, { type: 'ask', group: id, next: this.#env.log(id).next })
  }

  #propose(effects: Sink, proposals: readonly Proposal[]): void {
    const byGroup = new Map<GroupId, Proposal[]>()
    for (const proposal of proposals) {
      const { id, group = 0 } = proposal
      if (!this.#leads(group)) effects.reject(id, 'NOT_MASTER', true)
      else byGroup.set(group, [...(byGroup.get(group) ?? []), proposal])
    }
    for (const [id, own] of byGroup) {
      const group = this.#groups.get(id) as KeyedGroup
      const { next, last } = this.#env.log(id)
      const batch = encodeBatch(group.standing.epoch, next, this.#wall, last.crc, own)
      effects.append(id, batch)
      for (const [i, one] of own.entries()) group.waiting.push({ id: one.id, offset: next + i })
      for (const peer of group.acked.keys())
        effects.send(peer, { type: 'append', group: id, bytes: batch.bytes })
      this.#commit(effects, id, group, batch.next)
    }
  }

  /** What all copies have counts. */
  #commit(effects: Sink, id: GroupId, group: KeyedGroup, next = this.#env.log(id).next): void {
    if (group.standing.role !== 'master') return
    const counts = Math.min(next, ...group.acked.values())
    effects.commit(id, counts)
    const { epoch } = group.standing
    const copies = 1 + group.acked.size
    for (const { id: write, offset } of group.waiting)
      if (offset < counts)
        effects.settle(write, { group: id, epoch, offset, copies, durableCopies: 0 })
    group.waiting = group.waiting.filter(({ offset }) => offset >= counts)
  }

  #onMessage(effects: Sink, peer: PeerId, m: KeyedMessage): void {
    const group = this.#groups.get(m.group)
    if (group === undefined) return
    if (m.type === 'lead') {
      if (compareEpochs(m.epoch, group.standing.epoch) <= 0) return
      this.#become(effects, m.group, m.master, m.epoch, m.table)
      if (m.master === peer && group.held)
        effects.send(peer, { type: 'ask', group: m.group, next: this.#env.log(m.group).next })
      return
    }
    if (m.type === 'left') {
      if (group.acked.delete(peer)) this.#commit(effects, m.group, group)
      return
    }
    if (!group.held) return
    const log = this.#env.log(m.group)
    if (m.type === 'append') {
      const batch = decodeBatch(m.bytes)
      if (batch.first !== log.next) return
      effects.append(m.group, batch)
      effects.commit(m.group, batch.next)
      effects.send(peer, { type: 'ack', group: m.group, next: batch.next })
    } else if (m.type === 'ack') {
      if (!group.acked.has(peer)) return
      group.acked.set(peer, m.next)
      this.#commit(effects, m.group, group)
    } else if (m.type === 'ask') {
      if (!this.#leads(m.group)) return
      if (m.next === log.next) group.acked.set(peer, m.next)
      else this.#copy(effects, m.group, peer)
    } else {
      effects.install(m.group, m.at, m.slice, m.base)
      if (m.last) effects.send(peer, { type: 'ask', group: m.group, next: m.at })
    }
  }

  #copy(effects: Sink, group: GroupId, peer: PeerId): void {
    const id = ++this.#copyId
    this.#copies.set(id, { group, peer, begun: false })
    effects.openSnapshot(group, id)
    effects.readSnapshot(group, id, SLICE_BYTES)
  }

  #onSnapshot(effects: Sink, input: Extract<Input<KeyedMessage>, { kind: 'snapshot' }>): void {
    const { group, id, next: at, slice, state } = input
    const copy = this.#copies.get(id)
    if (copy === undefined) return
    const last = state === 'done'
    const base = copy.begun ? {} : { base: this.#env.log(group).last }
    copy.begun = true
    effects.send(copy.peer, { type: 'copy', group, at, slice, last, ...base })
    if (!last) return effects.readSnapshot(group, id, SLICE_BYTES)
    effects.closeSnapshot(group, id)
    this.#copies.delete(id)
  }

  #move(effects: Sink, id: GroupId, master: PeerId): void {
    const group = this.#groups.get(id)
    if (group?.standing.role !== 'master') return
    this.#lead(effects, id, group, master)
  }

  #inherit(effects: Sink, dead: PeerId): void {
    const heir = this.#members.find(member => member.id !== dead)?.id
    if (heir !== this.#env.self) return
    for (const [id, group] of this.#groups)
      if (group.standing.master === dead) this.#lead(effects, id, group, heir)
  }

  #lead(effects: Sink, id: GroupId, group: KeyedGroup, master: PeerId): void {
    const ordinal = this.#members.find(member => member.id === master)?.ordinal ?? 0
    const epoch = mintEpoch(group.standing.epoch, ordinal, '0'.repeat(16))
    const table = this.#table.number + 1
    this.#become(effects, id, master, epoch, table)
    effects.broadcast({ type: 'lead', group: id, master, epoch, table })
  }

  #leave(effects: Sink, id: GroupId): void {
    const group = this.#groups.get(id)
    if (group === undefined || group.standing.role === 'master') return
    group.held = false
    effects.drop(id)
    effects.broadcast({ type: 'left', group: id })
  }

  #join(effects: Sink, id: GroupId): void {
    const group = this.#groups.get(id)
    if (group === undefined || group.held) return
    group.held = true
    effects.become(id, group.standing)
    if (group.standing.master !== undefined)
      effects.send(group.standing.master, { type: 'ask', group: id, next: 1 })
  }

  status(): StrategyStatus {
    const { self: id } = this.#env
    const self = { id, ordinal: 0, role: 'slave', state: 'online', offset: 0, lag: 0 } as const
    const at = { ...self, address: '' }
    const said = { profile: 'test', guarantee: 'none', epoch: 0, history: '', master: undefined }
    return { strategy: this.name, ...said, self: at, members: [at] }
  }
}

export function keyedGroups(env: StrategyEnv): ReplicationStrategy<KeyedMessage> {
  return new KeyedGroups(env, false)
}

export function inheritedGroups(env: StrategyEnv): ReplicationStrategy<KeyedMessage> {
  return new KeyedGroups(env, true)
}
