#!/usr/bin/env node
/**
 * The command `gcache`: argv in, exit code out. Each command is a file of commands/; this one only
 * gathers them and sees to what all processes need.
 */
import { Command } from 'commander'
import { delCommand } from './commands/del.js'
import { demoCommand, demoShopCommand } from './commands/demo.js'
import { forceBootstrapCommand } from './commands/force-bootstrap.js'
import { getCommand } from './commands/get.js'
import { handoverCommand } from './commands/handover.js'
import { joinCommand } from './commands/join.js'
import { leaveCommand } from './commands/leave.js'
import { resetPartitionCommand } from './commands/reset-partition.js'
import { scanCommand } from './commands/scan.js'
import { serveCommand } from './commands/serve.js'
import { setCommand } from './commands/set.js'
import { statusCommand } from './commands/status.js'
import { touchCommand } from './commands/touch.js'
import { userCommand } from './commands/user.js'
import { watchCommand } from './commands/watch.js'
import { witnessCommand } from './commands/witness.js'
import { EXIT, failure } from './run.js'
import { version } from './version.js'

function program(): Command {
  const gcache = new Command('gcache')
    .description('Replicated in-memory state: writes go to a master, slaves hold copies.')
    .version(version())
    .exitOverride()
    .showHelpAfterError('(gcache --help, or gcache COMMAND --help)')
    .hook('preAction', (_, command) => {
      serves = SERVERS.has(command.name())
    })
  for (const command of [
    serveCommand(),
    statusCommand(),
    handoverCommand(),
    joinCommand(),
    leaveCommand(),
    forceBootstrapCommand(),
    resetPartitionCommand(),
    getCommand(),
    setCommand(),
    delCommand(),
    touchCommand(),
    scanCommand(),
    watchCommand(),
    witnessCommand(),
    userCommand(),
    demoCommand(),
  ])
    gcache.addCommand(command)
  gcache.addCommand(demoShopCommand(), { hidden: true })
  return gcache
}

/** Others live on them: what they print is for whoever still reads it. */
const SERVERS = new Set(['serve', 'witness'])
let serves = false

// An error that nobody hears would end the process, and a server's copies with it.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (serves) return
  // `gcache scan | head -1` closes our stdout: nobody reads on, so there is nothing left to do.
  if (error.code === 'EPIPE') process.exit()
  process.stderr.write(`gcache: stdout cannot be written: ${error.message}\n`)
  process.exit(EXIT.trouble)
})
// Nobody is left to be told; the exit code says it still.
process.stderr.on('error', () => {})

program()
  .parseAsync()
  .catch((error: unknown) => {
    process.exitCode = failure(error)
  })
