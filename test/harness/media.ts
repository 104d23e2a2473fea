/** Media over which real processes are tested: one row each, and all process tests run over it. */
import { inject } from 'vitest'

export interface ProcessMedium {
  /** Begins the names of its tests. */
  readonly name: string
  /** Where the process listens that was given this port of loopback. */
  address(port: number): string
}

/** Names at it are as unlike as the ports are. */
const brokerUrl = inject('brokerUrl')

export const MEDIA: readonly ProcessMedium[] = [
  { name: 'tcp', address: port => `tcp://127.0.0.1:${port}` },
  { name: 'websocket', address: port => `ws://127.0.0.1:${port}` },
  // Without a broker the set-up has said so.
  ...(brokerUrl === ''
    ? []
    : [{ name: 'nats', address: (port: number) => `${brokerUrl}/n${port}` }]),
]
