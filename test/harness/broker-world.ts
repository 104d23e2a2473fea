/** For one `describe`: each test has a real nats-server of its own, and all that it opened ends. */
import { afterEach, beforeEach, expect } from 'vitest'
import { realTime } from '../../src/testing/transport-suite.js'
import { NatsServer, type NatsServerOptions } from './nats-server.js'

export function brokerWorld(options: NatsServerOptions = {}) {
  const { until, clock } = realTime()
  const world = {
    clock,
    server: undefined as unknown as NatsServer,
    /** What a test opened, ended after it, the last first. */
    ends: [] as (() => Promise<unknown>)[],
    async sees(fact: string, condition: () => boolean, msMax = 15_000): Promise<void> {
      expect(await until(condition, msMax), `within ${msMax} ms: ${fact}`).toBe(true)
    },
    /** Lets `ms` pass, so that what must not happen had its time. */
    async pass(ms: number): Promise<void> {
      await until(() => false, ms)
    },
  }
  beforeEach(async () => {
    world.server = await NatsServer.start(options)
  })
  afterEach(async () => {
    for (const end of world.ends.splice(0).reverse()) await end()
    await world.server.close()
  })
  return world
}
