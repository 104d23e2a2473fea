/**
 * `gcache demo`, which `npm start` runs: a real web application keeps its users logged in while the
 * master of its cluster is killed. `gcache demo-shop` is one of its processes.
 */
import { type Command, Option } from 'commander'
import { schemeOfTransport } from '../../registry.js'
import { parseCount } from '../parse.js'
import { EXIT, failure, subcommand } from '../run.js'

/** What shells say of a process that Ctrl-C ended. */
const INTERRUPTED = 130

export function demoCommand(): Command {
  return subcommand(
    'demo',
    'three nodes and a web shop on this machine: kill the master, lose nothing',
  )
    .option('--port <n>', 'of the shop; 0: any free one', '0')
    .option('--transport <name>', 'how nodes and shop reach each other', 'tcp')
    .option(
      '--strategy <name>',
      'who copies what to whom, master-slave or partitioned',
      'master-slave',
    )
    .addHelpText(
      'after',
      `
On a terminal: k kills the master (of partitions, who leads most), r starts the dead one, q quits.
Elsewhere it takes the kill by itself and exits 0 only if no acknowledged session write was lost.
Needs express and express-session.`,
    )
    .action(async (options: DemoFlags) => {
      const code = await demo(options)
      // All is told and everything of it has ended: nothing may hold the process up.
      process.stdout.write('', () => process.exit(code))
    })
}

interface DemoFlags {
  port: string
  transport: string
  strategy: string
}

async function demo(options: DemoFlags): Promise<number> {
  const [{ Show }, { drillOf }] = await Promise.all([
    import('../demo/show.js'),
    import('../demo/drill.js'),
  ])
  const interactive = process.stdin.isTTY === true && process.stdout.isTTY === true
  const { transport, strategy } = options
  const port = parseCount(options.port, '--port')
  const scheme = schemeOfTransport(transport)
  const show = new Show({ port, interactive, transport, scheme, drill: drillOf(strategy) })
  let ended: Promise<void> | undefined
  const end = () => {
    ended ??= show.end()
    return ended
  }
  const interrupted = new Promise<number>(resolve => {
    const leave = () => {
      // Whatever still runs after a second signal is killed by the exit itself.
      if (ended !== undefined) process.exit(INTERRUPTED)
      void end().then(() => resolve(INTERRUPTED))
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, leave)
  })
  const course = async () => {
    await show.start()
    return interactive ? await keys(show) : await show.alone()
  }
  let code: number
  try {
    code = await Promise.race([course(), interrupted])
  } catch (error) {
    // What fails because everything is being ended is no failure.
    code = ended === undefined ? failure(error, EXIT.no) : INTERRUPTED
  }
  await end()
  return code
}

/** One key at a time; what takes long is finished before the next. Resolves with the exit code. */
function keys(show: {
  kill(): Promise<unknown>
  restart(): Promise<unknown>
  readonly lost: number
}): Promise<number> {
  return new Promise((resolve, reject) => {
    let busy = false
    const begin = (task: () => Promise<unknown>) => {
      if (busy) return
      busy = true
      task()
        .catch(reject)
        .finally(() => {
          busy = false
        })
    }
    const done = () => {
      process.stdin.off('data', press).setRawMode(false).pause()
      resolve(show.lost === 0 ? EXIT.ok : EXIT.no)
    }
    const press = (data: Buffer) => {
      for (const key of data.toString().toLowerCase()) {
        if (key === 'k') begin(() => show.kill())
        else if (key === 'r') begin(() => show.restart())
        // In raw mode Ctrl-C and Ctrl-D arrive as characters.
        else if (key === 'q' || key === '\u0003' || key === '\u0004') done()
      }
    }
    process.stdin.setRawMode(true).resume().on('data', press)
  })
}

export function demoShopCommand(): Command {
  return subcommand('demo-shop', 'one instance of the shop of the demo')
    .requiredOption('--instance <name>')
    .requiredOption('--cluster <name>')
    .requiredOption('--servers <addresses...>')
    .option('--port <n>', 'of the shop; 0: any free one', '0')
    .addOption(new Option('--until-stdin-ends').hideHelp())
    .action(async (options: ShopFlags) => {
      try {
        await shop(options)
      } catch (error) {
        process.exitCode = failure(error, EXIT.no)
      }
    })
}

interface ShopFlags {
  instance: string
  cluster: string
  servers: string[]
  port: string
  untilStdinEnds?: boolean
}

async function shop(flags: ShopFlags): Promise<void> {
  const { startShop } = await import('../demo/shop.js')
  const running = await startShop({
    instance: flags.instance,
    cluster: flags.cluster,
    servers: flags.servers,
    secret: process.env.GCACHE_DEMO_SECRET ?? 'demo',
    port: parseCount(flags.port, '--port'),
  })
  process.stdout.write(`ready ${running.url}\n`)
  const close = () => {
    process.stdin.destroy()
    // Its sessions live elsewhere: nothing is lost by leaving at once.
    void running.close().finally(() => process.exit())
  }
  process.once('SIGTERM', close).once('SIGINT', close)
  if (flags.untilStdinEnds) process.stdin.on('end', close).on('error', close).resume()
}
