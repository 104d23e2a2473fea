/** TLS on TCP and under WebSockets: the laws over it, who is believed, versions, trouble. */
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../src/config.js'
import type { TlsOptions } from '../src/contracts/tls.js'
import { seededRandom } from '../src/core/prng.js'
import type { Bench } from '../src/testing/transport-bench.js'
import { realTime, transportSuite } from '../src/testing/transport-suite.js'
import { Authority, type Certificate } from './harness/certificates.js'
import { headOf, Stranger } from './harness/strangers.js'
import {
  authority,
  ca,
  dialled,
  portOf,
  SECURE,
  meeting as secureMeeting,
  tlsOf,
} from './harness/tls-bench.js'

for (const over of ['tcp', 'wss'] as const) {
  transportSuite({ test, name: `${over} with tls`, streams: true, medium: () => SECURE[over]() })
}

describe.each(['tcp', 'wss'] as const)('over %s', over => {
  function meeting<T>(
    of: (id: string) => TlsOptions | undefined,
    act: (bench: Bench) => Promise<T>,
    handshakeMs?: number,
  ): Promise<T> {
    return secureMeeting(of, act, handshakeMs, over)
  }

  describe('who is believed', () => {
    test('two nodes whose certificates name their ids are linked, and speak TLS 1.3', async () => {
      await meeting(tlsOf, async bench => {
        const [a, b] = await bench.pair()
        b.send('a', Buffer.from('hello'))
        await bench.sees('it arrives', () => a.all('frame', 'b').length === 1)
        const port = portOf(a)
        const socket = connectTls({
          port,
          host: '127.0.0.1',
          ca,
          checkServerIdentity: () => undefined,
        })
        await new Promise<void>(resolve => socket.once('secureConnect', () => resolve()))
        expect(socket.getProtocol()).toBe('TLSv1.3')
        socket.destroy()
      })
    })

    test('an arriving node with a certificate of another is refused, others live on', async () => {
      const of = (id: string) => tlsOf(id === 'b' ? 'x' : id)
      await meeting(of, async bench => {
        const a = await bench.started('a')
        const c = await bench.started('c')
        expect(await dialled(bench, a, c)).toBeUndefined()
        const b = await bench.started('b')
        const down = await dialled(bench, a, b)
        expect(down?.cause).toMatchObject({ code: 'REFUSED' })
        expect(String(down?.cause)).toContain('the certificate is not that of b')
        expect(a.warnings.at(-1)?.reason).toContain('the certificate is not that of b')
        expect(a.all('up').map(it => it.peer)).toEqual(['c'])
        c.send('a', Buffer.from('x'))
        await bench.sees('the other link lives', () => a.all('frame', 'c').length === 1)
      })
    })

    test('a dialled node that shows the name of another is refused with TLS_IDENTITY', async () => {
      const of = (id: string) =>
        id === 'a' ? { ...authority.issue('x', { hosts: ['127.0.0.1'] }), ca } : tlsOf(id)
      await meeting(of, async bench => {
        const a = await bench.started('a')
        const b = await bench.started('b')
        const down = await dialled(bench, a, b)
        expect(down?.cause, 'its host is no excuse').toMatchObject({ code: 'TLS_IDENTITY' })
        expect(a.all('up')).toEqual([])
      })
    })

    test.each([
      ['of another case', ['B'], {}],
      ['with a wildcard', ['*'], {}],
      ['that only begins like it', ['b.example', 'bb'], {}],
      ['that hides it behind a comma', ['x, DNS:b'], {}],
      ['for servers only', ['b'], { uses: ['server'] }],
      ['that has expired', ['b'], { expired: true }],
    ] as const)('a certificate %s is not that of node b', async (_, [name, ...names], options) => {
      const wrong = { ...authority.issue(name, { names, ...options }), ca }
      await meeting(
        id => (id === 'b' ? wrong : tlsOf(id)),
        async bench => {
          const a = await bench.started('a')
          const b = await bench.started('b')
          expect((await dialled(bench, a, b))?.cause).toMatchObject({ code: 'REFUSED' })
          expect(a.all('up')).toEqual([])
        },
      )
    })

    test('the right name of a foreign authority is trusted by neither side', async () => {
      const foreign = new Authority()
      const of = (id: string) => (id === 'b' ? { ...foreign.issue('b'), ca } : tlsOf(id))
      await meeting(of, async bench => {
        const a = await bench.started('a')
        const b = await bench.started('b')
        expect((await dialled(bench, a, b))?.cause).toMatchObject({ code: 'REFUSED' })
        a.connect('b', b.transport.address)
        await bench.sees('a is told', () => a.all('down', 'b').length === 1)
        expect(a.all('down', 'b')[0]).toMatchObject({
          loss: 'protocol',
          cause: { code: 'TLS_FAILED' },
        })
        expect([...a.all('up'), ...b.all('up')]).toEqual([])
      })
    })

    test('a certificate with several names is that of each of them', async () => {
      const both = { ...authority.issue('host.example', { names: ['a', 'b'] }), ca }
      await meeting(
        () => both,
        async bench => {
          await bench.pair()
        },
      )
    })

    test('a client needs no certificate, a node does', async () => {
      const of = (id: string) => (id.startsWith('~') || id === 'c' ? { ca } : tlsOf(id))
      await meeting(of, async bench => {
        const a = await bench.started('a')
        const client = await bench.started('~app', { listens: false })
        expect(await dialled(bench, a, client)).toBeUndefined()
        const c = await bench.started('c', { listens: false })
        const down = await dialled(bench, a, c)
        expect(down?.cause).toMatchObject({ code: 'REFUSED' })
        expect(String(down?.cause)).toContain('c shows no certificate')
      })
    })

    test('where all must show one, a client without is turned away by TLS itself', async () => {
      const of = (id: string): TlsOptions =>
        id === '~bare' ? { ca } : { ...tlsOf(id === '~app' ? 'app' : id), demand: 'all' }
      await meeting(of, async bench => {
        const a = await bench.started('a')
        const client = await bench.started('~app', { listens: false })
        expect(await dialled(bench, a, client)).toBeUndefined()
        const bare = await bench.started('~bare', { listens: false })
        const down = await dialled(bench, a, bare)
        expect(down?.session).toBe(0)
        expect(a.all('up').map(it => it.peer)).toEqual(['~app'])
      })
    })

    test('a client trusts a node by its id or its host, and nothing else', async () => {
      const shown: Record<string, Certificate> = {
        id: authority.issue('a'),
        host: authority.issue('x', { hosts: ['127.0.0.1'] }),
        neither: authority.issue('x', { hosts: ['127.0.0.2'] }),
      }
      for (const [how, certificate] of Object.entries(shown))
        await meeting(
          id => (id === 'a' ? { ...certificate, ca } : { ca }),
          async bench => {
            const a = await bench.started('a')
            const client = await bench.started('~app', { listens: false })
            client.connect('*seed', a.transport.address)
            const ended = () => client.isUp('*seed') || client.all('down').length > 0
            await bench.sees('an answer', ended)
            expect(client.isUp('*seed'), how).toBe(how !== 'neither')
            if (how === 'neither')
              expect(client.all('down')[0].cause).toMatchObject({ code: 'TLS_IDENTITY' })
          },
        )
    })

    test('where nobody must show one, nodes know each other by the host alone', async () => {
      const shared = {
        ...authority.issue('x', { hosts: ['127.0.0.1'] }),
        ca,
        demand: 'none',
      } as const
      await meeting(
        () => shared,
        async bench => {
          await bench.pair()
        },
      )
    })
  })

  describe('versions', () => {
    test('TLS 1.2 is refused by default, and spoken where the option allows it', async () => {
      for (const minVersion of ['TLSv1.3', 'TLSv1.2'] as const)
        await meeting(
          id => ({ ...tlsOf(id), minVersion }),
          async bench => {
            const a = await bench.started('a')
            const socket = connectTls({
              port: portOf(a),
              host: '127.0.0.1',
              ca,
              maxVersion: 'TLSv1.2',
              minVersion: 'TLSv1.2',
              checkServerIdentity: () => undefined,
            })
            const result = await new Promise<string | null>(resolve => {
              socket.once('secureConnect', () => resolve(socket.getProtocol()))
              socket.once('error', () => resolve('refused'))
            })
            socket.destroy()
            expect(result).toBe(minVersion === 'TLSv1.2' ? 'TLSv1.2' : 'refused')
          },
        )
    })

    test('plain bytes and TLS never meet, whichever side dials', async () => {
      await meeting(
        id => (id === 'b' ? undefined : tlsOf(id)),
        async bench => {
          const a = await bench.started('a')
          const b = await bench.started('b')
          expect((await dialled(bench, a, b))?.session).toBe(0)
          a.connect('b', b.transport.address)
          await bench.sees('a is told', () => a.all('down', 'b').length === 1)
          expect([...a.all('up'), ...b.all('up')]).toEqual([])
        },
        500,
      )
    })
  })

  describe('trouble', () => {
    test('a dialled side that stalls the TLS handshake is given up by its own limit', async () => {
      const sockets: Socket[] = []
      const server = createServer(socket => sockets.push(socket.on('error', () => {})))
      await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
      const of = (id: string) => ({ ...tlsOf(id), handshakeTimeoutMs: 100 })
      await meeting(
        of,
        async bench => {
          const a = await bench.started('a')
          a.connect('mute', `${over}://127.0.0.1:${(server.address() as AddressInfo).port}`)
          await bench.sees('a is told', () => a.all('down', 'mute').length === 1)
          const { loss, cause } = a.all('down', 'mute')[0]
          expect(loss).toBe('timeout')
          expect(String(cause)).toContain('TLS handshake took more than 100 ms')
        },
        60_000,
      )
      for (const socket of sockets) socket.destroy()
      server.close()
    })

    test('an arriving one is cut off by the clock, even if it drips', async () => {
      const of = (id: string) => ({ ...tlsOf(id), handshakeTimeoutMs: 200 })
      await meeting(
        of,
        async bench => {
          const a = await bench.started('a')
          const socket = connectPlain({ port: portOf(a), host: '127.0.0.1' }).on('error', () => {})
          let cut = false
          socket.on('close', () => {
            cut = true
          })
          // The head of a record that announces 512 bytes, then one of them at a time.
          socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]))
          const drip = setInterval(() => socket.write(Buffer.alloc(1)), 20)
          await bench.sees('it is cut off', () => cut, 4_000)
          clearInterval(drip)
          expect(a.warnings.at(-1)).toMatchObject({ loss: 'timeout' })
        },
        60_000,
      )
    })

    test('sockets that have not said a word of TLS count as strangers', async () => {
      await meeting(tlsOf, async bench => {
        const [a, b] = await bench.pair()
        let cut = 0
        const sockets = Array.from({ length: 300 }, () =>
          connectPlain({ port: portOf(a), host: '127.0.0.1' })
            .on('error', () => {})
            .on('close', () => cut++)
            .resume(),
        )
        await bench.sees('those beyond 16 of an address are cut', () => cut >= 284)
        b.send('a', Buffer.from('x'))
        await bench.sees('the link lives', () => a.all('frame', 'b').length === 1)
        expect(cut).toBe(284)
        for (const socket of sockets) socket.destroy()
      })
    })

    test('row 4: whoever was ended again and again is read from later, here as well', async () => {
      await meeting(tlsOf, async bench => {
        const a = await bench.started('a')
        let tookMs = 0
        for (let i = 0; i <= LIMITS.endedFree + 4; i++) {
          const stranger = await Stranger.opened(bench, a, 'liar')
          const began = performance.now()
          await stranger.link('~liar')
          tookMs = performance.now() - began
          stranger.write(headOf(2 ** 31))
          await bench.sees('it is ended', () => stranger.closed)
          await stranger.leave()
        }
        expect(tookMs).toBeGreaterThanOrEqual(LIMITS.endedWaitMs * 2 ** 3 * 0.8)
      })
    })

    test('noise, resets and half a handshake end that socket alone', async () => {
      const trouble: unknown[] = []
      const note = (error: unknown) => trouble.push(error)
      process.on('uncaughtException', note)
      await meeting(tlsOf, async bench => {
        const [a, b] = await bench.pair()
        const random = seededRandom(9)
        for (let round = 0; round < 40; round++) {
          const noise = Buffer.from(
            Array.from({ length: 300 }, () => Math.floor(random.next() * 256)),
          )
          if (round % 2 === 0) noise.set([0x16, 0x03, 0x01, 0x01, 0x00])
          let over = false
          const socket = connectPlain({ port: portOf(a), host: '127.0.0.1' }).on('error', () => {})
          socket.on('close', () => {
            over = true
          })
          socket.resume()
          socket.write(noise.subarray(0, 1 + Math.floor(random.next() * 300)))
          if (round % 3 === 0) socket.resetAndDestroy()
          else if (round % 3 === 1) socket.end()
          else socket.end(noise)
          await bench.sees('it is over', () => over)
        }
        b.send('a', Buffer.from('x'))
        await bench.sees('the link lives', () => a.all('frame', 'b').length === 1)
      })
      process.off('uncaughtException', note)
      expect(trouble).toEqual([])
    })

    test('stop() in the middle of a handshake leaves nothing open', async () => {
      const server = createServer(socket => socket.on('error', () => {}).resume())
      await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
      await meeting(tlsOf, async bench => {
        const a = await bench.started('a')
        const socket = connectPlain({ port: portOf(a), host: '127.0.0.1' }).on('error', () => {})
        let over = false
        socket.on('close', () => {
          over = true
        })
        socket.resume()
        await new Promise<void>(resolve => socket.once('connect', () => resolve()))
        a.connect('mute', `${over}://127.0.0.1:${(server.address() as AddressInfo).port}`)
        await bench.pass(20)
        await a.stop()
        await bench.sees('the stranger is gone', () => over)
      })
      server.close()
      const open = () => process.getActiveResourcesInfo().filter(name => name.startsWith('TCP'))
      expect(await realTime().until(() => open().length === 0, 4_000), `${open()}`).toBe(true)
    })
  })
})
