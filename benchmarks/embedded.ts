/**
 * A cluster inside the load generator, on the memory transport: no sockets and no other processes,
 * so that a profile shows the engine and the strategy alone. Not comparable with the others.
 */
import { type Client, connectWith } from '../src/client/connect.js'
import { systemClock } from '../src/engine/system-clock.js'
import { createNode } from '../src/index.js'
import { MemoryNetwork } from '../transports/memory.js'

export interface EmbeddedOptions {
  readonly nodes: number
  readonly strategy: string
}

/** Resolves with a client once every node is ready. They end with the process. */
export async function openEmbedded({ nodes, strategy }: EmbeddedOptions): Promise<Client> {
  const world = { clock: systemClock, random: { next: Math.random } }
  const network = new MemoryNetwork(world)
  const cluster = 'bench'
  const members = Array.from({ length: nodes }, (_, ordinal) => {
    const id = String.fromCharCode(97 + ordinal)
    return { id, ordinal, address: `memory://${id}` }
  })
  const started = await Promise.all(
    members.map(({ id }) =>
      createNode({ cluster, id, members, strategy, transport: network.transport() }),
    ),
  )
  await Promise.all(started.map(node => node.ready()))
  const servers = members.map(({ address }) => address)
  return connectWith(network.transport(), { cluster, servers }, world)
}
