/** Nodes over media with TLS on a Bench, each with a certificate of one authority. */
import assert from 'node:assert/strict'
import type { TlsOptions } from '../../src/contracts/tls.js'
import { seededRandom } from '../../src/core/prng.js'
import { Bench, type BenchNode } from '../../src/testing/transport-bench.js'
import { Credentials } from '../../transports/stream/tls.js'
import { TcpLayer, type TcpOptions, tcp } from '../../transports/tcp.js'
import { settingsOf } from '../../transports/websocket/options.js'
import { WebSocketLayer, websocket } from '../../transports/websocket.js'
import { Authority, type Certificate } from './certificates.js'
import { HANDSHAKE_MS, tcpMedium, webMedium } from './networks.js'

export const authority = new Authority()
export const { cert: ca } = authority
const issued = new Map<string, Certificate>()

/** What the node `id` shows, made once. */
export function certificateOf(id: string): Certificate {
  const certificate = issued.get(id) ?? authority.issue(id)
  issued.set(id, certificate)
  return certificate
}

export const tlsOf = (id: string): TlsOptions => ({ ...certificateOf(id), ca })

type TlsOf = (id: string) => TcpOptions['tls']

/** Nodes over TLS on TCP; `of` says what each shows and demands, undefined for plain bytes. */
export function medium(of: TlsOf = tlsOf, handshakeMs: number = HANDSHAKE_MS) {
  const plain = tcpMedium(seededRandom(1), env => tcp({ handshakeMs, tls: of(env.self) })(env))
  const { clock } = plain
  return {
    ...plain,
    handshakeMs,
    layer: (self: string) =>
      new TcpLayer(clock, { clock, self, credentials: new Credentials(tlsOf(self)) }),
  }
}

/** The same over WebSockets. */
export function webTlsMedium(of: TlsOf = tlsOf, handshakeMs: number = HANDSHAKE_MS) {
  const plain = webMedium(seededRandom(1), env =>
    websocket({ handshakeMs, tls: of(env.self) })(env),
  )
  const { clock } = plain
  return {
    ...plain,
    handshakeMs,
    listen: (id: string) => `${of(id) === undefined ? 'ws' : 'wss'}://127.0.0.1:0`,
    nowhere: 'wss://127.0.0.1:1',
    layer: (self: string) => new WebSocketLayer({ clock, self }, settingsOf({ tls: tlsOf(self) })),
  }
}

/** What speaks TLS, by the scheme of its addresses. */
export const SECURE = { tcp: medium, wss: webTlsMedium } as const

export async function meeting<T>(
  of: TlsOf,
  act: (bench: Bench) => Promise<T>,
  handshakeMs = 4_000,
  over: keyof typeof SECURE = 'tcp',
): Promise<T> {
  const bench = new Bench(SECURE[over](of, handshakeMs))
  try {
    return await act(bench)
  } finally {
    await bench.close()
    assert.deepEqual(bench.violations, [])
  }
}

/** `b` dials `a`; resolves with why it failed, or undefined if both are up. */
export async function dialled(bench: Bench, a: BenchNode, b: BenchNode) {
  b.connect('a', a.transport.address)
  await bench.sees('an answer', () => b.isUp('a') || b.all('down', 'a').length > 0)
  if (!b.isUp('a')) return b.all('down', 'a')[0]
  await bench.sees('the other side is up too', () => a.isUp(b.id))
  return undefined
}

export function portOf(node: BenchNode): number {
  return Number(new URL(node.transport.address.replace(/^\w+:/, 'http:')).port)
}
