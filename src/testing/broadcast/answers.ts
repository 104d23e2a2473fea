/**
 * B6, B7, B9: what a call's answer says. A condition held, or did not, at the node that was asked;
 * an acknowledged level was reached; a read is what was given, and never older than the one before;
 * a write said twice at one node is done once.
 */
import { JOIN_GROUP } from '../../contracts/stamped.js'
import type { GroupId, Offset, Receipt } from '../../contracts/types.js'
import { copiesWanted } from '../../core/majority.js'
import type { Checker } from '../checkers/checker.js'
import type { SimulatedCluster } from '../cluster.js'
import type { Life } from '../life.js'
import type { Reply } from '../simulated-calls.js'
import type { Watch } from './watch.js'
import type { Asked, WritersWatcher } from './writers.js'
import type { Write } from './writes.js'

interface Before {
  readonly givenAt: number
  readonly version: number
  readonly mortal: boolean
}

export class Answers implements Checker, WritersWatcher {
  readonly name = 'answers are true'
  /** Acknowledged writes. */
  readonly acked = new Set<Write>()
  readonly #cluster: SimulatedCluster
  readonly #watch: Watch
  readonly #before = new Map<Asked, Before>()
  readonly #read = new Map<Life, Map<string, number>>()
  readonly #settled: [Life, Receipt][] = []
  /** Versions by the name of the write. */
  readonly #done = new Map<Life, Map<string, number>>()

  constructor(cluster: SimulatedCluster, watch: Watch) {
    this.#cluster = cluster
    this.#watch = watch
  }

  onAsk(asked: Asked): void {
    if (asked.kind !== 'open' && asked.kind !== 'clear') this.#before.set(asked, this.#look(asked))
  }

  onAnswer(asked: Asked, reply: Reply): void {
    const before = this.#before.get(asked)
    this.#before.delete(asked)
    if (reply.kind === 'written') return this.#onWritten(asked, reply)
    if (before === undefined || asked.life !== this.#cluster.node(asked.life.node).life) return
    const after = this.#look(asked)
    // Somebody's write came in between: it may have been judged before or after it.
    if (after.givenAt >= asked.startedAt || after.mortal || before.mortal) return
    this.#judge(asked, reply, after.version)
  }

  onSettle(life: Life, _id: number, receipt: Receipt): void {
    this.#settled.push([life, receipt])
  }

  /** It begins anew, with what others have: that may be older than what it had, and drops. */
  onInstall(life: Life, group: GroupId, _at: Offset, _slice: Uint8Array, first: boolean): void {
    if (first && group === JOIN_GROUP) this.#read.delete(life)
  }

  /** Whatever was settled by then lies in its log. */
  onInput(): void {
    if (this.#settled.length === 0) return
    for (const [life, receipt] of this.#settled.splice(0)) this.#onSettled(life, receipt)
  }

  onEnd(): void {
    this.onInput()
  }

  #onSettled(life: Life, { offset, copies }: Receipt): void {
    const write = this.#watch.writes.ofLife(life).get(offset)
    if (write === undefined) this.#cluster.fail('B7', `${life} acknowledges entry ${offset}: none`)
    const holders = new Set([life.node])
    // A process that ended had held it, and so had one that has just begun anew.
    if (copies > 1)
      for (const { life: other, held, former } of this.#watch.lives())
        if (held.includes(write) || former?.includes(write)) holders.add(other.node)
    if (holders.size < copies && !this.#isOver(write))
      this.#cluster.fail('B7', `${life} says ${copies} hold ${offset}, and ${[...holders]} do`)
    this.acked.add(write)
  }

  /** Its origin itself has it no more: it has expired there, or another one has replaced it. Who
   *  compared records since has met all of that, and got nothing. */
  #isOver({ life, kind, cache, key, stamp }: Write): boolean {
    return kind === 'set' && this.#cluster.node(life.node).record(cache, key)?.version !== stamp
  }

  #look({ life, cache, key }: Asked): Before {
    const { held, givenAt } = this.#watch.of(life)
    const known = held.key(cache, key)
    const winner = held.winner(known)
    const isMortal = known.touches.size > 0 || cache.startsWith('mortal') || known.evicted > 0
    const isUnsure = isMortal || this.#watch.unjudged.has(`${cache}/${key}`)
    return { givenAt, version: winner?.write.stamp ?? 0, mortal: isUnsure }
  }

  #onWritten(asked: Asked, reply: Reply): void {
    const { life, ack = 'master' } = asked
    const wanted = copiesWanted(ack, this.#cluster.nodes)
    if (wanted > reply.copies)
      this.#cluster.fail('B7', `${life} acknowledges ${ack} with ${reply.copies} copies`)
    if (asked.name !== '') {
      const done = this.#done.get(life) ?? new Map<string, number>()
      this.#done.set(life, done)
      const first = done.get(asked.name)
      if (first !== undefined && first !== reply.version)
        this.#cluster.fail('B9', `${life} gave ${first}, then ${reply.version} for one write`)
      done.set(asked.name, reply.version)
    }
    const write = this.#watch.writes.ofLife(life).get(reply.offset)
    if (write === undefined || write.kind === 'other') return
    const { version, mortal } = write.met
    if (mortal) return
    const { ifVersion, ifAbsent } = asked
    const what = `${asked.kind} ${asked.cache}/${asked.key} at ${life}`
    if (ifAbsent && version !== 0) this.#cluster.fail('B6', `${what} met ${version}, not nothing`)
    if (ifVersion !== undefined && ifVersion !== version)
      this.#cluster.fail('B6', `${what} met ${version}, not ${ifVersion}`)
    if (asked.kind === 'touch' && write.base !== version)
      this.#cluster.fail('B6', `${what} is for ${write.base}, and met ${version}`)
    if (asked.kind === 'set' && version !== 0 && write.base < version)
      this.#cluster.fail('B6', `${what} says that it met ${write.base}, not ${version}`)
  }

  #judge(asked: Asked, reply: Reply, version: number): void {
    const what = `${asked.kind} ${asked.cache}/${asked.key} at ${asked.life}`
    const told = reply.kind === 'value' ? reply.version : 0
    switch (reply.code) {
      case '':
        if (asked.kind === 'get') this.#onRead(asked, told, version, what)
        return
      case 'ALREADY_EXISTS':
        if (version === 0) this.#cluster.fail('B6', `${what} was refused for what is not there`)
        return
      case 'NOT_FOUND':
        if (version !== 0) this.#cluster.fail('B6', `${what} did not find ${version}`)
        return
      case 'VERSION_MISMATCH':
        if (version === asked.ifVersion || version === 0)
          this.#cluster.fail('B6', `${what} did not find ${asked.ifVersion}, which is there`)
    }
  }

  #onRead({ life, cache, key }: Asked, told: number, version: number, what: string): void {
    if (told !== version) this.#cluster.fail('B2', `${what} read ${told}, not ${version}`)
    const read = this.#read.get(life) ?? new Map<string, number>()
    this.#read.set(life, read)
    const name = `${cache}/${key}`
    const last = read.get(name) ?? 0
    if (told !== 0 && told < last) this.#cluster.fail('B2', `${what} read ${told} after ${last}`)
    if (told !== 0) read.set(name, told)
  }
}
