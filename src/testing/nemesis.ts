/**
 * The one who breaks things: draws faults at the rates of a seed, keeps count, and can stop. Faults
 * of one kind alone are as important as all at once, because only there the oracle excuses nothing.
 */
import type { PeerId } from '../contracts/types.js'
import type { SeededRandom } from '../core/prng.js'
import { Writer } from '../wire/bytes.js'
import { writeCloseWindow } from '../wire/command.js'
import { Changes } from './changes.js'
import type { SimulatedCluster } from './cluster.js'
import { Relapse } from './relapse.js'
import type { SimulatedNode } from './simulated-node.js'
import { Twins } from './twins.js'
import type { Workload } from './workload.js'

/** Mean events a second, each 0 where the fault is off. */
export interface FaultRates {
  crash: number
  /** Of crashes: as if the power had gone. */
  powerShare: number
  restart: number
  /** Never a crash before all have the same log and a second has passed. */
  oneAtATime: boolean
  pause: number
  resume: number
  stall: number
  stallMsMax: number
  split: number
  oneWayShare: number
  heal: number
  cut: number
  /** The master loses one slave, writes on with the others for a moment, and dies. */
  ambush: number
  /** The master is isolated until another leads; that one dies as the first comes back. */
  coup: number
  /** The master is isolated, and its loop blocked again and again, until after another leads. */
  harry: number
  /** The master is isolated until another leads; then one voter of the new side dies, comes back
   *  and finds the old master alone. What it has forgotten must not count. */
  relapse: number
  /** A slave is cut off until the backlog has left it behind; as it is copied, the master dies. */
  recopy: number
  /** A voter stands still, another process takes its place, votes and dies, and the first wakes. */
  twin: number
  /** An idempotency window is closed, though its client lives. */
  closeWindow: number
  reset: number
  clog: number
  clogMsMax: number
  clockJump: number
  clockJumpMsMax: number
  hint: number
  /** A planned change of the master. */
  handover: number
  /** A new node, or one that left, is made a member; a member is let go. */
  join: number
  leave: number
  /** Of handovers: the target or the master meets something in the middle. */
  mishapShare: number
}

export const NO_FAULTS: FaultRates = {
  crash: 0,
  powerShare: 0,
  restart: 0,
  oneAtATime: false,
  pause: 0,
  resume: 0,
  stall: 0,
  stallMsMax: 500,
  split: 0,
  oneWayShare: 0,
  heal: 0,
  cut: 0,
  ambush: 0,
  coup: 0,
  harry: 0,
  relapse: 0,
  twin: 0,
  recopy: 0,
  closeWindow: 0,
  reset: 0,
  clog: 0,
  clogMsMax: 0,
  clockJump: 0,
  clockJumpMsMax: 0,
  hint: 0,
  handover: 0,
  join: 0,
  leave: 0,
  mishapShare: 0,
}

const EVERY_MS = 50
/** A copy is looked for so often, and so many times. */
const COPY_LOOK_MS = 5
const COPY_LOOKS = 200
/** Twice what the others take to follow another. */
const HARRIED_MS = 3_000

export class Nemesis {
  readonly counts: Record<string, number> = {}
  readonly #cluster: SimulatedCluster
  readonly #workload: Pick<Workload, 'clients'>
  readonly #rates: FaultRates
  readonly #random: SeededRandom
  readonly #limit: ((id: PeerId) => boolean) | undefined
  readonly #relapse: Relapse
  readonly #changes: Changes
  readonly #twins: Twins
  #running = true
  #convergedAt = 0

  /** `limit`: false where the memory of that node must not be lost now. */
  constructor(
    cluster: SimulatedCluster,
    workload: Pick<Workload, 'clients'>,
    rates: FaultRates,
    limit?: (id: PeerId) => boolean,
  ) {
    this.#cluster = cluster
    this.#limit = limit
    this.#workload = workload
    this.#rates = rates
    this.#random = cluster.random.fork()
    this.#relapse = new Relapse(cluster, this.#random, id => this.#running && this.#mayForget(id))
    if (rates.relapse > 0) cluster.checkers.push(this.#relapse)
    this.#changes = new Changes(cluster, this.#random)
    this.#twins = new Twins(cluster, this.#random, id => this.#running && this.#mayForget(id))
    if (rates.join > 0) cluster.checkers.push(this.#changes)
    // The first pair while all processes are those with which the history began.
    if (rates.twin > 0 && this.#twins.begin()) this.#count('twin')
    this.#schedule()
  }

  /** No more faults; what is broken stays so. */
  stop(): void {
    this.#running = false
    this.#relapse.stop()
    this.#changes.stop()
  }

  #schedule(): void {
    this.#cluster.clock.after(EVERY_MS, () => {
      if (!this.#running) return
      this.#strike()
      this.#schedule()
    })
  }

  #happens(rate: number): boolean {
    return rate > 0 && this.#random.chance((rate * EVERY_MS) / 1_000)
  }

  #count(fault: string): void {
    this.counts[fault] = (this.counts[fault] ?? 0) + 1
  }

  #strike(): void {
    const rates = this.#rates
    this.#processes(rates)
    this.#links(rates)
    if (this.#happens(rates.clockJump)) {
      const ms = (this.#random.next() * 2 - 1) * rates.clockJumpMsMax
      this.#cluster.node(this.#anyone()).jumpWall(ms)
      this.#count('clockJump')
    }
    if (this.#happens(rates.hint)) {
      const clients = this.#workload.clients
      if (clients.length > 0) this.#random.pick(clients).hint(this.#anyone())
      this.#count('hint')
    }
    if (this.#happens(rates.closeWindow)) this.#closeWindow()
    if (this.#happens(rates.handover)) this.#handover(rates.mishapShare)
    if (this.#happens(rates.join) && this.#changes.join()) this.#count('join')
    if (this.#happens(rates.leave) && this.#changes.leave()) this.#count('leave')
  }

  #processes(rates: FaultRates): void {
    const cluster = this.#cluster
    const random = this.#random
    const down = cluster.down()
    if (down.length > 0 && this.#happens(rates.restart)) {
      const { id } = random.pick(down)
      if (rates.join === 0 || this.#changes.prepare(id)) cluster.start(id)
      this.#count('restart')
    }
    if (this.#happens(rates.crash) && this.#mayCrash()) {
      const id = this.#victim()
      const how = random.chance(rates.powerShare) ? 'power' : 'kill'
      if (this.#mayForget(id)) {
        cluster.crash(id, how)
        this.#count('crash')
      }
    }
    if (this.#happens(rates.pause)) {
      cluster.pause(this.#victim())
      this.#count('pause')
    }
    if (this.#happens(rates.resume))
      for (const node of cluster.live()) if (node.paused) cluster.resume(node.id)
    if (this.#happens(rates.stall)) {
      // Every other one as long as may be: it is at the limit where mistakes are made.
      const share = random.chance(0.5) ? 1 : random.next()
      cluster.stall(this.#anyone(), 50 + share * (rates.stallMsMax - 50))
      this.#count('stall')
    }
  }

  #links(rates: FaultRates): void {
    const cluster = this.#cluster
    const random = this.#random
    const ids = cluster.members.map(({ id }) => id)
    if (ids.length < 2) return
    if (this.#happens(rates.split)) {
      const side = random.chance(0.5) ? [this.#victim()] : ids.filter(() => random.chance(0.5))
      cluster.split(side, random.chance(rates.oneWayShare))
      this.#count('split')
    }
    if (this.#happens(rates.heal)) cluster.mendAll()
    const a = random.pick(ids)
    const b = random.pick(ids.filter(id => id !== a))
    if (this.#happens(rates.cut)) {
      cluster.cut(a, b, random.chance(rates.oneWayShare))
      this.#count('cut')
    }
    if (this.#happens(rates.ambush)) this.#ambush()
    if (this.#happens(rates.coup)) this.#coup()
    if (this.#happens(rates.harry)) this.#harry()
    if (this.#happens(rates.recopy)) this.#recopy()
    if (this.#happens(rates.relapse) && this.#relapse.begin()) this.#count('relapse')
    if (this.#happens(rates.twin) && this.#twins.begin()) this.#count('twin')
    if (this.#happens(rates.reset)) {
      cluster.reset(a, b)
      this.#count('reset')
    }
    if (this.#happens(rates.clog)) {
      cluster.clog(a, b, random.next() * rates.clogMsMax)
      this.#count('clog')
    }
  }

  #ambush(): void {
    const cluster = this.#cluster
    const master = cluster.master()
    const slaves = cluster.live().filter(node => node !== master && node.awake)
    if (master === undefined || slaves.length === 0) return
    const { id } = master
    const lone = this.#random.pick(slaves).id
    cluster.cut(id, lone)
    this.#count('ambush')
    cluster.clock.after(20 + this.#random.next() * 300, () => {
      cluster.mend(id, lone)
      if (this.#running && this.#mayForget(id)) cluster.crash(id)
    })
  }

  #coup(): void {
    const cluster = this.#cluster
    const master = cluster.master()
    if (master === undefined) return
    cluster.split([master.id])
    this.#count('coup')
    cluster.clock.after(1_300 + this.#random.next() * 1_000, () => {
      const other = cluster.master()
      if (this.#running && other !== undefined && other !== master)
        if (this.#mayForget(other.id)) cluster.crash(other.id)
      cluster.mendAll()
    })
  }

  /** What blocked it may excuse those it does not hear, but not for as long as it takes. */
  #harry(): void {
    const cluster = this.#cluster
    const id = cluster.master()?.id
    if (id === undefined) return
    const blockedMs = this.#random.pick([300, 400, 750])
    const freeMs = this.#random.pick([10, 50, 100])
    const until = cluster.now() + HARRIED_MS
    const block = () => {
      if (!this.#running || cluster.now() >= until) return cluster.mendAll()
      cluster.stall(id, blockedMs)
      cluster.clock.after(blockedMs + freeMs, block)
    }
    cluster.split([id])
    this.#count('harry')
    block()
  }

  #recopy(): void {
    const cluster = this.#cluster
    const master = cluster.master()
    const slaves = cluster.live().filter(node => node !== master && !node.member.witness)
    if (master === undefined || slaves.length < 2) return
    const lone = this.#random.pick(slaves)
    cluster.split([lone.id])
    cluster.clock.after(1_500 + this.#random.next() * 1_500, () => {
      cluster.mendAll()
      this.#whenCopied(lone, COPY_LOOKS)
    })
  }

  #whenCopied(node: SimulatedNode, looks: number): void {
    if (!this.#running || looks === 0) return
    const { life } = node
    if (!life.alive || !life.voted || !life.copying)
      return void this.#cluster.clock.after(COPY_LOOK_MS, () => this.#whenCopied(node, looks - 1))
    const master = this.#cluster.master()
    if (master === undefined || !this.#mayForget(master.id)) return
    this.#cluster.crash(master.id)
    this.#count('recopy')
  }

  #closeWindow(): void {
    const master = this.#cluster.master()
    const clients = this.#workload.clients
    if (master === undefined || clients.length === 0) return
    const out = new Writer(64)
    writeCloseWindow(out, this.#random.pick(clients).window, master.applied())
    const bytes = out.copy()
    const proposal = { id: -1, ack: 'none', client: null, seq: 0, bytes, start: 0 } as const
    master.engine.feed({ kind: 'propose', proposals: [{ ...proposal, end: bytes.length }] })
    this.#count('closeWindow')
  }

  #handover(mishapShare: number): void {
    const cluster = this.#cluster
    const random = this.#random
    const master = cluster.master()
    const others = cluster.members.filter(({ id }) => id !== master?.id)
    if (master === undefined || others.length === 0) return
    const target = random.pick(others).id
    master.engine.handover(random.chance(0.7) ? target : undefined, 5_000, () => undefined)
    this.#count('handover')
    if (!random.chance(mishapShare)) return
    const fate = random.below(4)
    const who = random.chance(0.3) ? master.id : target
    const ms = random.pick([100, 400, 1_100, 1_500])
    cluster.clock.after(random.next() * 12, () => {
      if (!this.#running) return
      if (fate === 0) {
        if (this.#mayForget(who)) cluster.crash(who)
      } else if (fate === 1) cluster.clog(master.id, target, ms)
      else cluster.stall(who, ms)
    })
  }

  /** One at a time: everybody up, equal, for a whole second. */
  #mayCrash(): boolean {
    const cluster = this.#cluster
    if (!this.#rates.oneAtATime) return true
    const ids = cluster.members.map(({ id }) => id)
    const whole = cluster.live().length === ids.length && cluster.settled()
    if (!whole) this.#convergedAt = cluster.now()
    return whole && cluster.now() - this.#convergedAt > 1_000
  }

  /** A memory may be lost: no more of them at once than the profile bears. */
  #mayForget(id: PeerId): boolean {
    return this.#limit === undefined || this.#limit(id)
  }

  /** The master as often as all others together: it is where things go wrong. */
  #victim(): PeerId {
    const master = this.#cluster.master()
    return master !== undefined && this.#random.chance(0.5) ? master.id : this.#anyone()
  }

  #anyone(): PeerId {
    return this.#random.pick(this.#cluster.members).id
  }
}
