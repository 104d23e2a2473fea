/**
 * Which partition a key is in, and which members should hold a partition. Both are functions of
 * their arguments alone, the same on every node and client and for all versions: the first is that
 * of Redis Cluster (cluster-key-slot), the second is rendezvous hashing (Thaler and Ravishankar,
 * 1998), so a member that comes or goes moves only what it gets or had.
 */
import type { PeerId } from '../contracts/types.js'
import { assert } from './assert.js'

/** Slots of Redis Cluster; partitions are slots modulo their number. */
const SLOTS = 16_384
const UTF8 = new TextEncoder()

/** CRC16/XMODEM, a row a byte: polynomial 0x1021, begins with 0, nothing reflected. */
const CRC_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc
})

/** Of the ASCII bytes of "123456789": 0x31C3. */
export function crc16(bytes: Uint8Array): number {
  let crc = 0
  for (let i = 0; i < bytes.length; i++)
    crc = ((crc << 8) & 0xffff) ^ CRC_TABLE[(crc >> 8) ^ bytes[i]]
  return crc
}

/** What is hashed of a key: what stands between its first `{` and the next `}`, if that is
 *  anything, else all of it. */
export function hashTag(key: string): string {
  const open = key.indexOf('{')
  if (open < 0) return key
  const close = key.indexOf('}', open + 1)
  return close > open + 1 ? key.slice(open + 1, close) : key
}

/** 0 <= partition < partitions; `1 <= partitions <= 16,384`. */
export function partitionOf(key: string, partitions: number): number {
  assert(partitions >= 1 && partitions <= SLOTS, `${partitions} partitions`)
  const tag = hashTag(key)
  let crc = 0
  for (let i = 0; i < tag.length; i++) {
    const code = tag.charCodeAt(i)
    if (code > 0x7f) return (crc16(UTF8.encode(tag)) % SLOTS) % partitions
    crc = ((crc << 8) & 0xffff) ^ CRC_TABLE[(crc >> 8) ^ code]
  }
  return (crc % SLOTS) % partitions
}

/** A member that may hold data. Without a zone it is one of its own. */
export interface Candidate {
  readonly id: PeerId
  readonly zone?: string | undefined
}

/**
 * At most `copies` of `members` in the order in which they should hold `partition`: the owner
 * first, then its backups, each in a zone that no one before it is in while there are such.
 */
export function ownersOf(
  partition: number,
  members: readonly Candidate[],
  copies: number,
): PeerId[] {
  const ranked = members.map(member => ({ member, weight: weightOf(partition, member.id) }))
  // Ids are unique, so equal weights have an order, too.
  ranked.sort((a, b) => b.weight - a.weight || (a.member.id < b.member.id ? -1 : 1))
  const owners: PeerId[] = []
  const zones = new Set<string>()
  const take = ({ id, zone }: Candidate) => {
    owners.push(id)
    if (zone !== undefined) zones.add(zone)
  }
  for (const { member } of ranked)
    if (owners.length < copies && !(member.zone !== undefined && zones.has(member.zone)))
      take(member)
  for (const { member } of ranked)
    if (owners.length < copies && !owners.includes(member.id)) take(member)
  return owners
}

/**
 * How much `id` should hold `partition`, 32 bits: FNV-1a of the id's UTF-8 bytes, the partition
 * mixed in by the golden ratio, finished twice as MurmurHash3 does. Recorded in a test: another
 * function would move all data of a cluster that is upgraded node by node.
 */
export function weightOf(partition: number, id: PeerId): number {
  let hash = 0x811c9dc5
  for (const byte of UTF8.encode(id)) hash = Math.imul(hash ^ byte, 0x01000193)
  return finish(finish(hash) ^ Math.imul(partition + 1, 0x9e3779b1))
}

function finish(word: number): number {
  let hash = word
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
