/** A simulated cluster whose members come and go, three seconds old, with an admin. */
import { expect } from 'vitest'
import type { AdminCommand } from '../../src/contracts/strategy.js'
import type { Member } from '../../src/contracts/types.js'
import type { SimulatedNode } from '../../src/testing/simulated-node.js'
import { World } from './profile-world.js'

export class MembersWorld extends World {
  /** What the node reports to an admin's command, within `ms`. */
  admin(
    node: SimulatedNode,
    command: AdminCommand,
    of: { peer?: string; member?: Member },
    ms = 2_000,
  ): Record<string, unknown> | undefined {
    let answer: Record<string, unknown> | undefined
    const hear = (event: string, fields: Record<string, unknown>) => {
      if (event === 'members') answer ??= fields
    }
    node.engine.events.on('report', hear)
    node.engine.feed({ kind: 'admin', command, group: 0, ...of })
    this.cluster.runUntil(() => answer !== undefined, ms)
    node.engine.events.off('report', hear)
    return answer
  }

  join(member: Member, ms?: number) {
    return this.admin(this.master, 'join', { member }, ms)
  }

  leave(peer: string, ms?: number) {
    return this.admin(this.master, 'leave', { peer }, ms)
  }

  /** A new node that runs, and does not belong to the cluster yet. */
  newcomer(id: string, ordinal: number, witness = false): Member {
    const member = this.cluster.add({ id, ordinal, ...(witness ? { witness } : {}) })
    this.cluster.start(id)
    return member
  }

  write(key: string, ack?: 'all'): string | undefined {
    const call = this.set(this.master, key, Buffer.from('v'), ack)
    this.cluster.run(500)
    return this.answers.get(call)
  }

  membersOf(id: string): string {
    return this.cluster
      .node(id)
      .status()
      .members.map(member => member.id)
      .join('')
  }

  /** Node d joins, and is made a voter while `absent` is cut off. */
  growUnseenBy(absent: string): void {
    const d = this.cluster.add({ id: 'd', ordinal: 3 })
    expect(this.join(d)).toMatchObject({ state: 'done' })
    this.cluster.run(500)
    this.cluster.split([absent])
    this.cluster.start('d')
    this.cluster.run(4_000)
  }

  /** The process of `id` stands still and another one of it is made a voter; wakes the first. */
  replaceProcess(id: string): () => void {
    const wake = this.cluster.putAside(id)
    this.cluster.start(id)
    expect(this.cluster.runUntil(() => this.state(id) === 'online', 5_000)).toBe(true)
    return wake
  }

  /** Nodes d and e join, then d leads. */
  grow(): void {
    for (const [i, id] of ['d', 'e'].entries()) {
      expect(this.join(this.newcomer(id, 3 + i))).toMatchObject({ state: 'done' })
      this.cluster.run(2_000)
    }
    this.master.engine.feed({ kind: 'admin', command: 'handover', group: 0, peer: 'd' })
    this.cluster.run(1_000)
    expect(this.master.id).toBe('d')
  }
}
