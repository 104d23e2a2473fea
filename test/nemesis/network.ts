/**
 * Every link of the cluster through a proxy of its own: one for each directed pair of nodes, one
 * for each client and node. Nodes know each other by the proxies' addresses alone, because a
 * transport knows a peer by its id and only dials the address.
 *
 *   node a --(a,b)--> node b      node b --(b,a)--> node a      client ~1 --(~1,b)--> node b
 *
 * A client may learn addresses from a node's view: those are proxies between nodes. Its transport
 * therefore dials its own proxy of the node that an address names, so that a split between nodes
 * never cuts a client off by accident; a fault that wants to cut clients off names them.
 */
import type { TransportFactory } from '../../src/contracts/transport.js'
import { tcp } from '../../transports/tcp.js'
import { LinkProxy, type Passage } from '../harness/proxy.js'

/** The client that watches: no fault ever touches its links. */
export const OBSERVER = '~0'

/** `reset`: sockets are reset and dials refused, as by a firewall that answers. */
export type CutMode = 'vanish' | 'stall' | 'reset'

export class Network {
  readonly nodes: readonly string[]
  readonly clients: readonly string[]
  readonly #proxies = new Map<string, LinkProxy>()
  /** Which node answers at a proxy's address. */
  readonly #behind = new Map<string, string>()
  /** Ordered pairs whose bytes do not arrive, as `from to`. */
  readonly #cuts = new Set<string>()

  private constructor(nodes: readonly string[], clients: readonly string[]) {
    this.nodes = nodes
    this.clients = clients
  }

  /** `clients` beside the observer. */
  static async open(nodes: readonly string[], clients: number): Promise<Network> {
    const names = Array.from({ length: clients }, (_, i) => `~${i + 1}`)
    const network = new Network(nodes, names)
    for (const from of [...nodes, ...names, OBSERVER])
      for (const to of nodes) {
        if (from === to) continue
        const proxy = await LinkProxy.open()
        network.#proxies.set(`${from} ${to}`, proxy)
        network.#behind.set(proxy.address, to)
      }
    return network
  }

  /** What `from` dials to reach node `to`. */
  address(from: string, to: string): string {
    return this.#proxy(from, to).address
  }

  /** Where `node` listens from now on; undefined: nowhere. */
  place(node: string, port: number | undefined): void {
    for (const from of [...this.nodes, ...this.clients, OBSERVER])
      if (from !== node) this.#proxy(from, node).target = port
  }

  /** A transport for `client`: whatever address it dials, it goes through its own proxies. */
  transport(client: string): TransportFactory {
    return env => {
      const inner = tcp()(env)
      return {
        name: inner.name,
        traits: inner.traits,
        address: '',
        start: handler => inner.start(handler),
        connect: (peer, address) => {
          const node = this.#behind.get(address)
          inner.connect(peer, node === undefined ? address : this.address(client, node))
        },
        disconnect: (peer, cause) => inner.disconnect(peer, cause),
        send: (peer, frame) => inner.send(peer, frame),
        flush: peer => inner.flush?.(peer),
        stop: () => inner.stop(),
      }
    }
  }

  /** Bytes of `from` no longer reach `to`, on whoever's dial they travel. */
  cut(from: string, to: string, mode: CutMode): void {
    this.#cuts.add(`${from} ${to}`)
    const own = this.#proxies.get(`${from} ${to}`)
    const other = this.#proxies.get(`${to} ${from}`)
    if (mode === 'reset') {
      for (const proxy of [own, other]) {
        if (proxy === undefined) continue
        proxy.refuses = true
        proxy.reset()
      }
      return
    }
    const passage: Passage = mode
    own?.set({ forth: passage })
    other?.set({ back: passage })
  }

  /** True if bytes pass both ways. */
  linked(one: string, other: string): boolean {
    return (
      one === other || !(this.#cuts.has(`${one} ${other}`) || this.#cuts.has(`${other} ${one}`))
    )
  }

  heal(): void {
    this.#cuts.clear()
    for (const proxy of this.#proxies.values()) proxy.resume()
  }

  async close(): Promise<void> {
    await Promise.all([...this.#proxies.values()].map(proxy => proxy.close()))
  }

  #proxy(from: string, to: string): LinkProxy {
    const proxy = this.#proxies.get(`${from} ${to}`)
    if (proxy === undefined) throw new Error(`no way from ${from} to ${to}`)
    return proxy
  }
}
