/**
 * Announcements on a real group of loopback, names from a real name server, and what strangers send
 * to either: what is heard, what is dropped, and under which count.
 */
import { createHmac } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { afterEach, describe, expect, test } from 'vitest'
import { DISCOVERY } from '../src/config.js'
import type {
  Announcement,
  Discovery,
  DiscoveryEnv,
  DiscoveryFactory,
} from '../src/contracts/discovery.js'
import { seededRandom } from '../src/core/prng.js'
import { SILENCE } from '../src/core/silence.js'
import { dns } from '../src/discovery/dns.js'
import { HeardNodes } from '../src/discovery/heard.js'
import { multicast } from '../src/discovery/multicast.js'
import { decodeRecord, encodeRecord } from '../src/discovery/record.js'
import { staticAddresses } from '../src/discovery/static.js'
import { systemClock } from '../src/engine/system-clock.js'
import { GcacheError } from '../src/errors.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { codeOf } from './harness/codes.js'
import { expectGolden } from './harness/golden.js'
import { freeMulticastPort } from './harness/multicast-port.js'
import { NameServer } from './harness/name-server.js'

const KEY = Buffer.alloc(32, 7)
const sign = (bytes: Uint8Array) => createHmac('sha256', KEY).update(bytes).digest()
const otherSign = (bytes: Uint8Array) => createHmac('sha256', 'x').update(bytes).digest()

function announcement(id: string, more: Partial<Announcement> = {}): Announcement {
  const process = Buffer.from(id.padEnd(8, '-')).subarray(0, 8).toString('hex')
  const at = { address: `tcp://127.0.0.1:${7_400 + id.charCodeAt(0)}`, ordinal: 1 }
  const none = '0'.repeat(16)
  return {
    id,
    ...at,
    presence: 'member',
    process,
    since: 1_700_000_000_000,
    history: none,
    ...more,
  }
}

interface Sent {
  cluster?: string
  time?: number
  nonce?: string
  intervalMs?: number
  sign?: typeof sign | undefined
}

let nonces = 0

function record(said: Announcement, now: number, more: Sent = {}): Buffer {
  const { cluster = 'shop', time = now, intervalMs = 500 } = more
  const nonce = more.nonce ?? (++nonces).toString(16).padStart(16, '0')
  const key = 'sign' in more ? more.sign : sign
  return Buffer.from(encodeRecord({ cluster, said, time, nonce, intervalMs }, key))
}

describe('an announcement as bytes', () => {
  const said = announcement('node-1', { history: '00112233445566ff' })
  const whole = { cluster: 'shop', said, time: 1_700_000_000_123, nonce: 'ffeeddccbbaa9988' }

  test('comes back as it was made, signed and unsigned, and golden bytes decode', () => {
    for (const [name, key] of [
      ['signed', sign],
      ['unsigned', undefined],
    ] as const) {
      const bytes = encodeRecord({ ...whole, intervalMs: 500 }, key)
      const expected = { ...whole, intervalMs: 500, signed: key !== undefined }
      expect(decodeRecord(expectGolden(`discovery-${name}`, bytes))).toEqual(expected)
    }
  })

  test('is refused when it is cut at any byte, or longer', () => {
    const bytes = Buffer.from(encodeRecord({ ...whole, intervalMs: 500 }, sign))
    for (let end = 0; end < bytes.length; end++)
      expect(codeOf(() => decodeRecord(bytes.subarray(0, end)))).toBe('PROTOCOL_ERROR')
    const longer = Buffer.concat([bytes, Buffer.of(0)])
    expect(codeOf(() => decodeRecord(longer))).toBe('PROTOCOL_ERROR')
    const large = Buffer.alloc(DISCOVERY.datagramBytesMax + 1)
    expect(codeOf(() => decodeRecord(large))).toBe('FRAME_TOO_BIG')
  })

  test('fits into a datagram at its longest', () => {
    const longest = announcement('n'.repeat(64), { address: `tcp://${'h'.repeat(249)}` })
    const bytes = record(longest, 1, { cluster: 'c'.repeat(64) })
    expect(bytes.length).toBeLessThanOrEqual(DISCOVERY.datagramBytesMax)
    expect(decodeRecord(bytes).said).toEqual(longest)
  })

  test('holds no address that could upset a log or a terminal', () => {
    for (const address of ['', 'tcp://a b', 'tcp://\u001b[2J', 'tcp://\u00e4'])
      expect(codeOf(() => decodeRecord(record(announcement('a', { address }), 1)))).toBe(
        'PROTOCOL_ERROR',
      )
  })
})

describe('the table of who was heard', () => {
  function table(more: { sign?: typeof sign | undefined; loopbackOnly?: boolean } = {}) {
    const clock = new VirtualClock()
    const key = 'sign' in more ? more.sign : sign
    const heard = new HeardNodes({
      ...{ cluster: 'shop', clock, sign: key, loopbackOnly: more.loopbackOnly ?? false },
      ownProcess: () => announcement('self').process,
    })
    return { clock, heard }
  }

  test('drops and counts by reason, and keeps nothing of it', () => {
    const { clock, heard } = table()
    const now = clock.wall()
    const a = announcement('a')
    const { replayMs } = DISCOVERY
    const wrong: [string, Buffer][] = [
      ['tooLarge', Buffer.alloc(600)],
      ['malformed', Buffer.from('GET / HTTP/1.1')],
      ['foreignCluster', record(a, now, { cluster: 'other' })],
      ['badSignature', record(a, now, { sign: otherSign })],
      ['badSignature', record(a, now, { sign: undefined })],
      ['oldTime', record(a, now - replayMs - 1)],
      ['oldTime', record(a, now + replayMs + 1)],
    ]
    for (const [reason, bytes] of wrong) {
      const before = (heard.counts as unknown as Record<string, number>)[reason]
      expect(heard.take(bytes, true)).toBe('none')
      expect((heard.counts as unknown as Record<string, number>)[reason]).toBe(before + 1)
    }
    expect(heard.counts.heard).toBe(0)
    expect(heard.known).toEqual([])
    // One bit of a signed one, wherever it is.
    const good = record(a, now)
    for (let i = 0; i < good.length; i++) {
      const bent = Buffer.from(good)
      bent[i] ^= 1
      expect(heard.take(bent, true)).toBe('none')
    }
    expect(heard.take(good, true)).toBe('new')
  })

  test('a repeated announcement counts for nothing, and brings nobody back who has left', () => {
    const { clock, heard } = table()
    const a = announcement('a')
    const first = record(a, clock.wall())
    expect(heard.take(first, true)).toBe('new')
    expect(heard.take(first, true)).toBe('none')
    const bye = record({ ...a, presence: 'leaving' }, clock.wall() + 5)
    expect(heard.take(bye, true)).toBe('gone')
    expect(heard.known).toEqual([])
    expect(heard.take(first, true)).toBe('none')
    expect(heard.take(bye, true)).toBe('none')
    expect(heard.known).toEqual([])
    expect(heard.counts.oldTime).toBe(3)
  })

  test('forgets who is silent for four of its own intervals', () => {
    const { clock, heard } = table()
    heard.take(record(announcement('a'), clock.wall(), { intervalMs: 100 }), true)
    heard.take(record(announcement('b'), clock.wall(), { intervalMs: 1_000 }), true)
    clock.after(401, () => undefined)
    clock.step()
    expect(heard.forget()).toBe(true)
    expect(heard.known.map(({ said }) => said?.id)).toEqual(['b'])
    expect(heard.forget()).toBe(false)
  })

  test('unsigned ones count from this host only, signed ones not at all without a secret', () => {
    const { clock, heard } = table({ sign: undefined, loopbackOnly: true })
    const a = announcement('a')
    expect(heard.take(record(a, clock.wall(), { sign: undefined }), false)).toBe('none')
    expect(heard.take(record(a, clock.wall()), true)).toBe('none')
    expect(heard.take(record(a, clock.wall(), { sign: undefined }), true)).toBe('new')
    expect(heard.counts).toMatchObject({ foreignHost: 1, badSignature: 1, heard: 1 })
  })

  test('is bounded, and so is what is judged in a second', () => {
    const { clock, heard } = table()
    const { sightingsMax, judgedPerSecMax } = DISCOVERY
    for (let i = 0; i < sightingsMax + 10; i++) {
      const process = i.toString(16).padStart(16, '0')
      heard.take(record(announcement('a', { process }), clock.wall()), true)
    }
    expect(heard.known).toHaveLength(sightingsMax)
    expect(heard.counts.tableFull).toBe(10)
    for (let i = 0; i < judgedPerSecMax; i++)
      heard.take(record(announcement('b'), clock.wall(), { sign: otherSign }), true)
    expect(heard.counts.tooMany).toBe(sightingsMax + 10)
    clock.after(1_000, () => undefined)
    clock.step()
    expect(
      heard.take(
        record(announcement('a', { process: '0'.repeat(16), presence: 'forming' }), clock.wall()),
        true,
      ),
    ).toBe('known')
  })

  test('does not hear itself', () => {
    const { clock, heard } = table()
    expect(heard.take(record(announcement('self'), clock.wall()), true)).toBe('none')
    expect(heard.known).toEqual([])
  })
})

const open: Discovery[] = []
const servers: NameServer[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map(discovery => discovery.stop()))
  await Promise.all(servers.splice(0).map(server => server.stop()))
})

interface Started {
  readonly discovery: Discovery
  /** Resolves once `holds`; looked at whenever the discovery says that it has news. */
  until(holds: (known: readonly string[]) => boolean): Promise<void>
}

async function start(
  factory: DiscoveryFactory,
  more: Partial<DiscoveryEnv> = {},
): Promise<Started> {
  const env = { cluster: 'shop', clock: systemClock, random: seededRandom(1), logger: SILENCE }
  const discovery = factory({ ...env, proved: false, insecure: false, ...more })
  open.push(discovery)
  let look: () => void = () => undefined
  await discovery.start(() => look())
  const until = (holds: (known: readonly string[]) => boolean) =>
    new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('not within 5 s')), 5_000)
      look = () => {
        if (!holds(discovery.known().map(({ address }) => address))) return
        clearTimeout(late)
        resolve()
      }
      look()
    })
  return { discovery, until }
}

const self = (id: string, more?: Partial<Announcement>) => () => announcement(id, more)
const addressOf = (id: string) => announcement(id).address

describe('multicast', () => {
  test('nodes of one host hear each other, clients listen, and a farewell is heard', async () => {
    const port = await freeMulticastPort()
    const found = () => multicast({ port, intervalMs: 100 })
    const a = await start(found(), { self: self('a') })
    const client = await start(found())
    const b = await start(found(), { self: self('b') })
    await a.until(known => known.includes(addressOf('b')))
    await b.until(known => known.includes(addressOf('a')))
    await client.until(known => known.length === 2)
    await b.discovery.stop()
    await client.until(known => known.join() === addressOf('a'))
    await a.until(known => known.length === 0)
  })

  test('one that falls silent is forgotten', async () => {
    const port = await freeMulticastPort()
    const listener = await start(multicast({ port, intervalMs: 50 }))
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1', () => {
      socket.setMulticastInterface('127.0.0.1')
      const bytes = record(announcement('z'), Date.now(), { intervalMs: 50, sign: undefined })
      socket.send(bytes, port, DISCOVERY.group, () => socket.close())
    })
    await listener.until(known => known.length === 1)
    await listener.until(known => known.length === 0)
  })

  test('garbage, other clusters and other secrets are counted and harm nobody', async () => {
    const port = await freeMulticastPort()
    const found = () => multicast({ port, intervalMs: 100 })
    const a = await start(found(), { self: self('a'), sign })
    const b = await start(found(), { self: self('b'), sign })
    await start(found(), { self: self('c'), sign: otherSign })
    await start(found(), { self: self('d'), sign, cluster: 'other' })
    const socket = createSocket('udp4')
    await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve))
    socket.setMulticastInterface('127.0.0.1')
    const random = seededRandom(5)
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.alloc(i * 4, Math.floor(random.next() * 256))
      await new Promise(resolve => socket.send(bytes, port, DISCOVERY.group, resolve))
    }
    socket.close()
    await a.until(known => known.join() === addressOf('b'))
    await b.until(known => known.join() === addressOf('a'))
    const counts = () => a.discovery.counts?.() ?? {}
    const deadline = performance.now() + 5_000
    while (!(counts().badSignature > 0 && counts().foreignCluster > 0 && counts().tooLarge > 0)) {
      expect(performance.now()).toBeLessThan(deadline)
      await new Promise(resolve => setImmediate(resolve))
    }
    expect(counts().malformed).toBeGreaterThan(0)
  })

  test('unsigned beyond loopback is INSECURE; a password judges no signature', async () => {
    // An address for documents: no host has it (RFC 5737).
    const beyond = '203.0.113.9'
    const env = { cluster: 'shop', clock: systemClock, random: seededRandom(1), logger: SILENCE }
    const make = (factory: DiscoveryFactory, more: Partial<DiscoveryEnv> = {}) =>
      codeOf(() => factory({ ...env, proved: false, insecure: false, ...more }))
    expect(make(multicast(), { proved: true })).toBe('CONFIG')
    expect(make(multicast({ secret: 's'.repeat(32) }), { proved: true })).toBeUndefined()
    expect(make(multicast({ interface: beyond }))).toBe('INSECURE')
    expect(make(multicast({ interface: beyond }), { sign })).toBeUndefined()
    expect(make(multicast({ interface: beyond, insecure: true }))).toBeUndefined()
    expect(make(multicast({ interface: beyond }), { insecure: true })).toBeUndefined()
    const port = await freeMulticastPort()
    await expect(start(multicast({ port, interface: beyond }), { sign })).rejects.toMatchObject({
      code: 'ADDRESS_INVALID',
    })
  })

  test('wrong options are CONFIG, by their names', () => {
    const wrong: [object, RegExp][] = [
      [{ group: '10.0.0.1' }, /group/],
      [{ port: 0 }, /port/],
      [{ ttl: 99 }, /ttl/],
      [{ intervalMs: 1 }, /intervalMs/],
      [{ interface: 'eth0' }, /interface/],
      [{ secret: 'short' }, /secret/],
      [{ prot: 1 }, /prot.*port/],
    ]
    for (const [options, text] of wrong)
      expect(() => multicast(options)).toThrow(
        expect.objectContaining({ code: 'CONFIG', message: expect.stringMatching(text) }),
      )
  })

  test('a port that somebody does not share is ADDRESS_IN_USE', async () => {
    const socket = createSocket('udp4')
    await new Promise<void>(resolve => socket.bind(0, resolve))
    try {
      await expect(start(multicast({ port: socket.address().port }))).rejects.toMatchObject({
        code: 'ADDRESS_IN_USE',
      })
    } finally {
      socket.close()
    }
  })
})

describe('dns', () => {
  async function nameServer(): Promise<NameServer> {
    const server = await NameServer.start()
    servers.push(server)
    return server
  }

  test('A and AAAA give addresses, which follow the records', async () => {
    const server = await nameServer()
    const v4 = (address: string) => ({ type: 'A', address }) as const
    server.records.set('nodes.test', [
      v4('10.0.0.1'),
      v4('10.0.0.2'),
      { type: 'AAAA', address: '::7' },
    ])
    const options = { name: 'nodes.test', port: 7_400, everyMs: 100, servers: [server.address] }
    const found = await start(dns(options))
    await found.until(
      known => known.join() === 'tcp://10.0.0.1:7400,tcp://10.0.0.2:7400,tcp://[::7]:7400',
    )
    server.records.set('nodes.test', [v4('10.0.0.3')])
    await found.until(known => known.join() === 'tcp://10.0.0.3:7400')
  })

  test('addresses are of the scheme that is said, else of the node`s own', async () => {
    const server = await nameServer()
    server.records.set('nodes.test', [{ type: 'A', address: '10.0.0.1' }])
    const options = { name: 'nodes.test', port: 7_400, everyMs: 100, servers: [server.address] }
    const own = await start(dns(options), { scheme: 'ws' })
    await own.until(known => known.join() === 'ws://10.0.0.1:7400')
    const said = await start(dns({ ...options, scheme: 'wss' }), { scheme: 'ws' })
    await said.until(known => known.join() === 'wss://10.0.0.1:7400')
  })

  test('SRV records give their ports, and targets are asked for their addresses', async () => {
    const server = await nameServer()
    server.records.set('_gcache._tcp.test', [
      { type: 'SRV', target: 'one.test', port: 7_401 },
      { type: 'SRV', target: 'two.test', port: 7_402 },
      { type: 'SRV', target: 'nowhere.test', port: 7_403 },
    ])
    server.records.set('one.test', [{ type: 'A', address: '10.0.0.1' }])
    server.records.set('two.test', [{ type: 'A', address: '10.0.0.2' }])
    const servers = [server.address]
    const found = await start(dns({ name: '_gcache._tcp.test', srv: true, everyMs: 100, servers }))
    await found.until(known => known.join() === 'tcp://10.0.0.1:7401,tcp://10.0.0.2:7402')
  })

  test('what does not resolve is NAME_UNRESOLVED, and what was known stays', async () => {
    const server = await nameServer()
    const options = { name: 'nodes.test', port: 7_400, everyMs: 100, servers: [server.address] }
    const found = await start(dns(options))
    await found.until(() => found.discovery.trouble?.() !== undefined)
    expect(found.discovery.trouble?.()).toMatchObject({ code: 'NAME_UNRESOLVED', retryable: true })
    expect(found.discovery.trouble?.()).toBeInstanceOf(GcacheError)
    server.records.set('nodes.test', [{ type: 'A', address: '10.0.0.1' }])
    await found.until(known => known.length === 1)
    expect(found.discovery.trouble?.()).toBeUndefined()
    server.broken = true
    await found.until(() => found.discovery.trouble?.() !== undefined)
    expect(found.discovery.known()).toHaveLength(1)
  })

  test('wrong options are CONFIG', () => {
    const wrong: [object, RegExp][] = [
      [{}, /name/],
      [{ name: 'a.test' }, /port is missing/],
      [{ name: 'a.test', srv: true, port: 1 }, /leave port out/],
      [{ name: '10.0.0.1', port: 1 }, /is an address/],
      [{ name: 'a.test', port: 1, servers: ['nonsense'] }, /servers/],
      [{ name: 'a.test', port: 1, servers: [] }, /servers/],
      [{ name: 'a.test', port: 1, every: 1 }, /every.*everyMs/],
      [{ name: 'a.test', srv: 'yes' }, /srv/],
    ]
    for (const [options, text] of wrong)
      expect(() => dns(options as never)).toThrow(
        expect.objectContaining({ code: 'CONFIG', message: expect.stringMatching(text) }),
      )
  })
})

describe('static addresses', () => {
  test('are known from the beginning, each once; what is no list is CONFIG', async () => {
    const { discovery } = await start(staticAddresses(['tcp://h:1', 'tcp://h:2', 'tcp://h:1']))
    expect(discovery.known()).toEqual([{ address: 'tcp://h:1' }, { address: 'tcp://h:2' }])
    for (const wrong of [[], 'tcp://h:1', [7], ['']])
      expect(codeOf(() => staticAddresses(wrong as never))).toBe('CONFIG')
  })
})
