/** Links that prove who they are: the laws of a transport hold with it, and nobody else gets in. */
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../src/config.js'
import { seededRandom } from '../src/core/prng.js'
import { SILENCE } from '../src/core/silence.js'
import type { GcacheError } from '../src/errors.js'
import { parseGrants } from '../src/security/grants.js'
import { clientFirst } from '../src/security/scram.js'
import { Bench, type BenchNode, type NodeOptions } from '../src/testing/transport-bench.js'
import { transportSuite } from '../src/testing/transport-suite.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { FrameDecoder, framed } from '../src/wire/frame.js'
import { decodeGreeting, encodeGreeting, type Greeting } from '../transports/stream/hello.js'
import type { StreamConnection, StreamLayer } from '../transports/stream/layer.js'
import { streamTransport } from '../transports/stream/transport.js'
import { tcp } from '../transports/tcp.js'
import { websocket } from '../transports/websocket.js'
import {
  HANDSHAKE_MS,
  memoryMedium,
  overTcp,
  overWeb,
  simulated,
  tcpMedium,
  webMedium,
} from './harness/networks.js'
import { authenticator, proving, type Who } from './harness/proofs.js'

transportSuite({
  test,
  name: 'tcp, proving',
  streams: false,
  medium: () => tcpMedium(seededRandom(1), proving(tcp({ handshakeMs: HANDSHAKE_MS }))),
})

transportSuite({
  test,
  name: 'websocket, proving',
  streams: false,
  medium: () => webMedium(seededRandom(1), proving(websocket({ handshakeMs: HANDSHAKE_MS }))),
})

for (const [name, faults] of [
  ['memory, proving', {}],
  ['memory, harsh, proving', { latencyMsMax: 4, duplicate: 0.3, reorder: 0.3, split: 0.5 }],
] as const)
  transportSuite({
    test,
    name,
    streams: false,
    medium: () =>
      memoryMedium(seededRandom(2), faults, network => proving(network.transport())).medium,
  })

/** Node options of one who proves to be `who`. */
function as(bench: Bench, who: Who): NodeOptions {
  return { authenticator: authenticator(who, bench.medium.clock) }
}

const failuresOf = (node: BenchNode, peer: string) =>
  node.all('down', peer).map(({ loss, cause }) => `${loss} ${(cause as GcacheError)?.code}`)

const mediums = [
  ['memory', () => simulated(1).bench],
  ['tcp', () => overTcp(1)],
  ['websocket', () => overWeb(1)],
] as const

for (const [medium, makeBench] of mediums)
  describe(`over ${medium}`, () => {
    async function meeting(whoListens: Who | 'nobody', id: string, who: Who | 'nobody') {
      const bench = makeBench()
      const auth = (each: Who | 'nobody') => (each === 'nobody' ? {} : as(bench, each))
      const a = await bench.started('a', auth(whoListens))
      const b = await bench.started(id, auth(who))
      b.connect('a', a.transport.address)
      await bench.sees('an answer', () => b.happenings.length > 0)
      return { bench, a, b }
    }

    test('both sides learn who is on the other', async () => {
      const { bench, a, b } = await meeting('node', 'b', 'node')
      await bench.sees('a is up too', () => a.isUp('b'))
      expect(a.all('up')[0].identity).toEqual({ user: 'peer', role: 'peer' })
      expect(b.all('up')[0].identity).toEqual({ user: 'peer', role: 'peer' })
      b.send('a', Buffer.from('hello'))
      await bench.sees('the frame', () => a.all('frame', 'b').length === 1)
      await bench.close()
    })

    test('a user is a client by its name, the secret makes a client an admin', async () => {
      for (const [who, identity] of [
        ['ann', { user: 'ann', role: 'client', grants: parseGrants(['*:rw']) }],
        ['node', { user: 'peer', role: 'admin' }],
      ] as const) {
        const { bench, a } = await meeting('node', '~c', who)
        await bench.sees('a is up', () => a.isUp('~c'))
        expect(a.all('up')[0].identity).toEqual(identity)
        await bench.close()
      }
    })

    test.each([
      ['a wrong secret', 'node', 'b', 'stranger'],
      ['a wrong password', 'node', '~c', 'forgetful'],
      ['an unknown user', 'node', '~c', 'eve'],
      ['a user that plays a node', 'node', 'b', 'ann'],
      ['no proof at all', 'node', 'b', 'nobody'],
      ['a server that asks for none', 'nobody', 'b', 'node'],
      ['a server with another secret', 'node', '~c', 'stranger'],
    ] as const)('%s is AUTH_FAILED, and nothing comes up', async (_, listens, id, who) => {
      const { bench, a, b } = await meeting(listens, id, who)
      expect(failuresOf(b, 'a')).toEqual(['refused AUTH_FAILED'])
      expect([...a.all('up'), ...b.all('up')]).toEqual([])
      await bench.close()
    })

    test('every refusal of a proof reads the same', async () => {
      const messages = new Set<string>()
      for (const [id, who] of [
        ['~c', 'forgetful'],
        ['~c', 'eve'],
        ['b', 'stranger'],
        ['b', 'ann'],
        ['b', 'nobody'],
      ] as const) {
        const { bench, b } = await meeting('node', id, who)
        messages.add(b.all('down')[0].cause?.message ?? 'none')
        await bench.close()
      }
      expect([...messages]).toEqual(['authentication failed'])
    })

    test('a failed proof leaves other links alone', async () => {
      const { bench, a, b } = await meeting('node', 'b', 'node')
      const c = await bench.started('c', as(bench, 'stranger'))
      c.connect('a', a.transport.address)
      await bench.sees('c is refused', () => c.all('down', 'a').length > 0)
      b.send('a', Buffer.from('still here'))
      await bench.sees('the frame', () => a.all('frame', 'b').length === 1)
      expect(a.all('down')).toEqual([])
      await bench.close()
    })
  })

/** A stranger that speaks frames, and hears what is said to it. */
async function stranger(bench: Bench, layer: StreamLayer, address: string) {
  const heard: Greeting[] = []
  let over = false
  let open = false
  const decoder = new FrameDecoder(LIMITS.helloBytesMax, {
    onFrame: frame => heard.push(decodeGreeting(frame)),
  })
  const link: StreamConnection = layer.dial(address, {
    onOpen: () => (open = true),
    onData: chunk => decoder.push(chunk),
    onDrain() {},
    onClose: () => (over = true),
  })
  await bench.sees('it is open', () => open)
  return {
    heard,
    isOver: () => over,
    say: (greeting: Greeting) => link.write(framed(encodeGreeting(greeting))),
    hear: async (count: number) => {
      await bench.sees(`${count} greetings`, () => heard.length >= count)
      return heard[count - 1]
    },
  }
}

const claims = { version: 1, cluster: 'suite', from: '~c', to: 'a', frameBytesMax: 99, life: 'x' }

describe('forged exchanges', () => {
  const covered = 'g=1,k=suite,o=client,f=~c,t=a,b=99,l=x,d=1'
  const hello = { kind: 'hello', ...claims, dial: 1 } as const

  async function world() {
    const { bench, network, clock } = simulated(5)
    const a = await bench.started('a', as(bench, 'node'))
    return {
      bench,
      network,
      clock,
      a,
      met: (id: string) => stranger(bench, network.layer(id), 'memory://a'),
    }
  }

  test('every part of the hello is covered', async () => {
    const { met, bench } = await world()
    const right = await met('~right')
    right.say({ ...hello, proof: clientFirst('ann', 'n0', covered).message })
    expect((await right.hear(1)).kind).toBe('proof')
    for (const wrong of [
      covered.replace('k=suite', 'k=other'),
      covered.replace('o=client', 'o=peer'),
      covered.replace('f=~c', 'f=~d'),
      covered.replace('t=a', 't=b'),
      covered.replace('b=99', 'b=98'),
      covered.replace('l=x', 'l=y'),
      covered.replace('d=1', 'd=2'),
      covered.replace('g=1', 'g=2'),
      `${covered},z=1`,
      '',
    ]) {
      const forged = await met(`~${wrong.length}${wrong.slice(2, 60).replaceAll(/[^a-z]/g, '')}`)
      forged.say({ ...hello, proof: clientFirst('ann', 'n1', wrong).message })
      expect(await forged.hear(1), wrong).toMatchObject({ kind: 'refused', code: 'AUTH_FAILED' })
    }
    await bench.close()
  })

  test('a bound first message is refused on an open link, as is an advertised one', async () => {
    const { met, bench } = await world()
    for (const [id, proof] of [
      ['~bound', clientFirst('ann', 'n', covered, Buffer.alloc(32)).message],
      ['~able', clientFirst('ann', 'n', covered).message.replace('n,,', 'y,,')],
      ['~noise', 'nonsense'],
    ] as const) {
      const forged = await met(id)
      forged.say({ ...hello, proof })
      expect(await forged.hear(1), id).toMatchObject({ kind: 'refused', code: 'AUTH_FAILED' })
    }
    await bench.close()
  })

  test('a replayed exchange is refused', async () => {
    // Between b and a, all that b says is noted, and said again later.
    const { bench, network } = simulated(6)
    const said: Uint8Array[] = []
    const a = await bench.started('a', as(bench, 'node'))
    const layer = network.layer('b')
    const tapped: StreamLayer = {
      scheme: layer.scheme,
      detectsPeerLoss: layer.detectsPeerLoss,
      listen: (address, accept) => layer.listen(address, accept),
      dial: (address, events) => {
        const link = layer.dial(address, events)
        const write = link.write.bind(link)
        link.write = bytes => {
          said.push(Uint8Array.from(bytes))
          return write(bytes)
        }
        return link
      },
      defer: task => layer.defer(task),
      stop: () => layer.stop(),
    }
    const { clock, random } = bench.medium
    const env = {
      self: 'b',
      cluster: 'suite',
      clock,
      random,
      logger: SILENCE,
      ...as(bench, 'node'),
    }
    const b = streamTransport(env, tapped)
    await b.start({ onLinkUp() {}, onLinkDown() {}, onFrame() {}, onWritable() {} })
    b.connect('a', 'memory://a')
    await bench.sees('the link', () => a.isUp('b'))
    await b.stop()
    await bench.sees('its end', () => !a.isUp('b'))
    expect(said.length, 'hello, proof, ready').toBe(3)
    const replay = await stranger(bench, network.layer('b2'), 'memory://a')
    const again = said.map(bytes => decodeGreeting(bytes.subarray(4)))
    replay.say(again[0])
    expect((await replay.hear(1)).kind).toBe('proof')
    replay.say(again[1])
    expect(await replay.hear(2)).toMatchObject({ kind: 'refused', code: 'AUTH_FAILED' })
    expect(a.isUp('b')).toBe(false)
    await bench.close()
  })

  test('what a mirror says back to its speaker is refused before a proof leaves', async () => {
    // b dials the mirror, which says all that b says to b's own door, and back.
    const passed: Greeting[] = []
    const { bench, network } = simulated(7)
    const b = await bench.started('b', as(bench, 'node'))
    const layer = network.layer('mirror')
    await layer.listen('memory://mirror', arrived => {
      const back = layer.dial('memory://b', {
        onOpen: () => {},
        onData: chunk => arrived.write(Uint8Array.from(chunk)),
        onDrain() {},
        onClose: () => arrived.close(),
      })
      arrived.events = {
        onOpen() {},
        onData: chunk => {
          passed.push(decodeGreeting(chunk.subarray(4)))
          back.write(Uint8Array.from(chunk))
        },
        onDrain() {},
        onClose: () => back.close(),
      }
    })
    b.connect('*mirror', 'memory://mirror')
    await bench.sees('an answer', () => b.all('down', '*mirror').length > 0)
    expect(failuresOf(b, '*mirror')).toEqual(['refused REFUSED'])
    expect(passed.map(({ kind }) => kind)).toEqual(['hello'])
    expect(b.all('up')).toEqual([])
    await layer.stop()
    await bench.close()
  })

  test('a reflected message is AUTH_FAILED on either side, whatever the hello says', () => {
    const ends = ['dialler', 'acceptor'] as const
    const codes = ends.map(end => {
      const auth = authenticator('node', new VirtualClock())
      const own = { ...claims, from: 'b', dial: 1 }
      const said: string[] = []
      let code = 'none'
      const events = {
        say: (text: string) => said.push(text),
        proved: () => (code = 'proved'),
        failed: (error: Error) => (code = (error as GcacheError).code),
      }
      const proof = auth.prove(own, {}, events)
      if (end === 'acceptor') auth.examine('b', own, proof.first, {}, events)
      else {
        const nonce = /r=([^,]*)/.exec(proof.first)?.[1]
        proof.receive(`r=${nonce}more,s=AwMDAwMDAwMDAwMDAwMDAw==,i=4096,f=b`)
      }
      expect(said).toEqual([])
      return code
    })
    expect(codes).toEqual(['AUTH_FAILED', 'AUTH_FAILED'])
  })

  test.each([4_095, 1, 10_000_001])('a dialler derives nothing by %i iterations', iterations => {
    const said: string[] = []
    let code = 'none'
    const proof = authenticator('node', new VirtualClock()).prove(
      { ...claims, from: 'b', dial: 1 },
      {},
      {
        say: text => said.push(text),
        proved: () => (code = 'proved'),
        failed: error => (code = (error as GcacheError).code),
      },
    )
    const nonce = /r=([^,]*)/.exec(proof.first)?.[1]
    proof.receive(`r=${nonce}more,s=AwMDAwMDAwMDAwMDAwMDAw==,i=${iterations},f=a`)
    expect({ said, code }).toEqual({ said: [], code: 'AUTH_FAILED' })
  })

  test('a hello before its proof displaces no link and no dial', async () => {
    const { bench, met, a } = await world()
    const b = await bench.started('b', as(bench, 'node'))
    b.connect('a', 'memory://a')
    await bench.sees('the link', () => a.isUp('b'))
    const impostor = await met('impostor')
    impostor.say({ kind: 'hello', ...claims, from: 'b', life: 'newer', dial: 1_000 })
    expect(await impostor.hear(1)).toMatchObject({ kind: 'refused', code: 'AUTH_FAILED' })
    expect(a.all('down')).toEqual([])
    expect(a.isUp('b')).toBe(true)
    await bench.close()
  })

  test('frames in the wrong place end the link alone', async () => {
    const { bench, met, a } = await world()
    const proof = { kind: 'proof', message: 'x' } as const
    const hasty = await met('~hasty')
    hasty.say(proof)
    await bench.sees('its end', () => hasty.isOver())
    const twice = await met('~twice')
    twice.say({ ...hello, proof: clientFirst('ann', 'n', covered).message })
    await twice.hear(1)
    twice.say({ ...hello, proof: clientFirst('ann', 'n', covered).message })
    await bench.sees('its end', () => twice.isOver())
    expect(a.all('up')).toEqual([])
    await bench.close()
  })
})

describe('on encrypted links', () => {
  /** The link of `a` and `b`, each of which has its own idea of what only they know. */
  async function met(ofA: number | undefined, ofB: number | undefined) {
    const { clock, medium } = memoryMedium(seededRandom(11), {}, network => env => {
      const byte = env.self === 'a' ? ofA : ofB
      return streamTransport(env, securedBy(network.layer(env.self), byte))
    })
    const bench = new Bench(medium)
    const a = await bench.started('a', as(bench, 'node'))
    const b = await bench.started('b', as(bench, 'node'))
    b.connect('a', 'memory://a')
    await bench.sees('an answer', () => b.happenings.length > 0)
    clock.advance(100)
    return { up: a.isUp('b') && b.isUp('a'), failures: failuresOf(b, 'a') }
  }

  test('proofs are bound to the encryption, and the unbound form is refused', async () => {
    expect(await met(1, 1)).toEqual({ up: true, failures: [] })
    for (const [ofA, ofB] of [
      [1, 2],
      [1, undefined],
      [undefined, 1],
    ])
      expect(await met(ofA, ofB)).toEqual({ up: false, failures: ['refused AUTH_FAILED'] })
  })
})

/** `layer`, whose links say that they are encrypted and share 32 times `byte`. */
function securedBy(layer: StreamLayer, byte: number | undefined): StreamLayer {
  const secured = <T extends StreamConnection>(link: T): T =>
    byte === undefined
      ? link
      : Object.assign(link, {
          secured: { binding: Buffer.alloc(32, byte), refusal: () => undefined },
        })
  return {
    scheme: layer.scheme,
    detectsPeerLoss: layer.detectsPeerLoss,
    listen: (address, accept) => layer.listen(address, link => accept(secured(link))),
    dial: (address, events) => secured(layer.dial(address, events)),
    defer: task => layer.defer(task),
    stop: () => layer.stop(),
  }
}
