/** `gcache leave`: one member less, while the cluster serves. */
import type { Command } from 'commander'
import {
  addServerOptions,
  EXIT,
  runAdmin,
  type ServerOptions,
  subcommand,
  withClient,
} from '../run.js'
import { viewLine } from '../view-line.js'

export function leaveCommand(): Command {
  return addServerOptions(subcommand('leave', 'take a member out of a running cluster'))
    .argument('<id>', 'who leaves; the master hands over first')
    .addHelpText('after', '\nExit: 0 done, 1 refused, such as no such member, 2 trouble.')
    .action((id: string, options: ServerOptions) => runAdmin(() => leave(id, options)))
}

async function leave(id: string, options: ServerOptions): Promise<number> {
  const result = await withClient(options, client => client.leave(id))
  process.stdout.write(viewLine(result))
  return EXIT.ok
}
