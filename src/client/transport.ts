/**
 * A transport from the factory that an application gave: what is none is refused at once and by
 * name, and not by whatever calls it first.
 */
import { LIMITS } from '../config.js'
import type { Transport, TransportEnv, TransportFactory } from '../contracts/transport.js'
import { GcacheError } from '../errors.js'

const FUNCTIONS = ['start', 'connect', 'disconnect', 'send', 'stop'] as const

/** CONFIG if `factory` returns no Transport. */
export function makeTransport(factory: TransportFactory, env: TransportEnv): Transport {
  const transport = factory(env) as Transport | null | undefined
  const whole =
    transport?.traits !== undefined &&
    FUNCTIONS.every(name => typeof transport[name] === 'function')
  if (whole) return carrying(transport, env)
  throw new GcacheError('CONFIG', 'option transport returned no transport: pass what tcp() returns')
}

/** A client learns from its servers what they take; a node's transport must carry its values. */
function carrying(transport: Transport, { self, valueBytesMax }: TransportEnv): Transport {
  const { frameBytesMax } = transport.traits
  if (valueBytesMax === undefined || valueBytesMax <= LIMITS.valueBytesMax) return transport
  const needed = valueBytesMax + LIMITS.frameRoomBytes
  if (self.startsWith('~') || frameBytesMax >= needed) return transport
  throw new GcacheError(
    'CONFIG',
    `option valueBytesMax ${valueBytesMax} needs frames of ${needed} bytes, transport ` +
      `${transport.name} has ${frameBytesMax}: raise its frameBytesMax, or lower the value limit`,
  )
}
