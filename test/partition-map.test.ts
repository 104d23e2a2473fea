/** Keys to partitions as Redis Cluster does it; partitions to members that mostly stay. */
import { describe, expect, test } from 'vitest'
import { crc16, hashTag, ownersOf, partitionOf, weightOf } from '../src/core/partition-map.js'
import { seededRandom } from '../src/core/prng.js'

const members = (count: number) => Array.from({ length: count }, (_, i) => ({ id: `n${i}` }))
const PARTITIONS = 256

describe('keys', () => {
  test('CRC16 is XMODEM', () => {
    expect(crc16(Buffer.from('123456789'))).toBe(0x31c3)
    expect(crc16(new Uint8Array(0))).toBe(0)
  })

  test.each([
    // Slots as CLUSTER KEYSLOT of redis-server says.
    ['foo', 12_182],
    ['somekey', 11_058],
    ['foo{hash_tag}', 2_515],
    ['hash_tag', 2_515],
    ['{user1000}.following', 3_443],
    ['', 0],
  ])('%s is in slot %i', (key, slot) => {
    expect(partitionOf(key, 16_384)).toBe(slot)
    expect(partitionOf(key, PARTITIONS)).toBe(slot & 0xff)
  })

  test('a tag is what stands in the first braces, if there is anything', () => {
    expect(hashTag('{a}b')).toBe('a')
    expect(hashTag('x{a}{b}')).toBe('a')
    expect(hashTag('x{{a}}')).toBe('{a')
    expect(hashTag('x{}{b}')).toBe('x{}{b}')
    expect(hashTag('x{a')).toBe('x{a')
    expect(hashTag('x}a{')).toBe('x}a{')
  })

  test('a key beyond ASCII is hashed by its UTF-8 bytes', () => {
    for (const key of ['ä', 'müsli:7', 'x{日本}', '🙂'])
      expect(partitionOf(key, PARTITIONS)).toBe(crc16(Buffer.from(hashTag(key))) & 0xff)
  })

  test('any number of partitions is filled evenly', () => {
    const random = seededRandom(3)
    const counts = new Array<number>(12).fill(0)
    for (let i = 0; i < 12_000; i++) counts[partitionOf(`k${random.below(2 ** 32)}`, 12)]++
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(160)
  })
})

describe('owners', () => {
  test('weights are the same for all time', () => {
    expect([weightOf(0, 'a'), weightOf(1, 'a'), weightOf(0, 'b'), weightOf(255, 'nöde')]).toEqual([
      2_612_091_649, 673_320_407, 3_058_278_678, 1_057_494_597,
    ])
  })

  test('they are as many as there may be, each once, whatever order the members come in', () => {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const owners = ownersOf(partition, members(5), 2)
      expect(new Set(owners).size).toBe(2)
      expect(ownersOf(partition, members(5).reverse(), 2)).toEqual(owners)
      expect(ownersOf(partition, members(1), 2)).toEqual(['n0'])
    }
  })

  test('each member owns about as much as any other', () => {
    const owned = new Map<string, number>()
    for (let partition = 0; partition < PARTITIONS; partition++)
      for (const id of ownersOf(partition, members(4), 1)) owned.set(id, (owned.get(id) ?? 0) + 1)
    expect([...owned.values()].every(count => count > 40 && count < 90)).toBe(true)
  })

  test('a member that comes moves only what it gets, one that goes only what it had', () => {
    let got = 0
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const before = ownersOf(partition, members(4), 2)
      const after = ownersOf(partition, members(5), 2)
      if (!after.includes('n4')) expect(after).toEqual(before)
      else got++
      expect(after.filter(id => id !== 'n4')).toEqual(before.slice(0, after.includes('n4') ? 1 : 2))
    }
    // Two copies in five members: 102 of 256.
    expect(Math.abs(got - 102)).toBeLessThan(30)
  })

  test('copies lie in zones apart while there are enough of them', () => {
    const zoned = members(6).map(({ id }, i) => ({ id, zone: `z${i % 3}` }))
    const zoneOf = (id: string) => zoned.find(member => member.id === id)?.zone
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const owners = ownersOf(partition, zoned, 3)
      expect(new Set(owners.map(zoneOf)).size).toBe(3)
      expect(ownersOf(partition, zoned, 4).slice(0, 3)).toEqual(owners)
      // The owner is who it would be without zones.
      expect(owners[0]).toBe(ownersOf(partition, members(6), 1)[0])
    }
  })
})
