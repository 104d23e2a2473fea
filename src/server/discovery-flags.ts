/** The command line of finding each other, for nodes and for clients alike. */
import { type Command, Option } from 'commander'
import type { DiscoveryFactory } from '../contracts/discovery.js'
import { dns } from '../discovery/dns.js'
import { multicast } from '../discovery/multicast.js'
import { GcacheError } from '../errors.js'
import { parseCount, parseDuration } from './parse.js'

export interface DiscoveryFlags {
  discovery?: 'multicast' | 'dns'
  multicastGroup?: string
  multicastPort?: string
  multicastInterface?: string
  announceEvery?: string
  dnsName?: string
  dnsSrv?: boolean
  dnsPort?: string
  dnsServer?: string
}

/** Of which way of discovery each flag is. */
const FLAGS = {
  multicast: ['multicastGroup', 'multicastPort', 'multicastInterface', 'announceEvery'],
  dns: ['dnsName', 'dnsSrv', 'dnsPort', 'dnsServer'],
} as const

/** --discovery, --multicast-* and --dns-*, with environment variables for the first two. */
export function addDiscovery(command: Command): Command {
  return command
    .addOption(
      new Option('--discovery <how>', 'find nodes instead of naming them')
        .choices(['multicast', 'dns'])
        .env('GCACHE_DISCOVERY'),
    )
    .option('--multicast-group <address>', 'IPv4 group of announcements (default: 239.255.71.67)')
    .addOption(
      new Option('--multicast-port <port>', 'UDP port of announcements (default: 7446)').env(
        'GCACHE_MULTICAST_PORT',
      ),
    )
    .option('--multicast-interface <address>', "this host's address there (default: 127.0.0.1)")
    .option('--announce-every <duration>', 'a node says that it lives (default: 500ms)')
    .option('--dns-name <name>', 'the name whose addresses are nodes')
    .option('--dns-port <port>', 'where those listen')
    .option('--dns-srv', 'the name has SRV records, which name ports')
    .option('--dns-server <address>', 'ask this name server, HOST[:PORT]')
}

/** What the flags ask for; undefined: nothing is to be found. `scheme`: of what a name leads to,
 *  where it is known here. */
export function discoveryOf(flags: DiscoveryFlags, scheme?: string): DiscoveryFactory | undefined {
  const { discovery } = flags
  // A port by environment is for whoever uses it.
  for (const way of ['multicast', 'dns'] as const)
    for (const name of FLAGS[way])
      if (way !== discovery && flags[name] !== undefined && name !== 'multicastPort')
        throw new GcacheError('CONFIG', `${flagOf(name)} needs --discovery ${way}`)
  if (discovery === 'multicast') return multicast(multicastOptions(flags))
  if (discovery === 'dns')
    return dns({ ...dnsOptions(flags), ...(scheme === undefined ? {} : { scheme }) })
  return undefined
}

function multicastOptions(flags: DiscoveryFlags) {
  const { multicastGroup, multicastPort, multicastInterface, announceEvery } = flags
  return {
    ...(multicastGroup === undefined ? {} : { group: multicastGroup }),
    ...(multicastPort === undefined ? {} : { port: parseCount(multicastPort, '--multicast-port') }),
    ...(multicastInterface === undefined ? {} : { interface: multicastInterface }),
    ...(announceEvery === undefined
      ? {}
      : { intervalMs: parseDuration(announceEvery, '--announce-every') }),
  }
}

function dnsOptions({ dnsName, dnsSrv, dnsPort, dnsServer }: DiscoveryFlags) {
  if (dnsName === undefined)
    throw new GcacheError('CONFIG', 'which name? give --dns-name, such as gcache.example.org')
  return {
    name: dnsName,
    ...(dnsSrv ? { srv: true } : {}),
    ...(dnsPort === undefined ? {} : { port: parseCount(dnsPort, '--dns-port') }),
    ...(dnsServer === undefined ? {} : { servers: [dnsServer] }),
  }
}

function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`
}
