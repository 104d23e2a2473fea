/** The laws of a transport over a real broker, and what a broker alone can do to its links. */
import { afterAll, beforeAll, describe, test } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { transportSuite } from '../src/testing/transport-suite.js'
import { NatsServer } from './harness/nats-server.js'
import { natsMedium } from './harness/networks.js'
import { lacks } from './harness/programs.js'
import { proving } from './harness/proofs.js'

// Only where the program is missing, as the set-up has said; with CI=true that has failed already.
describe.skipIf(lacks('nats-server'))('nats', () => {
  let server: NatsServer
  let small: NatsServer

  beforeAll(async () => {
    server = await NatsServer.start()
    small = await NatsServer.start({ maxPayload: 4_096 })
  })

  afterAll(async () => {
    await server.close()
    await small.close()
  })

  transportSuite({
    test,
    name: 'nats',
    streams: true,
    medium: () => natsMedium(seededRandom(1), server.url),
  })

  transportSuite({
    test,
    name: 'nats, messages of 4 KiB',
    streams: true,
    medium: () => natsMedium(seededRandom(2), small.url),
  })

  transportSuite({
    test,
    name: 'nats, proving',
    streams: false,
    medium: () => natsMedium(seededRandom(3), server.url, {}, proving),
  })
})
