/** Media over which real processes are tested: one row each, and all process tests run over it. */

export interface ProcessMedium {
  /** Begins the names of its tests. */
  readonly name: string
  /** Where the process listens that was given this port of loopback. */
  address(port: number): string
}

export const MEDIA: readonly ProcessMedium[] = [
  { name: 'tcp', address: port => `tcp://127.0.0.1:${port}` },
  { name: 'websocket', address: port => `ws://127.0.0.1:${port}` },
]
