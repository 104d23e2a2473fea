/** A UDP port of loopback that was free a moment ago: each test has a group of its own. */
import { createSocket } from 'node:dgram'

export async function freeMulticastPort(): Promise<number> {
  const socket = createSocket('udp4')
  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve))
  const { port } = socket.address()
  await new Promise<void>(resolve => socket.close(() => resolve()))
  return port
}
