/** `gcache force-bootstrap`: the operator's word that one node's data is the truth from now on. */
import type { Command } from 'commander'
import { GcacheError } from '../../errors.js'
import { parseServers } from '../parse.js'
import {
  addServerOptions,
  EXIT,
  runAdmin,
  type ServerOptions,
  subcommand,
  withAnyNode,
} from '../run.js'

interface ForceOptions extends ServerOptions {
  yes?: boolean
  empty?: boolean
}

export function forceBootstrapCommand(): Command {
  return addServerOptions(
    subcommand('force-bootstrap', 'no master and no hope of one: begin with what this node has'),
  )
    .option('--yes', 'do it; without it nothing is done, and what would be lost is said')
    .option('--empty', 'begin with nothing although other nodes hold data, which is given up')
    .addHelpText('after', '\nExit: 0 done, 1 not said --yes or refused, 2 trouble.')
    .action((options: ForceOptions) => runAdmin(() => force(options)))
}

async function force(options: ForceOptions): Promise<number> {
  const servers = parseServers(options.server ?? [])
  if (servers.length !== 1)
    throw new GcacheError('CONFIG', `name one server, the one to force: ${servers.length} given`)
  if (!options.yes) {
    process.stderr.write(whatIsLost(servers[0]))
    return EXIT.no
  }
  const result = await withAnyNode(options, client =>
    client.forceBootstrap({ empty: options.empty === true }),
  )
  const { epoch, history, forcedFrom } = result
  const from = forcedFrom === '' ? 'with nothing' : `from ${forcedFrom}`
  process.stdout.write(`history ${history} begins ${from}, epoch ${epoch}\n`)
  if (forcedFrom === '')
    process.stdout.write('a node that holds data follows only once it was started anew\n')
  return EXIT.ok
}

function whatIsLost(server: string): string {
  return `gcache: nothing was done. With --yes the node at ${server} takes what it holds for the
truth and leads a new history from there. Whatever other nodes hold beyond it is lost for good, even
if it was acknowledged: they are copied over and report it as divergence. It is for a cluster that
elects nobody because too many memories were lost at once, and for no other. First
  gcache status --server ${server}
and choose the node with the highest offset. One that holds nothing is refused while it hears of one
with data, unless you say --empty as well: those with data stay without a master until restarted.
`
}
