/** T1, T2, T8-T12: how links come, go and are refused. */
import assert from 'node:assert/strict'
import { SILENCE } from '../core/silence.js'
import { GcacheError } from '../errors.js'
import type { Bench, BenchNode } from './transport-bench.js'
import type { Law } from './transport-suite.js'

const HELLO = Buffer.from('hello')

export const LINK_LAWS: readonly Law[] = [
  {
    name: 'T1 start resolves only when the node is reachable',
    async run(bench) {
      const a = await bench.started('a')
      assert.notEqual(a.transport.address, '')
      const b = await bench.started('b', { listens: false })
      assert.equal(b.transport.address, '')
      b.connect('a', a.transport.address)
      await bench.sees('the first dial succeeds', () => b.isUp('a') && a.isUp('b'))
      assert.deepEqual(b.all('down'), [])
    },
  },
  {
    name: 'T1 start rejects with a code for an address that is taken or is none',
    async run(bench) {
      const a = await bench.started('a')
      const { transport, random, clock } = bench.medium
      const { address } = a.transport
      const codeAt = async (listen: string) => {
        const other = transport({
          self: 'a',
          cluster: 'suite',
          listen,
          random,
          clock,
          logger: SILENCE,
        })
        const error = await other.start(a).catch((cause: unknown) => cause)
        await other.stop()
        assert.ok(error instanceof GcacheError, `start at ${listen} rejects with a GcacheError`)
        return error.code
      }
      assert.equal(await codeAt(address), 'ADDRESS_IN_USE')
      assert.equal(await codeAt('nonsense'), 'ADDRESS_INVALID')
    },
  },
  {
    name: 'T2 up precedes the first frame, exactly one down follows, and sessions grow',
    async run(bench) {
      const [a, b] = await bench.pair((it, node) => {
        if (it.kind === 'up') node.send(it.peer, HELLO)
      })
      await bench.sees('both have heard', () => a.all('frame').length + b.all('frame').length === 2)
      const first = b.sessionOf('a') as number
      b.disconnect('a')
      await bench.sees('both are down', () => !a.isUp('b') && !b.isUp('a'))
      assert.equal(b.all('down')[0].loss, 'local')
      b.connect('a', a.transport.address)
      await bench.sees('both are up again', () => a.isUp('b') && b.isUp('a'))
      assert.ok((b.sessionOf('a') as number) > first)
      await a.stop()
      await bench.sees('the other side is down again', () => !b.isUp('a'))
      await bench.pass(50)
      assert.equal(a.all('down').length, 1)
      assert.deepEqual(
        b.all('down').map(it => it.session),
        b.all('up').map(it => it.session),
      )
    },
  },
  {
    name: 'T2 a handler that hangs up and throws as well hears of it once',
    async run(bench) {
      const a = await bench.started('a', {
        on(it, node) {
          if (it.kind !== 'frame') return
          node.disconnect(it.peer)
          throw new GcacheError('PROTOCOL_ERROR', 'no frame of ours')
        },
      })
      const b = await bench.started('b')
      b.connect('a', a.transport.address)
      await bench.sees('both are up', () => a.isUp('b') && b.isUp('a'))
      for (let i = 0; i < 3; i++) b.send('a', HELLO)
      await bench.sees('both are down', () => !a.isUp('b') && !b.isUp('a'))
      await bench.pass(50)
      assert.deepEqual(
        a.happenings.map(it => it.kind),
        ['up', 'frame', 'down'],
      )
    },
  },
  {
    name: 'T8 no handler call from inside send, flush, connect or disconnect',
    async run(bench) {
      const [a, b] = await bench.pair((it, node) => {
        if (it.kind === 'frame' && it.frame.length === 1) {
          node.send(it.peer, it.frame)
          node.flush(it.peer)
          node.disconnect(it.peer)
          node.connect(it.peer, bench.medium.nowhere)
        }
      })
      b.connect('c', 'nonsense')
      b.connect('d', bench.medium.nowhere)
      b.disconnect('d')
      b.send('a', Buffer.from('x'))
      b.flush('a')
      await bench.sees('the bad dial was answered', () => b.all('down', 'c').length === 1)
      await bench.sees('the aborted dial was answered', () => b.all('down', 'd').length === 1)
      await bench.sees('the frame ended the link', () => a.all('down', 'b').length > 0)
      assert.equal(b.all('down', 'd')[0].loss, 'local')
    },
  },
  {
    name: 'T9 connect to nowhere answers down with session 0 and a cause in bounded time',
    async run(bench) {
      const { nowhere, handshakeMs, clock } = bench.medium
      const a = await bench.started('a', { listens: false })
      const begunMs = clock.now()
      a.connect('b', nowhere)
      a.connect('b', nowhere)
      await bench.sees('the dial was answered', () => a.all('down').length > 0, 2 * handshakeMs)
      await bench.pass(50)
      assert.ok(clock.now() - begunMs < 2 * handshakeMs + 100)
      assert.equal(a.all('down').length, 1, 'a second connect() during an attempt does nothing')
      const [{ session, cause, loss }] = a.all('down')
      assert.equal(session, 0)
      assert.ok(['refused', 'timeout', 'unreachable'].includes(loss), loss)
      assert.ok(cause instanceof Error)
    },
  },
  {
    name: 'T10 simultaneous dialling leaves one link',
    async run(bench) {
      const { random } = bench.medium
      for (let round = 0; round < 12; round++) {
        const a = await bench.started(`a${round}`)
        const b = await bench.started(`b${round}`)
        const dials = [() => a.connect(b.id, b.transport.address)]
        dials.push(() => b.connect(a.id, a.transport.address))
        if (random.next() < 0.5) dials.reverse()
        dials[0]()
        await bench.pass(random.next() * (round % 3))
        dials[1]()
        await bench.sees('both are up', () => a.isUp(b.id) && b.isUp(a.id))
        await bench.pass(20)
        await exchange(bench, a, b)
        for (const node of [a, b]) {
          assert.equal(node.all('up').length, 1, 'one link, and no other before it')
          assert.deepEqual(node.all('down'), [])
        }
        await a.stop()
        await b.stop()
      }
    },
  },
  {
    name: 'T10 a side that dials again is believed: the old link goes down before the new is up',
    async run(bench) {
      const [a, b] = await bench.pair()
      b.disconnect('a')
      b.connect('a', a.transport.address)
      await bench.sees('b is up again', () => b.all('up').length === 2)
      await bench.sees('a is up again', () => a.all('up').length === 2)
      await exchange(bench, a, b)
      const kinds = a.happenings.filter(it => it.kind !== 'frame').map(it => it.kind)
      assert.deepEqual(kinds, ['up', 'down', 'up'])
    },
  },
  {
    name: 'T11 the hello refuses a wrong cluster, with a reason on both sides',
    async run(bench) {
      const a = await bench.started('a')
      const b = await bench.started('b', { cluster: 'other' })
      b.connect('a', a.transport.address)
      // A broker keeps clusters apart, so nobody is there to say no.
      if (b.transport.traits.topology !== 'broker') await seesRefusal(bench, b, 'a', a, 'cluster')
      else await seesNobody(bench, b, 'a', a)
    },
  },
  {
    name: 'T11 the hello refuses a wrong peer id, and oneself',
    async run(bench) {
      const a = await bench.started('a')
      const b = await bench.started('b')
      b.connect('c', a.transport.address)
      await seesRefusal(bench, b, 'c', a, 'expected')
      b.connect('d', b.transport.address)
      await seesRefusal(bench, b, 'd', b, 'itself')
    },
  },
  {
    name: 'T11 the hello refuses whom either side does not admit',
    async run(bench) {
      const a = await bench.started('a', {
        admit: peer => (peer === 'b' ? 'b is banned' : undefined),
      })
      const b = await bench.started('b')
      b.connect('a', a.transport.address)
      await seesRefusal(bench, b, 'a', a, 'b is banned')
      const c = await bench.started('c', { admit: () => 'a is strange' })
      c.connect('a', a.transport.address)
      await seesRefusal(bench, c, 'a', a, 'a is strange')
    },
  },
  {
    name: 'T11 an alias stands for whoever answers, and bears no second link with it',
    async run(bench) {
      const a = await bench.started('a')
      const c = await bench.started('~c1', { listens: false })
      c.connect('*first', a.transport.address)
      await bench.sees('both are up', () => c.isUp('*first') && a.isUp('~c1'))
      await exchange(bench, a, c, '*first')
      c.connect('*second', a.transport.address)
      await bench.sees('the second is answered', () => c.all('down', '*second').length === 1)
      assert.equal(c.all('down', '*second')[0].loss, 'refused')
      await exchange(bench, a, c, '*first')
      assert.equal(a.all('down').length, 0, 'the first link was left alone')
    },
  },
  {
    name: 'T12 stop is idempotent and silent',
    async run(bench) {
      const [a, b] = await bench.pair()
      const c = await bench.started('c')
      c.connect('a', a.transport.address)
      a.connect('d', bench.medium.nowhere)
      a.send('b', HELLO)
      const stopping = [a.stop(), a.stop()]
      const heard = a.happenings.length
      assert.equal(a.send('b', HELLO), 'dropped')
      a.connect('b', b.transport.address)
      a.disconnect('b')
      a.flush('b')
      await Promise.all(stopping)
      await a.stop()
      await bench.sees('the others have noticed', () => !b.isUp('a') && c.all('down').length > 0)
      await bench.pass(50)
      assert.equal(a.happenings.length, heard, 'no handler call after stop()')
    },
  },
  {
    name: 'T12 stop from inside a frame is safe, and so is a start after it under the same id',
    async run(bench) {
      const a = await bench.started('a', { on: (_, node) => stopOnFrame(node) })
      const b = await bench.started('b')
      b.connect('a', a.transport.address)
      await bench.sees('b is up', () => b.isUp('a'))
      for (let i = 0; i < 5; i++) b.send('a', HELLO)
      await bench.sees('b is down', () => !b.isUp('a'))
      assert.equal(a.all('frame').length, 1)
      const again = await bench.started('a')
      b.connect('a', again.transport.address)
      await bench.sees('b is up again', () => b.isUp('a') && again.isUp('b'))
    },
  },
]

function stopOnFrame(node: BenchNode): void {
  if (node.all('frame').length > 0) void node.stop()
}

/** A frame each way, on the links there are. */
async function exchange(bench: Bench, a: BenchNode, b: BenchNode, name = a.id): Promise<void> {
  const before = [a.all('frame').length, b.all('frame').length]
  assert.equal(a.send(b.id, HELLO), 'sent')
  assert.equal(b.send(name, HELLO), 'sent')
  await bench.sees(
    'a frame has gone each way',
    () => a.all('frame').length > before[0] && b.all('frame').length > before[1],
  )
}

async function seesNobody(
  bench: Bench,
  dialler: BenchNode,
  peer: string,
  acceptor: BenchNode,
): Promise<void> {
  await bench.sees('the dialler is told', () => dialler.all('down', peer).length === 1)
  assert.equal(dialler.all('down', peer)[0].session, 0)
  assert.deepEqual([...dialler.all('up'), ...acceptor.happenings], [])
}

async function seesRefusal(
  bench: Bench,
  dialler: BenchNode,
  peer: string,
  acceptor: BenchNode,
  reason: string,
): Promise<void> {
  await bench.sees('the dialler is told', () => dialler.all('down', peer).length === 1)
  const [{ session, loss, cause }] = dialler.all('down', peer)
  assert.equal(session, 0)
  assert.equal(loss, 'refused')
  assert.ok(cause instanceof GcacheError && cause.code === 'REFUSED')
  assert.ok(cause.message.includes(reason), cause.message)
  const told = () => acceptor.warnings.some(it => String(it.reason).includes(reason))
  await bench.sees('the acceptor has logged it', told)
  assert.equal(dialler.isUp(peer), false)
  assert.equal(acceptor.all('up', dialler.id).length, 0)
}
