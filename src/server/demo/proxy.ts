/**
 * A round-robin HTTP proxy, as small as one can be: each request goes to the next shop instance, so
 * that no instance could keep a session to itself unnoticed.
 */
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'

export interface ShopProxy {
  readonly url: string
  close(): Promise<void>
}

/** Listens on 127.0.0.1:`port` (0: a free one) before `targets`, URLs without a path. */
export async function startProxy(targets: readonly string[], port: number): Promise<ShopProxy> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  let next = 0
  const server = createServer((incoming, outgoing) => {
    const target = new URL(targets[next++ % targets.length])
    forward(target, agent, incoming, outgoing)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const { port: bound } = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${bound}`,
    close: () =>
      new Promise(resolve => {
        agent.destroy()
        server.close(() => resolve())
        server.closeAllConnections() // tidy: allow connections - Node's own word
      }),
  }
}

function forward(
  target: URL,
  agent: Agent,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): void {
  const { method, url, headers } = incoming
  const onward = request(
    { host: target.hostname, port: target.port, path: url, method, headers, agent },
    answer => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
      answer.on('error', () => outgoing.destroy())
    },
  )
  onward.on('error', () => {
    if (outgoing.headersSent) outgoing.destroy()
    else outgoing.writeHead(502, { 'content-type': 'text/plain' }).end('no shop instance answers\n')
  })
  incoming.on('error', () => onward.destroy())
  outgoing.on('close', () => {
    if (!outgoing.writableFinished) onward.destroy()
  })
  incoming.pipe(onward)
}
