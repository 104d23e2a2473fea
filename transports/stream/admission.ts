/**
 * Who may begin a handshake: so many strangers in all and so many from one address, the newest is
 * refused first (SECURITY 4). An address with which a peer was linked once has places of its own,
 * so that strangers elsewhere never keep a peer out; our own dials need no place at all. An address
 * whose links had to be ended waits, the longer the more of them there were.
 */
import { isIPv6 } from 'node:net'
import { LIMITS } from '../../src/config.js'
import { Debts } from '../../src/core/debts.js'

export interface AdmissionLimits {
  readonly strangersMax: number
  readonly strangersPerHostMax: number
  readonly handshakeMs: number
}

/** A stranger's place; given back once. */
export interface Place {
  readonly host: string
  /** Not one of `strangersMax`. */
  readonly own: boolean
}

/** Addresses of peers that are remembered: as many as there are ordinals. */
const PEER_HOSTS_MAX = 256
/** Groups of an IPv6 address that one household shares. */
const PREFIX_GROUPS = 4

export class Admission {
  readonly #limits: AdmissionLimits
  readonly #byHost = new Map<string, number>()
  readonly #peerHosts = new Set<string>()
  readonly #ended = new Debts({
    faultsMax: LIMITS.endedMax,
    forgivenPerMinute: LIMITS.endedForgivenPerMinute,
    keysMax: LIMITS.endedHostsMax,
  })
  #strangers = 0

  constructor(limits: AdmissionLimits) {
    this.#limits = limits
  }

  /** Strangers without a place of their own. */
  get strangers(): number {
    return this.#strangers
  }

  /** Addresses that strangers hold a place from. */
  get hosts(): number {
    return this.#byHost.size
  }

  /** A place for a stranger from `address`, or why there is none. */
  enter(address: string | undefined): Place | string {
    const host = hostOf(address)
    const own = this.#peerHosts.has(host)
    const { strangersMax, strangersPerHostMax } = this.#limits
    const there = this.#byHost.get(host) ?? 0
    // A medium without addresses has one limit only.
    if (host !== '' && there >= strangersPerHostMax)
      return `${strangersPerHostMax} handshakes of ${host} are unfinished`
    if (!own && this.#strangers >= strangersMax) return `${strangersMax} handshakes are unfinished`
    this.#byHost.set(host, there + 1)
    if (!own) this.#strangers++
    return { host, own }
  }

  leave({ host, own }: Place): void {
    if (!own) this.#strangers--
    const there = (this.#byHost.get(host) ?? 0) - 1
    if (there > 0) this.#byHost.set(host, there)
    else this.#byHost.delete(host)
  }

  /** A client's link with `address` had to be ended. */
  blame(address: string | undefined, nowMs: number): void {
    const host = hostOf(address)
    if (host !== '') this.#ended.add(host, nowMs)
  }

  /** How long whoever holds `place` is not read from, ms. */
  waitMs({ host, own }: Place, nowMs: number): number {
    const excess = Math.ceil(this.#ended.of(host, nowMs)) - LIMITS.endedFree
    if (own || excess <= 0) return 0
    // Half of a handshake, so that others behind the address still get their links.
    return Math.min(this.#limits.handshakeMs / 2, LIMITS.endedWaitMs * 2 ** (excess - 1))
  }

  /** A peer has proved itself from `address`. The oldest address is forgotten beyond the bound. */
  meetPeer(address: string | undefined): void {
    const host = hostOf(address)
    if (host === '') return
    this.#peerHosts.delete(host)
    this.#peerHosts.add(host)
    if (this.#peerHosts.size <= PEER_HOSTS_MAX) return
    const [oldest] = this.#peerHosts
    this.#peerHosts.delete(oldest)
  }
}

/** What counts as one address: IPv4 whole, also as IPv6 maps it; of IPv6 the first 64 bits. */
export function hostOf(address: string | undefined): string {
  if (address === undefined) return ''
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped !== null) return mapped[1]
  if (!isIPv6(address)) return address
  const [head, tail] = address.split('%')[0].split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail === undefined || tail === '' ? [] : tail.split(':')
  if (tail !== undefined) while (groups.length + rest.length < 8) groups.push('0')
  return `${[...groups, ...rest].slice(0, PREFIX_GROUPS).join(':').toLowerCase()}::/64`
}
