/** `gcache reset-partition`: the operator's word that what lay in a lost partition is given up. */
import type { Command } from 'commander'
import { parseCount } from '../parse.js'
import {
  addServerOptions,
  EXIT,
  runAdmin,
  type ServerOptions,
  subcommand,
  withClient,
} from '../run.js'

interface ResetOptions extends ServerOptions {
  yes?: boolean
}

export function resetPartitionCommand(): Command {
  return addServerOptions(
    subcommand('reset-partition', 'no copy of a partition is left: it begins anew, empty'),
  )
    .argument('<n>', 'which, as gcache status names it')
    .option('--yes', 'do it; without it nothing is done, and what would be lost is said')
    .addHelpText('after', '\nExit: 0 done, 1 not said --yes or refused, 2 trouble.')
    .action((n: string, options: ResetOptions) => runAdmin(() => reset(n, options)))
}

async function reset(text: string, options: ResetOptions): Promise<number> {
  const partition = parseCount(text, 'partition')
  if (!options.yes) {
    process.stderr.write(whatIsLost(partition))
    return EXIT.no
  }
  const { born } = await withClient(options, client => client.resetPartition(partition))
  process.stdout.write(`partition ${partition} begins anew, empty, for the ${born}. time\n`)
  return EXIT.ok
}

function whatIsLost(partition: number): string {
  return `gcache: nothing was done. With --yes partition ${partition} begins anew, empty, if every
copy of it is gone. A copy that some node still holds, and that comes back later, is worth
nothing then: start such nodes first, and look whether gcache status still calls it lost.
`
}
