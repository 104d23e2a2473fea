/** From `gcache serve`'s flags and its file to createNode's options; flags win over the file. */
import { dirname } from 'node:path'
import type { NodeAuth } from '../contracts/authentication.js'
import type { CacheOptions } from '../contracts/store.js'
import type { Member } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import type { NamedStrategy, NodeOptions } from '../options.js'
import { strategyPathFrom } from '../strategy-module.js'
import { nodeAuth } from './auth-flags.js'
import { type DiscoveryFlags, discoveryOf } from './discovery-flags.js'
import {
  DEFAULT_CLUSTER,
  parseBytes,
  parseCache,
  parseCount,
  parseMember,
  parseWitness,
  withScheme,
} from './parse.js'
import type { NodeTlsFlags } from './tls-flags.js'

const DEFAULT_LISTEN = 'tcp://127.0.0.1:7400'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface ServeOptions extends NodeTlsFlags, DiscoveryFlags {
  id?: string
  ordinal?: string
  listen?: string
  advertise?: string
  member?: string[]
  witness?: string
  cluster?: string
  strategy?: string
  partitions?: string
  backups?: string
  zone?: string
  profile?: string
  merge?: string
  election?: string[]
  electionTtlMs?: string
  expect?: string
  durability?: string
  cache?: string[]
  autoCaches: boolean
  insecure?: boolean
  pollUs?: string
  valueMax?: string
  config?: string
  logLevel: LogLevel
  untilStdinEnds?: boolean
  dataDir?: string | true
  http?: string | true
  secretFile?: string
  usersFile?: string
}

/** Flags that the design names and this version does not have, with what to do instead. */
const LATER = {
  dataDir: ['--data-dir', 'data lives in memory, on every node: leave it out'],
  http: ['--http', 'ask with gcache status --json'],
} as const

function refuseLater(flags: ServeOptions): void {
  for (const [name, [flag, remedy]] of Object.entries(LATER))
    if (flags[name as keyof typeof LATER] !== undefined)
      throw new GcacheError('CONFIG', `${flag} is not in this version: ${remedy}`)
}

/**
 * `readFile` gives the object of --config. Nothing is judged twice: createNode refuses what is
 * wrong in the result, the file's unknown keys included.
 */
export function nodeOptions(
  flags: ServeOptions,
  readFile: (file: string) => Record<string, unknown>,
): NodeOptions {
  refuseLater(flags)
  const file = flags.config === undefined ? {} : readFile(flags.config)
  const id = flags.id ?? (file.id as string | undefined)
  if (id === undefined)
    throw new GcacheError('CONFIG', 'which node is this? give --id, such as --id a')
  const options: Record<string, unknown> = { cluster: DEFAULT_CLUSTER, ...file, id }
  if (flags.cluster !== undefined) options.cluster = flags.cluster
  if (flags.listen !== undefined) options.listen = withScheme(flags.listen)
  if (flags.durability !== undefined) options.durability = flags.durability
  if (!flags.autoCaches) options.autoCaches = false
  if (flags.insecure) options.insecure = true
  if (flags.pollUs !== undefined)
    options.pollUs = /^\d+$/.test(flags.pollUs) ? Number(flags.pollUs) : flags.pollUs
  // A process of its own has nothing better to do; an application's has.
  else options.pollUs ??= 'busy'
  if (flags.valueMax !== undefined)
    options.valueBytesMax = parseBytes(flags.valueMax, '--value-max')
  const auth = nodeAuth(flags, file.auth)
  if (auth !== undefined) options.auth = auth
  const strategy = strategyOf(flags, fromFolder(file.strategy, flags.config))
  if (strategy !== undefined) options.strategy = strategy
  const discovery = discoveryOf(flags)
  if (discovery !== undefined) Object.assign(options, found(flags), { discovery })
  else if (flags.expect !== undefined) throw new GcacheError('CONFIG', '--expect needs --discovery')
  else options.members = membersOf(id, flags, file.members)
  const caches = (flags.cache ?? []).map(parseCache)
  if (caches.length > 0) options.caches = mergeCaches(file.caches, caches)
  return options as unknown as NodeOptions
}

/** What a node says of itself where nobody lists it; createNode judges what is missing. */
function found({ member, witness, ordinal, advertise, expect }: ServeOptions): object {
  if (member !== undefined || witness !== undefined)
    throw new GcacheError(
      'CONFIG',
      '--discovery finds the members: leave --member and --witness out',
    )
  return {
    ...(ordinal === undefined ? {} : { ordinal: parseCount(ordinal, '--ordinal') }),
    ...(advertise === undefined ? {} : { address: withScheme(advertise) }),
    ...(expect === undefined ? {} : { expect: parseCount(expect, '--expect', 1) }),
  }
}

/** The options of `gcache witness`. */
export function witnessOptions(flags: ServeOptions): NodeOptions {
  const { id, member = [], cluster = DEFAULT_CLUSTER, listen = DEFAULT_LISTEN, dataDir } = flags
  if (id === undefined)
    throw new GcacheError('CONFIG', 'which witness is this? give --id, such as --id w')
  const auth = nodeAuth(flags, undefined) as NodeAuth | undefined
  const self = parseWitness(`${id}@${withScheme(flags.advertise ?? listen)}`)
  return {
    cluster,
    id,
    members: [...member.map(text => parseMember(text)), self],
    listen: withScheme(listen),
    strategy: { name: 'master-slave', profile: 'majority' },
    ...(typeof dataDir === 'string' ? { dataDir } : {}),
    ...(flags.insecure ? { insecure: true } : {}),
    ...(auth === undefined ? {} : { auth }),
  }
}

/** A path in the file of --config is seen from that file's folder. */
function fromFolder(strategy: unknown, config = ''): unknown {
  if (typeof strategy === 'string') return strategyPathFrom(dirname(config), strategy)
  if (typeof strategy !== 'object' || strategy === null || !('name' in strategy)) return strategy
  return { ...strategy, name: fromFolder(strategy.name, config) }
}

function strategyOf(flags: ServeOptions, fromFile: unknown): unknown {
  const { profile, merge, zone } = flags
  const partitions = countOf(flags, 'partitions')
  const backups = countOf(flags, 'backups')
  // What a strategy has no such option for it refuses by name.
  const own = { profile, merge, election: electionOf(flags), partitions, backups, zone }
  const given = Object.entries(own).filter(pair => pair[1] !== undefined)
  if (flags.strategy === undefined && given.length === 0) return fromFile
  const named: NamedStrategy =
    flags.strategy === undefined && typeof fromFile === 'object' && fromFile !== null
      ? { ...(fromFile as NamedStrategy) }
      : { name: flags.strategy ?? (typeof fromFile === 'string' ? fromFile : 'master-slave') }
  return { ...named, ...Object.fromEntries(given) }
}

function countOf(flags: ServeOptions, name: 'partitions' | 'backups'): number | undefined {
  const text = flags[name]
  return text === undefined ? undefined : parseCount(text, `--${name}`)
}

/** The scheme says who grants the lease: nats:// is all there is. */
function electionOf({ election, electionTtlMs, insecure }: ServeOptions): object | undefined {
  if (election === undefined) {
    if (electionTtlMs === undefined) return undefined
    throw new GcacheError('CONFIG', '--election-ttl-ms needs --election')
  }
  for (const broker of election)
    if (!broker.startsWith('nats://') && !broker.startsWith('tls://'))
      throw new GcacheError(
        'CONFIG',
        // What stands before an @ is a password.
        `--election ${broker.replace(/^.*@/, '')}: takes a NATS broker with JetStream, such as ` +
          'nats://127.0.0.1:4222',
      )
  const ttlMs = electionTtlMs && { ttlMs: parseCount(electionTtlMs, '--election-ttl-ms') }
  return { name: 'nats', servers: election, ...ttlMs, ...(insecure ? { insecure } : {}) }
}

/** The file's members, each --member over its namesake, and this node itself. */
function membersOf(id: string, flags: ServeOptions, fromFile: unknown): unknown {
  if (fromFile !== undefined && !Array.isArray(fromFile)) return fromFile
  const named = (flags.member ?? []).map(text => parseMember(text))
  if (flags.witness !== undefined) named.push(witnessOf(id, flags.witness))
  refuseContradictions(id, flags, named)
  const members = ((fromFile ?? []) as Member[]).filter(
    member => !named.some(other => other.id === member?.id),
  )
  members.push(...named)
  const at = members.findIndex(member => member?.id === id)
  const known = at < 0 ? undefined : members[at]
  if (known === undefined && flags.ordinal === undefined && members.length > 0)
    throw new GcacheError(
      'CONFIG',
      `the members (${members.map(member => member?.id).join(', ')}) lack this node itself: ` +
        `add --ordinal N and --listen ADDRESS, or --member ${id}=N@ADDRESS`,
    )
  const self: Member = {
    id,
    ordinal:
      flags.ordinal === undefined ? (known?.ordinal ?? 0) : parseCount(flags.ordinal, '--ordinal'),
    address: withScheme(flags.advertise ?? known?.address ?? flags.listen ?? DEFAULT_LISTEN),
  }
  if (at < 0) members.push(self)
  else members[at] = self
  return members.sort((a, b) => a?.ordinal - b?.ordinal)
}

function witnessOf(id: string, text: string): Member {
  const witness = parseWitness(text)
  if (witness.id !== id) return witness
  throw new GcacheError(
    'CONFIG',
    `--witness ${text} has the id of this node: it is a process of its own, gcache witness, on ` +
      'another machine and under another id',
  )
}

/** A --member that names this node itself must say what its other flags say. */
function refuseContradictions(id: string, flags: ServeOptions, named: readonly Member[]): void {
  const self = named.find(member => member.id === id)
  if (self === undefined) return
  if (flags.ordinal !== undefined && parseCount(flags.ordinal, '--ordinal') !== self.ordinal)
    throw new GcacheError(
      'CONFIG',
      `--ordinal ${flags.ordinal} and --member ${id}=${self.ordinal} differ: keep one`,
    )
  const { advertise } = flags
  if (advertise !== undefined && withScheme(advertise) !== withScheme(self.address))
    throw new GcacheError(
      'CONFIG',
      `--advertise ${advertise} and --member ${id} at ${self.address} differ: keep one`,
    )
}

function mergeCaches(
  fromFile: unknown,
  caches: [string, Partial<CacheOptions>][],
): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...(fromFile as Record<string, unknown> | undefined) }
  for (const [name, options] of caches)
    merged[name] = { ...(merged[name] as object | undefined), ...options }
  return merged
}
