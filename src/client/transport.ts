/**
 * A transport from the factory that an application gave: what is none is refused at once and by
 * name, and not by whatever calls it first.
 */
import type { Transport, TransportEnv, TransportFactory } from '../contracts/transport.js'
import { GcacheError } from '../errors.js'

const FUNCTIONS = ['start', 'connect', 'disconnect', 'send', 'stop'] as const

/** CONFIG if `factory` returns no Transport. */
export function makeTransport(factory: TransportFactory, env: TransportEnv): Transport {
  const transport = factory(env) as Transport | null | undefined
  const whole =
    transport?.traits !== undefined &&
    FUNCTIONS.every(name => typeof transport[name] === 'function')
  if (whole) return transport
  throw new GcacheError('CONFIG', 'option transport returned no transport: pass what tcp() returns')
}
