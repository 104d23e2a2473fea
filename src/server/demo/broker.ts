/** The demo's own nats-server: a process on a free port of loopback, which ends with the demo. */
import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { GcacheError } from '../../errors.js'
import { freePorts } from './ports.js'
import { programPath } from './program-path.js'

const START_MS_MAX = 5_000
const TRY_EVERY_MS = 20

export interface DemoBroker {
  /** `nats://host:port`. */
  readonly url: string
  end(): void
}

/** NOT_FOUND with what to do, where there is no such program. */
export async function startBroker(): Promise<DemoBroker> {
  const path = programPath('nats-server')
  if (path === undefined)
    throw new GcacheError(
      'NOT_FOUND',
      'nats-server is not on the PATH: install it (Debian: apt install nats-server), or leave ' +
        '--transport nats out',
    )
  const [port] = await freePorts(1)
  const child = spawn(path, ['-a', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
  child.on('error', () => {})
  const end = () => void child.kill('SIGKILL')
  process.on('exit', end)
  for (let ms = 0; !(await answers(port)); ms += TRY_EVERY_MS) {
    if (ms >= START_MS_MAX) throw new GcacheError('TIMEOUT', `${path} did not start`)
    await new Promise(resolve => setTimeout(resolve, TRY_EVERY_MS))
  }
  return { url: `nats://127.0.0.1:${port}`, end }
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1' })
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
