/** What a decoder refuses before it makes anything of it: nested, extended, cut, endless. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeBatch, encodeBatch } from '../src/wire/batch.js'
import { packMessage, unpackMessage } from '../src/wire/control.js'
import { codeOf } from './harness/codes.js'

/** A map with one field `f`, which is a list in a list ... `depth` times. */
function nested(depth: number): Uint8Array {
  return Buffer.from([3, 0x81, 0xa1, 0x66, ...new Array(depth).fill(0x91), 0xc0])
}

describe('a control message', () => {
  test('of plain values comes back as it was said, whatever their size', () => {
    const leaf = fc.oneof(fc.string(), fc.integer(), fc.double({ noNaN: true }), fc.boolean())
    const name = fc.string().filter(text => text !== '__proto__')
    const value = fc.oneof(leaf, fc.array(leaf), fc.dictionary(name, fc.array(leaf)))
    const message = fc.dictionary(name, value, { noNullPrototype: true })
    fc.assert(
      fc.property(message, said => {
        expect(JSON.stringify(unpackMessage(packMessage(3, said)))).toBe(JSON.stringify(said))
      }),
    )
  })

  // Seed 441527009 of the property above met it in a map within the message.
  test('names no prototype, at any depth', () => {
    const said = JSON.parse('{"f": {"__proto__": {"isAdmin": true}}}')
    const heard = unpackMessage(packMessage(3, said)) as { f: { isAdmin?: boolean } }
    expect(heard.f.isAdmin).toBeUndefined()
    expect(Object.getPrototypeOf(heard.f)).toBe(Object.prototype)
  })

  // Seed 2830 of the fuzzer: 4 KiB of lists in lists ended in a RangeError.
  test.each([
    [31, 'none'],
    [32, 'PROTOCOL_ERROR'],
    [4_000, 'PROTOCOL_ERROR'],
    [1_000_000, 'PROTOCOL_ERROR'],
  ])('nested %i deep: %s', (depth, code) => {
    expect(codeOf(() => unpackMessage(nested(depth))) ?? 'none').toBe(code)
  })

  test.each([
    ['a record of msgpackr', [0xd4, 0x72, 0x40]],
    ['a time', [0xd6, 0xff, 0, 0, 0, 0]],
    ['any other extension', [0xc7, 0x01, 0x05, 0x00]],
    ['nothing', []],
    ['a text that is cut', [0xa5, 0x61]],
    ['a list of four thousand million', [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['something after its end', [0xc0, 0xc0]],
  ])('whose field is %s is a PROTOCOL_ERROR', (_, field) => {
    const message = Buffer.from([3, 0x81, 0xa1, 0x66, ...field])
    expect(codeOf(() => unpackMessage(message))).toBe('PROTOCOL_ERROR')
  })
})

// Seed 6029 of the fuzzer: two entries at the last offset there is had one result.
test('a batch beyond the last offset is a PROTOCOL_ERROR', () => {
  const entry = {
    id: 1,
    ack: 'none',
    client: null,
    seq: 0,
    bytes: Uint8Array.of(0),
    start: 0,
    end: 1,
  }
  const epoch = { number: 256, incarnation: 'a'.repeat(16) }
  const at = (first: number) => encodeBatch(epoch, first, 1, 0, [entry, entry] as never).bytes
  expect(codeOf(() => decodeBatch(at(Number.MAX_SAFE_INTEGER - 2))) ?? 'none').toBe('none')
  expect(codeOf(() => decodeBatch(at(Number.MAX_SAFE_INTEGER - 1)))).toBe('PROTOCOL_ERROR')
})
