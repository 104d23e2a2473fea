/**
 * How a node that knows no members gets into a cluster: found one together with others, come back
 * to one, ask one to be taken in, or go away because its id is taken. A function of what other
 * processes have just said of themselves; who says it, and how, is formation.ts's.
 *
 *   nothing heard --> wait --all founders there--> promise --all promise the same--> start
 *                      | a cluster that lists me ---------------------------------> start
 *                      | a cluster that does not: its master is asked ------------> start
 *                      | my id, or my ordinal, is another's ----------------------> refuse
 *
 * The founders are those of ordinals 0 to expect - 1, and all of them are needed. So whatever is
 * founded twice needs each of them twice, that is without memory: as with a list of members, data
 * that anybody still holds is never founded over. discovery/README.md tells of ordinal.
 */
import { createHash } from 'node:crypto'
import { FORMATION } from './config.js'
import type { Member, PeerId } from './contracts/types.js'
import type { ErrorCode } from './errors.js'

/** A process that looks for its cluster. */
export interface Founder {
  readonly id: PeerId
  readonly ordinal: number
  readonly address: string
  /** 16 hex digits. */
  readonly process: string
  /** Wall ms of its start. */
  readonly since: number
}

/** What a process said of itself, over a link with it. */
export interface Word {
  readonly node: Founder
  /** Where it was asked. */
  readonly address: string
  /** Own ms at which it was asked. */
  readonly askedAt: number
  readonly profile: string
  /** Of one that looks for its cluster; undefined: it has one. */
  readonly forming?: { readonly expect: number; readonly promise: string } | undefined
  /** Of its cluster; '' and none while it has not. */
  readonly epoch: number
  readonly view: number
  readonly master: PeerId
  readonly serves: boolean
  readonly members: readonly (Member & { readonly state: string })[]
}

export interface Situation {
  readonly self: Founder
  readonly profile: string
  readonly expect: number
  readonly now: number
  /** When this process began to listen. */
  readonly listensSince: number
  /** With whom this process has promised to found, none at first; and when it last said so, to
   *  anybody. */
  readonly promised: readonly Founder[]
  readonly toldAt: number
  /** Fresh or not; one a process. */
  readonly words: readonly Word[]
  /** Processes that were seen and give no answer: what they announced. */
  readonly mute: readonly { readonly id: PeerId; readonly address: string; readonly in: boolean }[]
  /** Since when the master calls another process of this id online; undefined: it does not. */
  readonly onlineSince?: number | undefined
  /** Since when enough are there, but not those of the founders' ordinals. */
  readonly enoughSince?: number | undefined
}

export type Decision =
  | { readonly do: 'wait'; readonly why: string; readonly enough?: boolean }
  /** Say to whoever asks that this list will be founded, and no other; then judge again. */
  | { readonly do: 'promise'; readonly founders: readonly Founder[]; readonly why: string }
  | { readonly do: 'start'; readonly members: readonly Member[]; readonly how: string }
  | { readonly do: 'join'; readonly master: Word }
  | {
      readonly do: 'refuse'
      readonly code: ErrorCode
      readonly text: string
      readonly holder?: Word | undefined
    }

export function decide(s: Situation): Decision {
  const words = s.words.filter(
    ({ askedAt, node }) => s.now - askedAt <= FORMATION.freshMs && node.process !== s.self.process,
  )
  const holder = words.find(word => word.node.id === s.self.id && goesBefore(word, s.self))
  if (holder !== undefined) return taken(s, holder, holder.address)
  const cluster = bestOf(words.filter(word => word.forming === undefined))
  if (cluster !== undefined) return enter(s, words, cluster)
  const twin = s.mute.find(({ id }) => id === s.self.id)
  if (twin !== undefined)
    return wait(`a process with id ${twin.id} at ${twin.address} does not answer, nor fall silent`)
  const inside = s.mute.find(each => each.in)
  if (inside !== undefined)
    return wait(`${inside.id} at ${inside.address} is in a cluster and does not answer`)
  return found(s, words)
}

/** Another process of this id stays: it is in a cluster, or it looked for one first. */
function goesBefore({ node, forming }: Word, self: Founder): boolean {
  if (forming === undefined || node.since !== self.since)
    return forming === undefined || node.since < self.since
  return node.process < self.process
}

function taken(s: Situation, holder: Word | undefined, where: string): Decision {
  const text =
    `id ${s.self.id} is taken: another process has it at ${where}, and lives: ` +
    'give this node an id of its own, or stop the other one first'
  return { do: 'refuse', code: 'ID_TAKEN', text, holder }
}

/** There is a cluster; `best` knows most of it. */
function enter(s: Situation, words: readonly Word[], best: Word): Decision {
  const { self } = s
  const mine = best.members.find(({ id }) => id === self.id)
  if (mine === undefined) {
    const master = words.find(({ node, serves }) => serves && node.id === best.master)
    if (master === undefined)
      return wait(`${best.node.id} is in a cluster whose master does not answer`)
    return { do: 'join', master }
  }
  if (mine.ordinal !== self.ordinal) {
    const { id, ordinal } = self
    const text = `${id} has ordinal ${mine.ordinal} for all time, and was given ${ordinal}`
    return { do: 'refuse', code: 'CONFIG', text }
  }
  if (isBound(s, words, listOf(best.members))) return wait(bound(s))
  // Only the master knows whether who is linked keeps up: a frozen process does not.
  if (best.serves && mine.state === 'online') {
    if (s.onlineSince === undefined || s.now - s.onlineSince < FORMATION.takenMs)
      return wait(`${best.node.id} says that ${self.id} is online already`)
    return taken(s, undefined, `${mine.address}, as ${best.node.id} says`)
  }
  return { do: 'start', members: withSelf(best.members, self), how: `a member since before` }
}

function found(s: Situation, words: readonly Word[]): Decision {
  const { self, expect } = s
  if (s.now - s.listensSince < FORMATION.listenMs) return wait('listens whether there is a cluster')
  const others = words.filter(({ node }) => node.id !== self.id)
  const odd = others.find(
    ({ forming, profile }) => forming?.expect !== expect || isOther(s, profile),
  )
  if (odd !== undefined)
    return wait(
      `${odd.node.id} has profile ${odd.profile} and expects ${odd.forming?.expect}, here it is ` +
        `${s.profile} and ${expect}: give every node the same`,
    )
  const all = [self, ...others.map(({ node }) => node)].sort((a, b) => a.ordinal - b.ordinal)
  const twice = all.find(({ ordinal }, i) => i > 0 && all[i - 1].ordinal === ordinal)
  if (twice !== undefined) return wait(doubled(all, twice.ordinal))
  const founders = foundersAmong(s, all)
  if (founders === undefined) return wait(missing(s, all), all.length >= expect)
  if (!founders.includes(self))
    return wait(`waits to be taken in: ${founders.map(({ id }) => id).join(', ')} found`)
  return foundWith(s, others, founders)
}

function isOther(s: Situation, profile: string): boolean {
  return profile !== s.profile
}

/** Those of the first ordinals; after a while, in profile ordinal, the lowest that are there. */
function foundersAmong(s: Situation, all: readonly Founder[]): readonly Founder[] | undefined {
  const { expect, profile, enoughSince, now } = s
  const first = all.filter(({ ordinal }) => ordinal < expect)
  if (first.length === expect) return first
  if (profile !== 'ordinal' || all.length < expect || enoughSince === undefined) return undefined
  return now - enoughSince >= FORMATION.patienceMs ? all.slice(0, expect) : undefined
}

function foundWith(s: Situation, others: readonly Word[], founders: readonly Founder[]): Decision {
  const list = listOf(founders)
  const names = founders.map(({ id }) => id).join(', ')
  if (isBound(s, others, list)) return wait(bound(s))
  if (listOf(s.promised) !== list) return { do: 'promise', founders, why: `founds with ${names}` }
  const late = founders.find(
    each =>
      each !== s.self &&
      !others.some(({ node, forming }) => node === each && forming?.promise === list),
  )
  if (late !== undefined) return wait(`founds with ${names}, as soon as ${late.id} will as well`)
  return { do: 'start', members: founders.map(bare), how: 'founded' }
}

/**
 * This process has promised another list than `list`, and somebody may found with it, or has. That
 * ends, once nobody goes by what was told any more, when each of the others on it says that it has
 * promised none such, or is another process by now. In profile ordinal also by time: there, a
 * cluster that two have begun is better than none.
 */
function isBound(s: Situation, words: readonly Word[], list: string): boolean {
  const { promised, now, toldAt, self } = s
  const own = listOf(promised)
  if (promised.length === 0 || own === list) return false
  if (now - toldAt < FORMATION.promiseMs) return true
  if (s.profile === 'ordinal' && now - toldAt >= FORMATION.abandonMs) return false
  return promised.some(({ id, process }) => {
    if (id === self.id) return false
    const word = words.find(({ node }) => node.id === id)
    if (word === undefined) return true
    if (word.node.process !== process) return false
    return word.forming === undefined || word.forming.promise === own
  })
}

function bound({ promised }: Situation): string {
  const names = promised.map(({ id, address }) => `${id} (${address})`).join(', ')
  return `it has promised to found with ${names}, and not all of them have let it go`
}

function doubled(all: readonly Founder[], ordinal: number): string {
  const each = all.filter(one => one.ordinal === ordinal)
  const who = each.map(({ id, address }) => `${id} (${address})`).join(' and ')
  return `ordinal ${ordinal} is claimed by ${who}: give each its own`
}

function missing({ expect, profile }: Situation, all: readonly Founder[]): string {
  const here = all.map(({ id, ordinal }) => `${id} ${ordinal}`).join(', ')
  const lacking = Array.from({ length: expect }, (_, ordinal) => ordinal).filter(
    ordinal => !all.some(each => each.ordinal === ordinal),
  )
  const wanted = `the founders have the ordinals 0 to ${expect - 1}; heard ${here}`
  const soon = profile === 'ordinal' && all.length >= expect ? ', or founds with who is here' : ''
  return `${wanted}: waits for ${lacking.join(', ')}${soon}`
}

/** Of the highest epoch, the master's own word, the newest view. */
function bestOf(words: readonly Word[]): Word | undefined {
  const order = (a: Word, b: Word) =>
    b.epoch - a.epoch ||
    Number(b.serves) - Number(a.serves) ||
    b.view - a.view ||
    a.node.ordinal - b.node.ordinal
  return [...words].sort(order)[0]
}

/** The list as text that is equal only where the lists are; '' for none. */
export function listOf(members: readonly Pick<Member, 'id' | 'ordinal' | 'address'>[]): string {
  if (members.length === 0) return ''
  const sorted = [...members].sort((a, b) => a.ordinal - b.ordinal)
  const text = JSON.stringify(sorted.map(({ id, ordinal, address }) => [id, ordinal, address]))
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

/** Its own address may be another one than the list has: it dials the others. */
function withSelf(members: readonly Member[], self: Founder): Member[] {
  return members.map(each => (each.id === self.id ? bare({ ...each, ...self }) : bare(each)))
}

function bare({ id, ordinal, address, witness }: Member): Member {
  return { id, ordinal, address, ...(witness ? { witness } : {}) }
}

function wait(why: string, enough = false): Decision {
  return { do: 'wait', why, ...(enough ? { enough } : {}) }
}
