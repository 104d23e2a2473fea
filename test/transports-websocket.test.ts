/** WebSockets: the transport's laws over them, and what they have of their own. SECURITY 13. */
import { createServer, get, type IncomingMessage, request, type Server } from 'node:http'
import { type AddressInfo, connect as connectPlain } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { seededRandom } from '../src/core/prng.js'
import { polled } from '../src/polling.js'
import { Bench, type BenchNode } from '../src/testing/transport-bench.js'
import { transportSuite } from '../src/testing/transport-suite.js'
import { encodeGreeting } from '../transports/stream/hello.js'
import { parseWebAddress } from '../transports/websocket/address.js'
import { type WebSocketOptions, websocket } from '../transports/websocket.js'
import { codeOf } from './harness/codes.js'
import { HANDSHAKE_MS, overWeb, webMedium } from './harness/networks.js'
import { portOf } from './harness/tls-bench.js'

for (const [name, factory] of [
  ['websocket', websocket({ handshakeMs: HANDSHAKE_MS })],
  ['websocket, polling', polled(websocket({ handshakeMs: HANDSHAKE_MS }), 150)],
] as const)
  transportSuite({
    test,
    name,
    streams: true,
    medium: () => webMedium(seededRandom(1), factory),
  })

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function nodeOn(options: WebSocketOptions = {}): Promise<{ bench: Bench; a: BenchNode }> {
  const bench = overWeb(1, options)
  closing.push(() => bench.close())
  return { bench, a: await bench.started('a') }
}

/** Status and body of a GET. */
function page(url: string, headers: Record<string, string> = {}): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    get(url, { headers, agent: false }, answer => {
      let body = ''
      answer.on('data', chunk => {
        body += chunk
      })
      answer.on('end', () => resolve([answer.statusCode ?? 0, body]))
    }).on('error', reject)
  })
}

/** 101, or the status with which an upgrade is refused. */
function upgradeStatus(url: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const web = new WebSocket(url, { headers })
    web.on('open', () => {
      web.terminate()
      resolve(101)
    })
    web.on('unexpected-response', (_, answer: IncomingMessage) => {
      resolve(answer.statusCode ?? 0)
      web.terminate()
    })
    web.on('error', reject)
  })
}

describe('addresses', () => {
  test('have a host, a port or the default one, and a path', () => {
    const parts = (address: string) => Object.values(parseWebAddress(address))
    expect(parts('ws://h:7500')).toEqual(['ws', '/', 'h', 7500])
    expect(parts('wss://[::1]:1/a/b?c=d')).toEqual(['wss', '/a/b?c=d', '::1', 1])
    expect(parts('ws://h')).toEqual(['ws', '/', 'h', 80])
    expect(parts('wss://h/x')).toEqual(['wss', '/x', 'h', 443])
  })

  test.each([
    ...['http://h:1', 'ws://', 'ws://h:99999', 'ws://h:x', 'ws://u:p@h:1', 'ws://h:1/#x'],
    ...['ws:/h:1', 'ws://h:1?x', 'ws://h:1/a b'],
  ])('%s is none', address => {
    expect(codeOf(() => parseWebAddress(address))).toBe('ADDRESS_INVALID')
  })

  test('tls and ws:// contradict each other, wss:// and no certificate as well', async () => {
    const start = (listen: string, options: WebSocketOptions) => {
      const medium = { ...webMedium(seededRandom(1), websocket(options)), listen: () => listen }
      const bench = new Bench(medium)
      closing.push(() => bench.close())
      return bench.started('a').then(
        () => 'started',
        error => error.code,
      )
    }
    expect(await start('wss://127.0.0.1:0', {})).toBe('ADDRESS_INVALID')
    expect(await start('ws://127.0.0.1:0/x', {})).toBe('started')
  })
})

describe('a port of its own', () => {
  test('tells browsers and probes that WebSockets are served here', async () => {
    const { a } = await nodeOn()
    const [status, body] = await page(`http://127.0.0.1:${portOf(a)}/`)
    expect([status, body]).toEqual([426, expect.stringContaining('WebSockets only')])
    expect(a.warnings, 'a probe is no news').toEqual([])
  })

  test('serves its path and no other, refuses pages, and takes no more than 8 KiB', async () => {
    const { bench, a } = await nodeOn({ path: '/gc', origins: ['https://shop.example'] })
    const url = `ws://127.0.0.1:${portOf(a)}`
    expect(await upgradeStatus(`${url}/gc?x=1`)).toBe(101)
    expect(await upgradeStatus(`${url}/other`)).toBe(404)
    expect(await upgradeStatus(`${url}/gc`, { origin: 'https://evil.example' })).toBe(403)
    expect(await upgradeStatus(`${url}/gc`, { origin: 'https://shop.example' })).toBe(101)
    expect(await upgradeStatus(`${url}/gc`, { cookie: 'x'.repeat(9_000) })).toBe(431)
    await bench.sees('it is logged', () =>
      a.warnings.some(({ reason }) => String(reason).includes('evil.example')),
    )
    const b = await bench.started('b')
    b.connect('a', a.transport.address)
    await bench.sees('a node gets in', () => b.isUp('a'))
    b.connect('c', `${url}/other`)
    await bench.sees('a wrong path is told', () => b.all('down', 'c').length === 1)
    const [{ loss, cause }] = b.all('down', 'c')
    expect([loss, (cause as { code?: string }).code]).toEqual(['refused', 'REFUSED'])
  })

  test('row 13: agrees to no compression, and asks for none', async () => {
    const { bench, a } = await nodeOn()
    const web = new WebSocket(a.transport.address, { perMessageDeflate: true })
    await new Promise<void>(resolve => web.once('open', () => resolve()))
    expect(web.extensions).toBe('')
    web.terminate()
    const asked: IncomingMessage[] = []
    const server = createServer().on('upgrade', (request, socket) => {
      asked.push(request)
      socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    closing.push(() => server.close())
    a.connect('b', `ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
    await bench.sees('it was asked', () => asked.length > 0)
    expect(asked[0].headers).toMatchObject({ upgrade: 'websocket' })
    expect(asked[0].headers['sec-websocket-extensions']).toBeUndefined()
  })

  test('cuts off who sends half a request, or drips one, in bounded time', async () => {
    const { bench, a } = await nodeOn()
    const half = connectPlain({ port: portOf(a), host: '127.0.0.1' }).on('error', () => {})
    let cut = false
    half.resume().on('close', () => {
      cut = true
    })
    half.write('GET / HTTP/1.1\r\nHost: x\r\nX: ')
    const drip = setInterval(() => half.write('x'), 20)
    await bench.sees('it is cut', () => cut, 4 * HANDSHAKE_MS)
    clearInterval(drip)
    expect(a.happenings).toEqual([])
  })

  test('answers noise with 400, and other links live on', async () => {
    const { bench, a } = await nodeOn()
    const b = await bench.started('b')
    b.connect('a', a.transport.address)
    await bench.sees('up', () => a.isUp('b'))
    const noise = connectPlain({ port: portOf(a), host: '127.0.0.1' }).on('error', () => {})
    let heard = ''
    noise.on('data', chunk => {
      heard += chunk
    })
    noise.write(Buffer.from([1, 2, 3, 4, 13, 10, 13, 10]))
    await bench.sees('an answer', () => heard.includes('400 Bad Request'))
    b.send('a', Buffer.from('x'))
    await bench.sees('the link lives', () => a.all('frame', 'b').length === 1)
    expect(a.warnings.at(-1)).toMatchObject({ loss: 'protocol' })
  })
})

describe('messages', () => {
  /** A client that says hello by hand. */
  async function stranger(bench: Bench, a: BenchNode): Promise<WebSocket> {
    const web = new WebSocket(a.transport.address, { perMessageDeflate: false })
    closing.push(() => web.terminate())
    web.on('error', () => {})
    let heard = 0
    web.on('message', () => heard++)
    await new Promise(resolve => web.once('open', resolve))
    const frameBytesMax = 4_096
    const who = { cluster: 'suite', from: '~w', to: 'a', life: 'l', dial: 1, version: 1 }
    web.send(frame(encodeGreeting({ kind: 'hello', frameBytesMax, ...who })))
    await bench.sees('an answer', () => heard === 1)
    web.send(frame(encodeGreeting({ kind: 'ready' })))
    await bench.sees('it is up', () => a.isUp('~w'))
    return web
  }

  const frame = (bytes: Uint8Array) => {
    const head = Buffer.alloc(4)
    head.writeUInt32LE(bytes.length)
    return Buffer.concat([head, bytes])
  }

  test.each([
    ['a text', 'PROTOCOL_ERROR', (web: WebSocket) => web.send('text')],
    ['a huge one', 'FRAME_TOO_BIG', (web: WebSocket) => web.send(Buffer.alloc(65_537))],
    [
      'one in 65 pieces',
      'PROTOCOL_ERROR',
      (web: WebSocket) => {
        for (let i = 0; i < 65; i++) web.send(Buffer.alloc(1), { fin: i === 64 })
      },
    ],
  ])('%s ends its link with %s, and no other', async (_, code, say) => {
    const { bench, a } = await nodeOn()
    const b = await bench.started('b')
    b.connect('a', a.transport.address)
    await bench.sees('up', () => a.isUp('b'))
    const web = await stranger(bench, a)
    let over = false
    web.on('close', () => {
      over = true
    })
    say(web)
    await bench.sees('it is down', () => a.all('down', '~w').length === 1)
    expect(a.all('down', '~w')[0]).toMatchObject({ loss: 'protocol', cause: { code } })
    await bench.sees('and closed', () => over)
    expect(a.transport.counts?.()).toMatchObject({ protocolErrors: 1 })
    b.send('a', Buffer.from('x'))
    await bench.sees('the link lives', () => a.all('frame', 'b').length === 1)
  })

  test('frames may lie in messages and pieces as they like', async () => {
    const { bench, a } = await nodeOn()
    const web = await stranger(bench, a)
    const bytes = Buffer.concat([frame(Buffer.from('one')), frame(Buffer.from('two'))])
    web.send(bytes)
    for (const byte of bytes) web.send(Buffer.from([byte]))
    for (let i = 0; i < 14; i++) web.send(bytes.subarray(i, i + 1), { fin: i === 13 })
    web.ping()
    await bench.sees('all are there', () => a.all('frame').length === 6)
    expect(a.all('frame').map(it => it.frame.toString())).toEqual(
      Array(3).fill(['one', 'two']).flat(),
    )
  })

  test('one that begins and does not end is judged by its pace', async () => {
    const { bench, a } = await nodeOn({ frameGraceMs: 200 })
    const web = await stranger(bench, a)
    const { _socket } = web as unknown as { _socket: { write(bytes: Buffer): void } }
    // A binary message of 60,000 bytes, masked with zeros, of which some ever come.
    _socket.write(Buffer.from([0x82, 0xfe, 0xea, 0x60, 0, 0, 0, 0, 1]))
    const drip = setInterval(() => _socket.write(Buffer.from([1])), 20)
    await bench.sees('it is cut', () => a.all('down', '~w').length === 1)
    clearInterval(drip)
    expect(a.all('down', '~w')[0]).toMatchObject({ loss: 'timeout', cause: { code: 'TIMEOUT' } })
  })
})

describe('a part of the application`s server', () => {
  async function listening(): Promise<{ server: Server; port: number; url: string }> {
    const server = createServer((_, answer) => answer.end('the shop'))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    closing.push(() => {
      server.closeAllConnections()
      server.close()
    })
    const { port } = server.address() as AddressInfo
    return { server, port, url: `http://127.0.0.1:${port}` }
  }

  const on = (server: Server, listen: string, more: WebSocketOptions = {}) => {
    const factory = websocket({ handshakeMs: HANDSHAKE_MS, server, ...more })
    const bench = new Bench({
      ...webMedium(seededRandom(1), env => (env.self === 'a' ? factory : websocket())(env)),
      listen: (id: string) => (id === 'a' ? listen : 'ws://127.0.0.1:0'),
    })
    closing.push(() => bench.close())
    return bench
  }

  test('is beside its pages, and stop() leaves the server as it was', async () => {
    const { server, port, url } = await listening()
    const bench = on(server, `ws://127.0.0.1:${port}/gcache`)
    const a = await bench.started('a')
    expect(a.transport.address).toBe(`ws://127.0.0.1:${port}/gcache`)
    const b = await bench.started('b')
    b.connect('a', a.transport.address)
    await bench.sees('both are up', () => a.isUp('b') && b.isUp('a'))
    expect(await page(url)).toEqual([200, 'the shop'])
    await a.stop()
    await bench.sees('b is told', () => !b.isUp('a'))
    expect([server.listening, server.listenerCount('upgrade')]).toEqual([true, 0])
    expect(await page(url)).toEqual([200, 'the shop'])
    const again = await bench.started('a')
    b.connect('a', again.transport.address)
    await bench.sees('b is back', () => b.isUp('a'))
  })

  test('leaves upgrades of other paths to others, or to pages if nobody listens', async () => {
    const { server, port, url } = await listening()
    const bench = on(server, `ws://127.0.0.1:${port}/gcache`)
    await bench.started('a')
    const wish = { connection: 'upgrade', upgrade: 'h2c' }
    expect(await page(url, wish), 'as without us').toEqual([200, 'the shop'])
    const chat = new WebSocketServer({ noServer: true })
    server.on('upgrade', (asked, socket, head) => {
      if (asked.url === '/chat') chat.handleUpgrade(asked, socket, head, web => web.send('welcome'))
    })
    const web = new WebSocket(`ws://127.0.0.1:${port}/chat`)
    const said = await new Promise(resolve => web.once('message', data => resolve(`${data}`)))
    expect(said).toBe('welcome')
    web.terminate()
    expect(await upgradeStatus(`ws://127.0.0.1:${port}/gcache`)).toBe(101)
  })

  test('two nodes share a server by their paths, not one path', async () => {
    const { server, port } = await listening()
    const one = on(server, `ws://127.0.0.1:${port}/one`)
    const two = on(server, `ws://127.0.0.1:${port}/two`)
    await one.started('a')
    await two.started('a')
    const third = on(server, `ws://127.0.0.1:${port}/x`, { path: '/one' })
    await expect(third.started('a')).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' })
    expect(await upgradeStatus(`ws://127.0.0.1:${port}/two`)).toBe(101)
  })

  test('a server that does not listen is refused, not waited for', async () => {
    const bench = on(createServer(), 'ws://127.0.0.1:7500/gcache')
    await expect(bench.started('a')).rejects.toMatchObject({ code: 'ADDRESS_INVALID' })
  })

  test('requests with a body pass untouched', async () => {
    const { server, port } = await listening()
    const bench = on(server, `ws://127.0.0.1:${port}/gcache`)
    await bench.started('a')
    const status = await new Promise(resolve => {
      const post = request({ port, host: '127.0.0.1', path: '/gcache', method: 'POST' }, answer => {
        answer.resume()
        resolve(answer.statusCode)
      })
      post.end('a body')
    })
    expect(status).toBe(200)
  })
})

describe('options', () => {
  test.each([
    { server: {} },
    { path: 'gcache' },
    { origins: 'https://shop.example' },
    { origins: [1] },
    { proxyEndsTls: 1 },
    { orgins: [] },
    { handshakeMs: 0 },
  ])('%j is CONFIG', options => {
    expect(codeOf(() => websocket(options as never))).toBe('CONFIG')
  })
})
