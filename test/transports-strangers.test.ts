/**
 * SECURITY, rows 1 to 4: what strangers may say and how many there may be before anybody knows who
 * they are. Each test names its row.
 */
import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { LIMITS, TIMES } from '../src/config.js'
import { SILENCE } from '../src/core/silence.js'
import type { GcacheError } from '../src/errors.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { framed } from '../src/wire/frame.js'
import { Admission, hostOf, type Place } from '../transports/stream/admission.js'
import { Allowance } from '../transports/stream/allowance.js'
import { Complaints } from '../transports/stream/complaints.js'
import { arrivingMax } from '../transports/stream/descriptors.js'
import { Handshake, type HandshakeOwner } from '../transports/stream/handshake.js'
import { encodeGreeting, type Hello } from '../transports/stream/hello.js'
import type { StreamConnection } from '../transports/stream/layer.js'
import { streamLimits } from '../transports/stream/limits.js'
import { codeOf } from './harness/codes.js'
import { HANDSHAKE_MS, simulated } from './harness/networks.js'
import { headOf, overStreams, Stranger } from './harness/strangers.js'

describe('row 1, input before authentication', () => {
  test('row 1: the bounds are 4 KiB a frame, 8 frames, 16 KiB in all', () => {
    const { helloBytesMax, greetingFramesMax, greetingBytesMax } = LIMITS
    expect([helloBytesMax, greetingFramesMax, greetingBytesMax]).toEqual([4_096, 8, 16_384])
  })

  overStreams(
    'row 1: a frame over 4 KiB is refused before it came, others live on',
    {},
    async it => {
      const [a, b] = await it.bench.pair()
      const raw = await Stranger.opened(it.bench, a)
      raw.write(headOf(LIMITS.helloBytesMax + 1))
      await it.bench.sees('it is closed', () => raw.closed)
      expect(raw.heard).toContain('PREAUTH_LIMIT')
      expect(a.warnings.at(-1)).toMatchObject({ loss: 'protocol' })
      expect(String(a.warnings.at(-1)?.reason)).toContain('4096 bytes')
      b.send('a', Buffer.from('x'))
      await it.bench.sees('the other link lives', () => a.all('frame', 'b').length === 1)
      expect(a.all('down')).toEqual([])
      await raw.leave()
    },
  )

  test('row 1: the ninth frame and the byte above 16 KiB are PREAUTH_LIMIT', () => {
    const few = new Allowance()
    for (let i = 0; i < 8; i++) few.take(1)
    expect(codeOf(() => few.take(1))).toBe('PREAUTH_LIMIT')
    const large = new Allowance()
    for (let i = 0; i < 3; i++) expect(large.take(4_092)).toBe(4_096)
    expect(large.take(4_000)).toBe(96 - 4)
    expect(codeOf(() => large.take(93))).toBe('PREAUTH_LIMIT')
  })

  overStreams(
    'row 1: a stranger that says hello for ever is cut at its third frame',
    {},
    async it => {
      const a = await it.bench.started('a')
      const raw = await Stranger.opened(it.bench, a)
      for (let i = 0; i < 100; i++) raw.hello('~again', { dial: i + 1 })
      await it.bench.sees('it is closed', () => raw.closed)
      expect(a.happenings).toEqual([])
      expect(a.warnings).toHaveLength(1)
      await raw.leave()
    },
  )
})

describe('row 2, output before authentication', () => {
  test('row 2: a stranger that reads nothing is cut before 16 KiB wait for it', () => {
    let unsentBytes = LIMITS.greetingQueueBytesMax - 40
    let destroyed = false
    const connection = {
      ...{ events: undefined as never, pause() {}, resume() {}, close() {} },
      get unsentBytes() {
        return unsentBytes
      },
      write(bytes: Uint8Array) {
        unsentBytes += bytes.length
        return false
      },
      destroy() {
        destroyed = true
      },
    } satisfies StreamConnection
    const failures: (string | undefined)[] = []
    const owner: HandshakeOwner = {
      ...{ self: 'a', authenticator: undefined, proofMs: 0, after: () => ({ cancel() {} }) },
      hello: () => ({ ...HELLO, from: 'a', to: '~c' }),
      judge: () => ({ accept: true }),
      established() {},
      failed: (_, __, cause) => failures.push((cause as GcacheError).code),
    }
    const handshake = new Handshake(owner, undefined, LIMITS.helloBytesMax)
    handshake.begin(connection, { cancel() {} })
    handshake.onData(framed(encodeGreeting(HELLO)))
    expect(failures).toEqual(['PREAUTH_LIMIT'])
    expect(destroyed).toBe(true)
    expect(unsentBytes).toBeLessThanOrEqual(LIMITS.greetingQueueBytesMax)
  })
})

describe('row 3, time before authentication', () => {
  test('row 3: connect and hello have 2 s together', () => {
    expect(TIMES.handshakeMs).toBe(2_000)
    expect(streamLimits({}, 'x').handshakeMs).toBe(2_000)
  })

  overStreams('row 3: who is silent, drips, or never says ready is cut off', {}, async it => {
    const { bench } = it
    const a = await bench.started('a')
    const silent = await Stranger.opened(bench, a)
    const half = await Stranger.opened(bench, a)
    half.hello('~half')
    const drip = await Stranger.opened(bench, a)
    const bytes = Buffer.concat([headOf(4_000), Buffer.alloc(4_000, 1)])
    const wallMs = it.name !== 'memory' ? HANDSHAKE_MS : 2_000
    const all = [silent, half, drip]
    const { clock } = bench.medium
    const began = clock.now()
    for (let at = 0; all.some(one => !one.closed) && clock.now() - began < 3 * wallMs; at++) {
      if (!drip.closed) drip.write(bytes.subarray(at, at + 1))
      await bench.pass(wallMs / 40)
      if (clock.now() - began < wallMs * 0.9) expect(all.some(one => one.closed)).toBe(false)
    }
    expect(all.map(one => one.closed)).toEqual([true, true, true])
    if (it.name === 'memory') expect(clock.now() - began).toBeLessThanOrEqual(2_100)
    expect(a.happenings).toEqual([])
    for (const one of all) await one.leave()
  })
})

describe('row 4, numbers before authentication', () => {
  test('row 4: the bounds are 10,000 links, 256 strangers, 16 an address, 64 in reserve', () => {
    const { linksMax, strangersMax, strangersPerHostMax, descriptorsReserve } = LIMITS
    const bounds = [linksMax, strangersMax, strangersPerHostMax, descriptorsReserve]
    expect(bounds).toEqual([10_000, 256, 16, 64])
    const own = streamLimits({}, 'x')
    expect([own.linksMax, own.strangersMax, own.strangersPerHostMax]).toEqual(bounds.slice(0, 3))
  })

  overStreams(
    'row 4: of 300 strangers 256 are heard, the newest are refused first, links live on',
    medium => (medium !== 'memory' ? { strangersPerHostMax: 300, handshakeMs: 2_000 } : {}),
    async it => {
      const { bench } = it
      const a = await bench.started('a')
      const good = await Stranger.opened(bench, a, 'good')
      await good.link('~good')
      const crowd: Stranger[] = []
      for (let i = 0; i < 300; i++) crowd.push(new Stranger(bench, a, `host${i % 20}`))
      await bench.sees('44 are refused', () => crowd.filter(one => one.closed).length >= 44)
      await bench.pass(20)
      const refused = crowd.filter(one => one.closed)
      expect(refused).toHaveLength(44)
      if (it.name === 'memory') expect(crowd.slice(256)).toEqual(refused)
      for (const one of refused) expect(one.heard).toContain('256 handshakes are unfinished')
      good.write(framed(Buffer.from('x')))
      await bench.sees('the link carries', () => a.all('frame', '~good').length === 1)
      expect(a.warnings.length, 'lines of a log').toBeLessThanOrEqual(21)
      for (const one of [good, ...crowd]) await one.leave()
    },
  )

  overStreams(
    'row 4: one address has 16 unfinished handshakes, and places come back',
    {},
    async it => {
      const { bench } = it
      const a = await bench.started('a')
      const crowd = Array.from({ length: 20 }, () => new Stranger(bench, a, 'one'))
      await bench.sees('4 are refused', () => crowd.filter(one => one.closed).length >= 4)
      await bench.pass(20)
      expect(crowd.filter(one => one.closed)).toHaveLength(4)
      expect(crowd.find(one => one.closed)?.heard).toContain('16 handshakes of')
      await Promise.all(crowd.filter(one => !one.closed).map((one, i) => one.link(`~c${i}`)))
      const more = await Stranger.opened(bench, a, 'one')
      await more.link('~more')
      expect(a.all('up')).toHaveLength(17)
      for (const one of [...crowd, more]) await one.leave()
    },
  )

  test('row 4: an address whose links were ended waits, longer each time, for some minutes', () => {
    const { handshakeMs } = TIMES
    const admission = new Admission({ strangersMax: 9, strangersPerHostMax: 9, handshakeMs })
    const [there, elsewhere] = ['10.0.0.1', '10.0.0.2'].map(host => admission.enter(host) as Place)
    const waits = Array.from({ length: 20 }, () => {
      admission.blame('::ffff:10.0.0.1', 0)
      return admission.waitMs(there, 0)
    })
    expect(waits.slice(0, LIMITS.endedFree + 5)).toEqual([0, 0, 0, 0, 100, 200, 400, 800, 1_000])
    expect(Math.max(...waits), 'others behind it still get links').toBe(handshakeMs / 2)
    expect(admission.waitMs(elsewhere, 0)).toBe(0)
    expect(admission.waitMs(there, 120_000)).toBe(200)
    expect(admission.waitMs(there, 3 * 60_000)).toBe(0)
    admission.meetPeer('10.0.0.1')
    expect(admission.waitMs(admission.enter('10.0.0.1') as Place, 0), 'a peer').toBe(0)
  })

  overStreams(
    'row 4: who sends what is no frame again and again is answered later',
    { handshakeMs: TIMES.handshakeMs },
    async it => {
      const { bench } = it
      const a = await bench.started('a')
      const { clock } = bench.medium
      const answeredMs = async (name: string) => {
        const stranger = await Stranger.opened(bench, a, 'liar')
        const began = clock.now()
        await stranger.link(name)
        const took = clock.now() - began
        stranger.write(headOf(2 ** 31))
        await bench.sees('it is ended', () => stranger.closed)
        await stranger.leave()
        return took
      }
      for (let i = 0; i < LIMITS.endedFree + 4; i++) await answeredMs('~liar')
      expect(await answeredMs('~liar')).toBeGreaterThanOrEqual(790)
      expect(a.all('down').map(({ loss }) => loss)).toEqual(Array(9).fill('protocol'))
    },
  )

  test('row 4: one who waits, and is gone meanwhile, leaves no timer behind', () => {
    const clock = new VirtualClock()
    const reads: boolean[] = []
    const pause = () => reads.push(false)
    const resume = () => reads.push(true)
    const [left, stays] = [0, 1].map(() => {
      const owner = { after: (ms: number, task: () => void) => clock.after(ms, task) }
      const handshake = new Handshake(owner as HandshakeOwner, undefined, LIMITS.helloBytesMax)
      const connection = { pause, resume, destroy() {} } as unknown as StreamConnection
      handshake.begin(connection, { cancel() {} })
      handshake.delay(500)
      return handshake
    })
    expect(reads).toEqual([false, false])
    left.abandon()
    expect(clock.step(), 'who stays is read from').toBe(true)
    expect([reads, stays.phase]).toEqual([[false, false, true], 'listening'])
    expect(clock.step(), 'nobody else is').toBe(false)
  })

  test('row 4: where a peer has been is room for it, however many strangers knock', async () => {
    const { bench } = simulated(2)
    const [a, b] = await bench.pair()
    b.disconnect('a')
    await bench.sees('a is told', () => a.all('down').length === 1)
    const crowd = Array.from({ length: 300 }, (_, i) => new Stranger(bench, a, `host${i % 20}`))
    await bench.sees('it is full', () => crowd.some(one => one.closed))
    b.connect('a', a.transport.address)
    await bench.sees('b is back', () => a.isUp('b'))
    const c = await bench.started('c')
    c.connect('a', a.transport.address)
    await bench.sees('c was never here', () => c.all('down').length === 1)
    expect(c.all('down')[0].cause).toMatchObject({ code: 'PREAUTH_LIMIT' })
    expect(c.all('down')[0].loss, 'no sign of death').toBe('refused')
    a.connect('c', c.transport.address)
    await bench.sees('our own dial needs no place', () => a.isUp('c'))
  })

  overStreams(
    'row 4: beyond its links a node refuses clients, not peers',
    { linksMax: 3 },
    async it => {
      const { bench } = it
      const a = await bench.started('a')
      const clients = await Promise.all([1, 2, 3].map(() => Stranger.opened(bench, a)))
      for (const [i, client] of clients.entries()) await client.link(`~c${i}`)
      const fourth = await Stranger.opened(bench, a)
      fourth.hello('~c4')
      await bench.sees('it is refused', () => fourth.closed)
      expect(fourth.heard).toContain('3 links stand already')
      const again = await Stranger.opened(bench, a)
      again.hello('~c0', { dial: 2 })
      await bench.sees('an old one that dials anew is heard', () => again.heardBytes > 0)
      expect(again.heard).not.toContain('stand already')
      const b = await bench.started('b')
      b.connect('a', a.transport.address)
      await bench.sees('a peer is let in', () => a.isUp('b'))
      for (const one of [...clients, fourth, again]) await one.leave()
    },
  )

  test('row 4: 64 descriptors stay in reserve', () => {
    const granted = arrivingMax(0)
    if (granted === Number.POSITIVE_INFINITY) return
    expect(granted - arrivingMax()).toBeGreaterThanOrEqual(60)
    expect(granted - arrivingMax()).toBeLessThanOrEqual(68)
    expect(arrivingMax(2 ** 40), 'one may always come').toBe(1)
    if (process.platform !== 'linux') return
    const open = readdirSync('/proc/self/fd').length
    const { userLimits } = process.report.getReport() as never as {
      userLimits: { open_files: { soft: number } }
    }
    expect(Math.abs(userLimits.open_files.soft - open - granted)).toBeLessThan(8)
  })

  test('row 4: an address is IPv4 whole, of IPv6 the first 64 bits', () => {
    expect(hostOf('10.1.2.3')).toBe('10.1.2.3')
    expect(hostOf('::ffff:10.1.2.3')).toBe('10.1.2.3')
    expect(hostOf('2001:db8:1:2:3:4:5:6')).toBe(hostOf('2001:DB8:1:2::9'))
    expect(hostOf('2001:db8:1:2::9')).not.toBe(hostOf('2001:db8:1:3::9'))
    expect(hostOf('fe80::1%eth0')).toBe(hostOf('fe80::2'))
    expect(hostOf('::1')).toBe('0:0:0:0::/64')
  })

  test('row 4: whatever comes and goes, nothing stays behind', () => {
    const admission = new Admission({ strangersMax: 5, strangersPerHostMax: 2, handshakeMs: 1 })
    const places: Place[] = []
    for (let i = 0; i < 2_000; i++) {
      const host = `h${(i * 7) % 11}`
      if (i % 13 === 0) admission.meetPeer(host)
      const place = admission.enter(host)
      if (typeof place !== 'string') places.push(place)
      expect(admission.strangers).toBeLessThanOrEqual(5)
      if (i % 3 === 0) for (const one of places.splice(0, 4)) admission.leave(one)
    }
    for (const one of places) admission.leave(one)
    expect([admission.strangers, admission.hosts]).toEqual([0, 0])
  })

  test('rows 1 to 4: what is refused is counted, and cannot fill a log', () => {
    const clock = new VirtualClock()
    const lines: Record<string, unknown>[] = []
    const logger = { ...SILENCE, warn: (fields: Record<string, unknown>) => lines.push(fields) }
    const complaints = new Complaints(logger as never, clock)
    for (let ms = 0; ms < 10_000; ms++) {
      complaints.warn({ ms }, 'refused')
      clock.advance(1)
    }
    expect(complaints.count).toBe(10_000)
    expect(lines.length).toBeGreaterThan(20)
    expect(lines.length).toBeLessThanOrEqual(30)
    const omitted = lines.reduce((sum, line) => sum + ((line.omitted as number) ?? 0), 0)
    expect(lines.length + omitted).toBeGreaterThan(8_900)
  })
})

const HELLO: Hello = {
  kind: 'hello',
  version: 1,
  cluster: 'suite',
  from: '~c',
  to: 'a',
  frameBytesMax: 2 ** 20,
  life: 'once',
  dial: 1,
}
