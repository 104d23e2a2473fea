/** What the roof gives to a client and a node: the machine's clock and its unguessable chance. */
import { randomBytes } from 'node:crypto'
import { authenticated, clientAuthenticator } from './auth.js'
import { type ClientOptions, type ClientWorld, checkOptions } from './client/connect.js'
import type { TransportFactory } from './contracts/transport.js'
import { SILENCE } from './core/silence.js'
import { systemClock } from './engine/system-clock.js'
import { checkSameScheme, transportByAddress } from './registry.js'

/** Chance is uniform and the system's own: names of clients and windows come from it. */
export const systemWorld: ClientWorld = {
  clock: systemClock,
  random: { next: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48 },
}

/** The transport that `options` bring along, else the built-in one for the first of the servers;
 *  its links prove who they are if `auth` says how. CONFIG for wrong options. */
export async function clientTransport(options: ClientOptions): Promise<TransportFactory> {
  checkOptions(options)
  const { servers } = options
  if (options.transport === undefined)
    for (const server of servers) checkSameScheme(servers[0], server)
  const transport = options.transport ?? (await transportByAddress(servers[0], options.tls))
  const { auth, clock = systemClock } = options
  if (auth === undefined) return transport
  return authenticated(transport, clientAuthenticator(auth, { clock, logger: SILENCE }))
}
