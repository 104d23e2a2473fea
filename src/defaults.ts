/** What the roof gives to a client and a node: the machine's clock and its unguessable chance. */
import { randomBytes } from 'node:crypto'
import { announcementSigner, authenticated, clientAuthenticator } from './auth.js'
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

/** The same, and what signs the announcements of the cluster that `options` has the secret of. */
export function worldFor({ auth, cluster, discovery }: ClientOptions): ClientWorld {
  if (discovery === undefined) return systemWorld
  return { ...systemWorld, sign: announcementSigner(auth, cluster) }
}

/** What a client speaks that is told no address: the built-in transport of nodes that say none. */
const ANY_SCHEME = 'tcp'

/** The transport that `options` bring along, else the built-in one for the first of the servers,
 *  and where none is named the one for `scheme`; its links prove who they are if `auth` says how.
 *  CONFIG for wrong options. */
export async function clientTransport(
  options: ClientOptions,
  scheme = ANY_SCHEME,
): Promise<TransportFactory> {
  checkOptions(options)
  const servers = options.servers ?? []
  const [address = `${scheme}://`] = servers
  if (options.transport === undefined)
    for (const server of servers) checkSameScheme(address, server)
  const transport = options.transport ?? (await transportByAddress(address, options.tls))
  const { auth, clock = systemClock } = options
  if (auth === undefined) return transport
  return authenticated(transport, clientAuthenticator(auth, { clock, logger: SILENCE }))
}
