/**
 * The strategy's half of reads, function by function: rounds of heartbeats for linearizable reads,
 * how fresh a slave knows itself to be, where the entry of a token stands.
 */
import { describe, expect, it } from 'vitest'
import type { Effects } from '../src/contracts/strategy.js'
import { seededRandom } from '../src/core/prng.js'
import { MemoryLog } from '../src/store/memory-log.js'
import { encodeBatch } from '../src/wire/batch.js'
import { OP } from '../src/wire/command.js'
import type { MasterSlaveMessage } from '../strategies/master-slave/index.js'
import { settingsOf } from '../strategies/master-slave/options.js'
import {
  endReads,
  freshness,
  hearRound,
  noteEcho,
  onRead,
  placeOf,
  readMarks,
  tickReads,
} from '../strategies/master-slave/reads.js'
import { GroupState, newProgress, type Peer } from '../strategies/master-slave/state.js'

const epochOf = (counter: number) => ({ number: counter * 256, incarnation: 'a'.repeat(16) })
const [first, second, third] = [epochOf(1), epochOf(2), epochOf(3)]

/** Node a of three, as its own state; b and c are played by the test. */
class Voter {
  readonly log = new MemoryLog()
  readonly s: GroupState
  readonly served: [id: number, next: number][] = []
  readonly rejected: [id: number, code: string][] = []
  readonly heartbeats: Extract<MasterSlaveMessage, { type: 'heartbeat' }>[] = []
  readonly effects: Effects<MasterSlaveMessage>

  constructor(profile = 'majority') {
    const settings = { ...settingsOf({ ackTimeoutMs: 3_000 }), profile } as never
    this.s = new GroupState(
      {
        self: 'a',
        incarnation: 'a'.repeat(16),
        random: seededRandom(1),
        frameBytesMax: 2 ** 20,
        durability: 'memory',
        members: ['a', 'b', 'c'].map((id, ordinal) => ({ id, ordinal, address: id })),
        log: () => this.log,
      },
      settings,
    )
    const acts: Partial<Effects<MasterSlaveMessage>> = {
      serve: (id, _group, next) => void this.served.push([id, next]),
      reject: (id, code) => void this.rejected.push([id, code]),
      send: (_peer, message) => {
        if (message.type === 'heartbeat') this.heartbeats.push(message)
      },
    }
    this.effects = new Proxy(acts as Effects<MasterSlaveMessage>, {
      get: (target, name) => Reflect.get(target, name) ?? (() => {}),
    })
    this.s.now = 1_000
    this.s.view = 1
    this.s.data = 'ready'
    for (const [ordinal, id] of ['b', 'c'].entries()) this.s.peers.set(id, peerOf(id, ordinal + 1))
  }

  lead(): this {
    const { s } = this
    s.role = 'master'
    s.serving = true
    s.master = 'a'
    s.epoch = second
    s.starts = [
      { epoch: first, first: 1 },
      { epoch: second, first: 10 },
    ]
    s.next = 12
    s.commit = 12
    s.epochFirst = 10
    return this
  }

  follow(): this {
    const { s } = this
    s.master = 'b'
    s.epoch = second
    s.synced = true
    return this
  }

  read(id: number): void {
    onRead(this.s, this.effects, { kind: 'read', id, key: '', mode: 'linearizable' })
  }

  echo(id: string, round: number, stamp = 0): void {
    const { epoch } = this.s
    const ack = { type: 'append-ack', epoch, feed: 1, next: 12, durable: 12, echo: 0 } as const
    noteEcho(this.s, this.effects, this.peer(id), { ...ack, round, stamp })
  }

  hear(fields: { round?: number; stamp?: number; next?: number }): void {
    const { epoch } = this.s
    const beat = { type: 'heartbeat', epoch, time: 1, feed: 1, sent: 1, slices: 0 } as const
    const next = fields.next ?? 1
    const told = { ...beat, inTouch: true, next, commit: next }
    hearRound(this.s, { ...told, round: 0, stamp: -1, ...fields })
  }

  peer(id: string): Peer {
    return this.s.peers.get(id) as Peer
  }

  /** Applies `entries` more. */
  apply(entries: number): void {
    const command = Uint8Array.of(OP.noop, 0, 0, 0, 0)
    const one = { id: 1, ack: 'none', client: null, seq: 0, bytes: command, start: 0 } as const
    const list = new Array(entries).fill({ ...one, end: command.length })
    this.log.append(encodeBatch(second, this.log.next, 1, this.log.last.crc, list))
    this.log.markApplied(this.log.next)
  }
}

function peerOf(id: string, ordinal: number): Peer {
  return {
    id,
    ordinal,
    address: `memory://${id}`,
    session: 1,
    congested: false,
    frameAt: 0,
    heardAt: 0,
    gone: false,
    unsaidAt: 0,
    said: { type: 'state', data: 'ready' } as Peer['said'],
    progress: newProgress('stream', 12, 12, 0, 1, 12),
    copyAfter: 0,
    copiesFailed: 0,
    process: '',
    voter: true,
    witness: false,
    headed: 0,
    askFrom: 0,
    admitFrom: 0,
    stated: undefined,
    echo: 0,
    admitSentAt: 0,
    learner: false,
    stranger: false,
    incarnation: '',
    amnesiac: false,
    left: false,
    leftAt: 0,
  }
}

describe('a linearizable read', () => {
  it('is served with the read index once a majority has echoed a round that began after it', () => {
    const node = new Voter().lead()
    node.read(-2)
    expect(node.served).toEqual([])
    expect(node.heartbeats.map(beat => beat.round)).toEqual([1, 1])
    node.s.commit = 20
    node.echo('b', 0)
    expect(node.served).toEqual([])
    node.echo('b', 1)
    expect(node.served).toEqual([[-2, 12]])
    node.echo('c', 1)
    expect(node.served.length).toBe(1)
  })

  it('that comes while a round is under way waits for the next one, with all others', () => {
    const node = new Voter().lead()
    for (const id of [-2, -3, -4]) node.read(id)
    expect(node.s.reads.round).toBe(1)
    node.echo('c', 1)
    expect(node.served.map(([id]) => id)).toEqual([-2])
    expect(node.s.reads.round).toBe(2)
    node.echo('b', 1)
    expect(node.served.length).toBe(1)
    node.echo('b', 2)
    expect(node.served.map(([id]) => id)).toEqual([-2, -3, -4])
  })

  it('counts no echo of an earlier session, nor of a node without all of its data', () => {
    const node = new Voter().lead()
    node.read(-2)
    node.peer('c').progress = newProgress('copy', 1, 1, 0, 2, 12)
    node.echo('c', 1)
    const said = node.peer('b').said as NonNullable<Peer['said']>
    said.data = 'copying'
    node.echo('b', 1)
    expect(node.served).toEqual([])
    said.data = 'ready'
    node.peer('b').session = 2
    tickReads(node.s, node.effects)
    node.echo('b', 0)
    expect(node.served).toEqual([])
    node.echo('b', 1)
    expect(node.served).toEqual([[-2, 12]])
  })

  it('waits until an entry of the own epoch is committed (planted bug 29)', () => {
    const node = new Voter().lead()
    node.s.commit = 10
    node.read(-2)
    expect(node.s.reads.round).toBe(0)
    node.s.commit = 11
    tickReads(node.s, node.effects)
    node.echo('b', 1)
    expect(node.served).toEqual([[-2, 11]])
  })

  it('ends as NO_MAJORITY after the ack timeout, as NOT_MASTER when its master steps down', () => {
    const node = new Voter().lead()
    node.read(-2)
    node.s.now += 2_000
    node.read(-3)
    node.s.now += 1_000
    tickReads(node.s, node.effects)
    expect(node.rejected).toEqual([[-2, 'NO_MAJORITY']])
    endReads(node.s, node.effects)
    expect(node.rejected.at(-1)).toEqual([-3, 'NOT_MASTER'])
    node.echo('b', 9)
    expect(node.served).toEqual([])
    const slave = new Voter().follow()
    slave.read(-4)
    expect(slave.rejected).toEqual([[-4, 'NOT_MASTER']])
  })

  it('is READ_MODE where the profile has none', () => {
    const node = new Voter('ordinal').lead()
    node.read(-2)
    expect(node.rejected).toEqual([[-2, 'READ_MODE']])
  })

  it('is not vouched for by a slave that heard the number under another epoch', () => {
    const slave = new Voter().follow()
    slave.hear({ round: 7 })
    slave.s.epoch = third
    slave.hear({ round: 2 })
    expect(slave.s.reads.heard).toEqual({ epoch: third, round: 2 })
  })
})

describe("a slave's freshness", () => {
  it('is the own clock that a heartbeat brings back, however late it comes', () => {
    const slave = new Voter().follow()
    expect(freshness(slave.s)).toBe(Number.NEGATIVE_INFINITY)
    slave.apply(4)
    slave.s.now = 9_000
    slave.hear({ stamp: 1_200, next: 5 })
    expect(freshness(slave.s)).toBe(1_200)
    slave.hear({ stamp: 1_100, next: 5 })
    expect(freshness(slave.s)).toBe(1_200)
    slave.hear({ stamp: 9_001, next: 5 })
    slave.hear({ stamp: -1, next: 5 })
    expect(freshness(slave.s)).toBe(1_200)
  })

  it('waits until all that the master had is applied, and for no later heartbeat', () => {
    const slave = new Voter().follow()
    slave.hear({ stamp: 500, next: 5 })
    slave.hear({ stamp: 600, next: 50 })
    expect(freshness(slave.s)).toBe(Number.NEGATIVE_INFINITY)
    slave.apply(4)
    expect(freshness(slave.s)).toBe(500)
    slave.hear({ stamp: 700, next: 60 })
    slave.apply(60)
    expect(freshness(slave.s)).toBe(700)
  })

  it('grows no further without sync, and is none while a copy replaces the data', () => {
    const slave = new Voter().follow()
    slave.hear({ stamp: 500, next: 1 })
    slave.s.synced = false
    slave.hear({ stamp: 600, next: 1 })
    expect(freshness(slave.s)).toBe(500)
    slave.s.data = 'copying'
    expect(freshness(slave.s)).toBe(Number.NEGATIVE_INFINITY)
  })

  it('does not outlive a mastership, and a serving master is as fresh as its last tick', () => {
    const node = new Voter().lead()
    node.s.reads.freshAt = 900
    expect(freshness(node.s)).toBe(1_000)
    endReads(node.s, node.effects)
    node.s.role = 'slave'
    expect(freshness(node.s)).toBe(Number.NEGATIVE_INFINITY)
  })

  it('comes back only on its own session: another process has another clock', () => {
    const node = new Voter().lead()
    node.echo('b', 0, 77)
    expect(readMarks(node.s, 'b')).toEqual({ round: 0, stamp: 77 })
    node.peer('b').session = 2
    expect(readMarks(node.s, 'b')).toEqual({ round: 0, stamp: -1 })
    node.echo('b', 0, 5)
    expect(readMarks(node.s, 'b').stamp).toBe(5)
  })
})

describe('the place of a position', () => {
  it('is judged by the epoch starts of the log', () => {
    const { s } = new Voter().lead()
    s.starts.push({ epoch: epochOf(4), first: 11 })
    const place = (counter: number, offset: number) =>
      placeOf(s, { epoch: epochOf(counter), offset })
    expect(place(1, 1)).toBe('here')
    expect(place(1, 9)).toBe('here')
    expect(place(1, 10)).toBe('lost')
    expect(place(2, 9)).toBe('lost')
    expect(place(2, 10)).toBe('here')
    expect(place(3, 10)).toBe('lost')
    expect(place(4, 11)).toBe('here')
    expect(place(4, 12)).toBe('ahead')
    expect(place(5, 1)).toBe('ahead')
    s.data = 'copying'
    expect(place(1, 1)).toBe('ahead')
  })
})
