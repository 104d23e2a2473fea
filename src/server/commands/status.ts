/** `gcache status`: the whole cluster from any one node, once or again and again. */
import type { Command } from 'commander'
import type { Client } from '../../client/connect.js'
import { paintFor } from '../paint.js'
import {
  addServerOptions,
  EXIT,
  failure,
  runCommand,
  type ServerOptions,
  subcommand,
  withAnyNode,
} from '../run.js'
import { healthExit, statusJson, statusTable } from '../status-view.js'

interface StatusOptions extends ServerOptions {
  json?: boolean
  watch?: boolean
}

const WATCH_EVERY_MS = 1_000

export function statusCommand(): Command {
  return addServerOptions(subcommand('status', 'show the whole cluster, asked from any one node'))
    .option('--json', 'one line of JSON')
    .option('--watch', 'again every second, until Ctrl-C')
    .addHelpText(
      'after',
      '\nExit: 0 healthy, 1 degraded, 2 no master (broadcast: no node) serves, or nobody answers.',
    )
    .action((options: StatusOptions) =>
      runCommand(() =>
        withAnyNode(options, client =>
          options.watch ? watch(client, options) : once(client, options),
        ),
      ),
    )
}

async function once(client: Client, options: StatusOptions): Promise<number> {
  const status = await client.status()
  const text = options.json
    ? `${statusJson(status)}\n`
    : statusTable(status, paintFor(process.stdout))
  process.stdout.write(text)
  return healthExit(status)
}

/** Trouble in between is a line and another try: watching a failover is what it is for. */
async function watch(client: Client, options: StatusOptions): Promise<number> {
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
  let code: number = EXIT.trouble
  while (!stop.signal.aborted) {
    if (process.stdout.isTTY && !options.json) process.stdout.write('\u001b[H\u001b[2J')
    try {
      code = await once(client, options)
    } catch (error) {
      code = failure(error)
    }
    await pause(WATCH_EVERY_MS, stop.signal)
  }
  return code
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
}
