/**
 * `gcache serve`: one node of a cluster as a process. Prints who it is and what it promises, then a
 * line beginning `ready` once it serves; a signal closes it cleanly.
 */
import { type Command, Option } from 'commander'
import type { Logger } from '../../contracts/environment.js'
import { GcacheError } from '../../errors.js'
import type { Node } from '../../node.js'
import type { NodeOptions } from '../../options.js'
import { addNodeAuth } from '../auth-flags.js'
import { banner, readyLine } from '../banner.js'
import { readConfig } from '../config-file.js'
import { addDiscovery } from '../discovery-flags.js'
import { holdHeap } from '../heap.js'
import { EXIT, failure, subcommand } from '../run.js'
import { LOG_LEVELS, nodeOptions, type ServeOptions } from '../serve-options.js'
import { addNodeTls, nodeTls } from '../tls-flags.js'

/** Trouble that is not the operator's own mistake, such as a port in use. */
const TROUBLE = 1
/** After a signal: whatever has not closed by then is left behind. */
const CLOSE_MS_MAX = 5_000
const NOT_READY_EVERY_MS = 30_000

export const repeated = (text: string, before: string[] | undefined) => [...(before ?? []), text]

export function serveCommand(): Command {
  return addDiscovery(addNodeTls(addNodeAuth(subcommand('serve', 'run one node of a cluster'))))
    .option('--id <id>', "this node's id, for all time: A-Z a-z 0-9 _ -")
    .option('--ordinal <n>', 'its place in the order of succession, 0 to 255; lower goes first')
    .option('--listen <address>', 'where to listen (default: tcp://127.0.0.1:7400)')
    .option('--advertise <address>', 'what others dial, if not the listen address')
    .option('--member <member>', 'another voter, ID=ORDINAL@ADDRESS; repeat for each', repeated)
    .option('--witness <member>', 'a voter without data, ID@ADDRESS, in profile majority')
    .option('--expect <n>', 'with --discovery: nodes that found the cluster, ordinals 0 to n - 1')
    .option('--cluster <name>', 'name of the cluster (default: gcache)')
    .option('--strategy <name|file>', 'master-slave (default), partitioned, broadcast, ./mine.js')
    .option('--partitions <n>', 'of strategy partitioned, 1 to 1024, alike everywhere (256)')
    .option('--backups <n>', 'copies of a partition beside its owner, 0 to 7, likewise (1)')
    .option('--zone <name>', 'where this node stands: copies lie in zones apart')
    .option('--profile <name>', "the strategy's profile (default: ordinal)")
    .option('--merge <how>', "writes of a split's losing side: lww (newest wins) or discard")
    .option('--election <broker>', 'lease mastership from this NATS broker; repeatable', repeated)
    .option('--election-ttl-ms <n>', 'a silent master keeps it so long, 500 to 60000 (2000)')
    .option('--durability <level>', 'memory, the only level of this version')
    .option('--cache <cache>', 'NAME or NAME:OPTION=VALUE,...; repeat for each', repeated)
    .option('--no-auto-caches', 'refuse caches that no --cache names')
    .option('--insecure', 'allow to listen beyond loopback without authentication or encryption')
    .option(
      '--poll-us <n>',
      'poll so many microseconds after a frame: latency for CPU; 0: never (default: busy: only ' +
        'while frames come that fast, or a lone caller calls again and again)',
    )
    .option('--value-max <size>', 'the largest value, 1k to 16m, on every node (default: 1m)')
    .option('--config <file>', "JSON with createNode's options; what stands here wins over it")
    .addOption(
      new Option('--log-level <level>', 'what goes to stderr').choices(LOG_LEVELS).default('info'),
    )
    .addOption(new Option('--until-stdin-ends', 'close when stdin ends').hideHelp())
    .addOption(new Option('--data-dir [dir]').hideHelp())
    .addOption(new Option('--http [address]').hideHelp())
    .addHelpText('after', HELP)
    .action(async (options: ServeOptions) => {
      try {
        await serve(logger => nodeOptions(options, file => readConfig(file, logger)), options)
      } catch (error) {
        process.exitCode = failure(error, TROUBLE)
      }
    })
}

const HELP = `
Options of a cache: ttl=30m (default life), idle=10m (life without use), max-entries=100000,
max-bytes=64m, eviction=lru|none (none: a full cache answers CACHE_FULL).
Not in this version: --data-dir, --http.
SIGHUP reads the files of --tls-cert, --tls-key and --tls-ca again; links that stand live on. It
reads --users-file again: links of users who are gone or changed end. It never ends a server.
Three nodes on one machine:
  gcache serve --id a --ordinal 0 --listen tcp://127.0.0.1:7400 \\
    --member b=1@tcp://127.0.0.1:7401 --member c=2@tcp://127.0.0.1:7402
  ... and the same for b and c.
Two that find each other, on any free ports:
  gcache serve --id a --ordinal 0 --discovery multicast
  gcache serve --id b --ordinal 1 --discovery multicast
Exit: 0 closed by a signal, 1 trouble such as a port in use, 2 wrong options or a wrong strategy.`

/** Runs until a signal ends it; a witness is served the same way. `optionsOf`: what the flags say,
 *  with the log that hears of the files they name. */
export async function serve(
  optionsOf: (logger: Logger) => NodeOptions,
  flags: ServeOptions,
): Promise<void> {
  // Only a server needs them, and they take as long to load as a client command to run.
  const { serverLogger } = await import('../log.js')
  const logger = serverLogger(flags.logLevel)
  const given = optionsOf(logger)
  const { createNode } = await import('../../node.js')
  holdHeap()
  const tls = nodeTls(flags, logger)
  const options = tls === undefined ? given : { ...given, tls: tls.credentials }
  let node: Node | undefined
  let asked = false
  const { usersFile } = options.auth ?? {}
  // Always heard: unheard, it would end a master without a handover.
  process.on('SIGHUP', () => {
    if (tls === undefined && usersFile === undefined)
      logger.info({}, 'SIGHUP: there is nothing to read again, no certificates and no users')
    tls?.reload()
    if (usersFile === undefined) return
    // Its file may have been read already, and what changed meanwhile would never count.
    if (node === undefined) asked = true
    else reloadUsers(node, usersFile, logger)
  })
  node = await createNode({ ...options, logger })
  if (asked && usersFile !== undefined) reloadUsers(node, usersFile, logger)
  const served = node
  process.exitCode = await untilEnded(served, flags.untilStdinEnds === true, async () => {
    process.stdout.write(banner(served, options))
    await announce(served, logger)
  })
}

function reloadUsers(node: Node, file: string, logger: Logger): void {
  try {
    logger.info({ file, ...node.reloadUsers() }, 'users were read again')
  } catch (error) {
    logger.error({ file, reason: (error as Error).message }, 'users stay as they were')
  }
}

/** Waits as long as it takes: a node alone may wait for its peers for hours. Rejects with whatever
 *  else keeps it from being ready. */
async function announce(node: Node, logger: Logger): Promise<void> {
  for (;;) {
    try {
      await node.ready({ timeoutMs: NOT_READY_EVERY_MS })
      process.stdout.write(readyLine(node))
      return
    } catch (error) {
      if (!(error instanceof GcacheError) || error.code !== 'NOT_READY') throw error
      logger.warn({ node: node.id }, error.message)
    }
  }
}

/**
 * Resolves with the exit code once a signal, the end of stdin, a fatal error or one of `begin` has
 * closed it. What `begin` asks of the node is asked when it can be closed already.
 */
function untilEnded(
  node: Node,
  untilStdinEnds: boolean,
  begin: () => Promise<void>,
): Promise<number> {
  return new Promise(resolve => {
    let closing = false
    const close = (code: number) => {
      // A second signal is an order: leave at once.
      if (closing) process.exit(1)
      closing = true
      const late = setTimeout(() => process.exit(code), CLOSE_MS_MAX)
      late.unref()
      void node.close().then(() => {
        if (untilStdinEnds) process.stdin.destroy()
        resolve(code)
      })
    }
    process.on('SIGTERM', () => close(EXIT.ok))
    process.on('SIGINT', () => close(EXIT.ok))
    node.on('error', error => {
      failure(error, TROUBLE)
      if (!closing) close(TROUBLE)
    })
    begin().catch(error => {
      if (closing) return // by what it heard of: a signal, or an error that is told already
      failure(error, TROUBLE)
      close(TROUBLE)
    })
    if (!untilStdinEnds) return
    process.stdin.on('end', () => closing || close(EXIT.ok))
    process.stdin.on('error', () => closing || close(EXIT.ok))
    process.stdin.resume()
  })
}
