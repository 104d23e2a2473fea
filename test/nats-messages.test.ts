/** What travels by a broker, byte for byte, and what a transport over one is told. */
import { describe, expect, test } from 'vitest'
import { parseNodeOptions } from '../src/options.js'
import { parseNatsAddress } from '../transports/nats/address.js'
import {
  acceptOf,
  HEARS_MANY,
  headOf,
  KIND,
  LAYOUT,
  messageOf,
  SEALED,
} from '../transports/nats/messages.js'
import { digestOf, Seal } from '../transports/nats/seal.js'
import { nats } from '../transports/nats.js'
import { relay } from '../transports/relay.js'
import { codeOf } from './harness/codes.js'
import { expectGolden } from './harness/golden.js'

describe('messages', () => {
  const key = { id: 7, check: 0x89abcdef }

  test.each([
    ['nats-open', messageOf(KIND.open, key, LAYOUT, 1_048_576)],
    ['nats-accept', acceptOf(key, { id: 8, check: 1 }, 4_096, HEARS_MANY)],
    ['nats-data', Buffer.concat([messageOf(KIND.data, key, 3, 9, 0, SEALED), Buffer.alloc(17, 5)])],
    ['nats-close', messageOf(KIND.close, key, 2 ** 32 - 1, 0)],
  ])('%s has not changed', (name, bytes) => {
    expect(headOf(expectGolden(name, bytes))).toMatchObject(headOf(bytes) ?? {})
  })

  test('cut anywhere, of another kind or with a wrong limit are none', () => {
    const bytes = messageOf(KIND.pulse, key, 1, 2)
    expect(headOf(bytes)).toMatchObject({ kind: KIND.pulse, ...key, seq: 1, limit: 2 })
    for (let end = 0; end < bytes.length; end++)
      expect(headOf(bytes.subarray(0, end))).toBe(undefined)
    for (const [at, value] of [
      [0, 0],
      [0, 10],
      [1, 4],
      [2, 1],
      [23, 0xff],
    ]) {
      const wrong = Buffer.from(bytes)
      wrong[at] = value
      expect(headOf(wrong), `byte ${at}`).toBe(undefined)
    }
  })

  test('a seal is of its direction, number, limit and data', () => {
    const [one, other] = [new Seal(Buffer.alloc(32, 1), true), new Seal(Buffer.alloc(32, 1), false)]
    const [message, digest] = [{ seq: 5, limit: 6 }, digestOf(Buffer.from('x'))]
    const made = one.make(message, digest)
    expect(other.isTheirs(made, message, digest)).toBe(true)
    expect(one.isTheirs(made, message, digest)).toBe(false)
    expect(other.isTheirs(made, { seq: 6, limit: 6 }, digest)).toBe(false)
    expect(other.isTheirs(made, { seq: 5, limit: 7 }, digest)).toBe(false)
    expect(other.isTheirs(made, message, digestOf(Buffer.from('y')))).toBe(false)
    expect(new Seal(Buffer.alloc(32, 2), false).isTheirs(made, message, digest)).toBe(false)
  })

  test.each([
    ['nats://127.0.0.1:4222/a', { broker: '127.0.0.1:4222', name: 'a' }],
    ['nats://[::1]:4222/a-b_c', { broker: '[::1]:4222', name: 'a-b_c' }],
    ['nats:///a', { broker: '', name: 'a' }],
  ])('%s is an address', (address, parts) => {
    expect(parseNatsAddress(address)).toEqual(parts)
  })

  test.each([
    ...['nats://a', 'nats://h:4222', 'nats://h:99999/a', 'nats://u:p@h:4222/a'],
    ...['nats:///a.b', 'nats:///*', 'nats:///>', 'nats:///', 'tcp:///a'],
  ])('%s is none', address => {
    expect(codeOf(() => parseNatsAddress(address))).toBe('ADDRESS_INVALID')
  })

  test.each([
    [{ prefix: 'a.*' }, 'prefix'],
    [{ prefix: '.' }, 'prefix'],
    [{ servers: [5] }, 'servers'],
    [{ servers: 'nats://u:se@cret@h:1' }, '(broker h:1): give them as option broker'],
    [{ servers: ['h:1', 'nats://h:99999'] }, '"nats://h:99999" is no address of a broker'],
    [{ server: 'x' }, 'did you mean servers?'],
    [{ broker: 5 }, 'broker'],
  ])('%j is CONFIG', (options, fact) => {
    expect(() => nats(options as never)).toThrow(
      expect.objectContaining({ code: 'CONFIG', message: expect.stringContaining(fact) }),
    )
  })

  test('a broker beyond loopback needs proofs and encryption, as a listener does', () => {
    const members = [{ id: 'a', ordinal: 0, address: 'nats:///a' }]
    const codeWith = (servers: string, more = {}) => {
      const transport = nats({ servers, ...more })
      return codeOf(() => parseNodeOptions({ cluster: 'x', id: 'a', members, transport }))
    }
    expect(codeWith('nats://127.0.0.1:4222')).toBe(undefined)
    expect(codeWith('nats://10.0.0.1:4222')).toBe('INSECURE')
    expect(codeWith('10.0.0.1')).toBe('INSECURE')
  })

  test('what goes to a broker through a relay as well', () => {
    const servers = 'nats://10.0.0.1:4222'
    const members = [{ id: 'a', ordinal: 0, address: 'nats:///a' }]
    for (const transport of [nats({ servers }), relay(nats({ servers }))])
      expect(() => parseNodeOptions({ cluster: 'x', id: 'a', members, transport })).toThrow(
        expect.objectContaining({
          code: 'INSECURE',
          message: expect.stringContaining('nats://10.0.0.1:4222 '),
        }),
      )
  })
})
