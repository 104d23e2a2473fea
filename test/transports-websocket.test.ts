/** WebSockets: the transport's laws over them, and what they have of their own. */
import { test } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { polling } from '../src/polling.js'
import { transportSuite } from '../src/testing/transport-suite.js'
import { websocket } from '../transports/websocket.js'
import { HANDSHAKE_MS, webMedium } from './harness/networks.js'

for (const [name, factory] of [
  ['websocket', websocket({ handshakeMs: HANDSHAKE_MS })],
  ['websocket, polling', polling(websocket({ handshakeMs: HANDSHAKE_MS }), 150)],
] as const)
  transportSuite({
    test,
    name,
    streams: true,
    medium: () => webMedium(seededRandom(1), factory),
  })
