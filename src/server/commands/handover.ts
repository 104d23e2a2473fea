/** `gcache handover`: another node becomes master, and no call of any client fails by it. */
import type { Command } from 'commander'
import {
  addServerOptions,
  EXIT,
  runAdmin,
  type ServerOptions,
  subcommand,
  withClient,
} from '../run.js'

interface HandoverCommandOptions extends ServerOptions {
  to?: string
}

export function handoverCommand(): Command {
  return addServerOptions(subcommand('handover', 'make another node master, without losing a call'))
    .option('--to <id>', 'who shall lead (default: the in-sync slave of lowest ordinal)')
    .addHelpText('after', '\nExit: 0 done, 1 refused or not done, 2 trouble, such as no such node.')
    .action((options: HandoverCommandOptions) => runAdmin(() => handover(options)))
}

async function handover(options: HandoverCommandOptions): Promise<number> {
  const wanted = options.to === undefined ? {} : { to: options.to }
  const { from, to, epoch, tookMs } = await withClient(options, client => client.handover(wanted))
  const how = from === to ? 'leads already' : `took over from ${from} in ${tookMs.toFixed(1)} ms`
  process.stdout.write(`${to} ${how}, epoch ${epoch}\n`)
  return EXIT.ok
}
