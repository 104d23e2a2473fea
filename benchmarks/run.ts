/**
 * `npm run bench -- [throughput | broadcast | failover | media | nats | partitioned | peers |
 * slow-slave | sockets | unread | report] [options]`; throughput by itself.
 */
import { main as broadcast } from './broadcast.js'
import { main as failover } from './failover.js'
import { main as media } from './media.js'
import { main as nats } from './nats.js'
import { main as partitioned } from './partitioned.js'
import { main as peers } from './peers.js'
import { main as report } from './report.js'
import { main as slowSlave } from './slow-slave.js'
import { main as sockets } from './sockets.js'
import { main as throughput } from './throughput.js'
import { main as unread } from './unread.js'

const BENCHES: Record<string, (args: string[]) => Promise<void>> = {
  throughput,
  broadcast,
  failover,
  media,
  nats,
  partitioned,
  peers,
  report,
  'slow-slave': slowSlave,
  sockets,
  unread,
}

const [first, ...rest] = process.argv.slice(2)
const named = first !== undefined && !first.startsWith('-')
const bench = BENCHES[named ? first : 'throughput']

if (bench === undefined) {
  console.error(`unknown benchmark ${first}: one of ${Object.keys(BENCHES).join(', ')}`)
  process.exit(2)
}
try {
  await bench(named ? rest : process.argv.slice(2))
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
