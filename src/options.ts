/**
 * What createNode accepts, judged strictly: every unknown option is refused by its name, at every
 * level, with a suggestion; every rule that options have with one another is one clear line.
 */
import { z } from 'zod'
import { CACHE_DEFAULTS, ID, ID_RULE, LIMITS } from './config.js'
import type { NodeAuth } from './contracts/authentication.js'
import type { ConflictFunction } from './contracts/conflict.js'
import type { DiscoveryFactory } from './contracts/discovery.js'
import type { Logger } from './contracts/environment.js'
import type { MergeFunction } from './contracts/merge.js'
import type { CacheOptions } from './contracts/store.js'
import type { StrategyFactory } from './contracts/strategy.js'
import type { TlsCredentials, TlsOptions } from './contracts/tls.js'
import type { TransportFactory } from './contracts/transport.js'
import type { Member } from './contracts/types.js'
import { placesOf } from './core/addresses.js'
import { checkExposure } from './core/exposure.js'
import { suggestion } from './core/suggest.js'
import { GcacheError } from './errors.js'
import { isPolling, POLL_US_MAX, type Polling } from './polling.js'
import { checkAddress, checkSameScheme, isBuiltIn } from './registry.js'

/** A built-in strategy by its name, with its options: what a JSON file can say. */
export interface NamedStrategy {
  name: string
  [option: string]: unknown
}

/** Everything createNode takes. Required: `cluster`, `id`, and `members` or `discovery`. */
export interface NodeOptions {
  /** Its name: 1..64 of A-Z a-z 0-9 _ -. Nodes and clients of other clusters are refused. */
  cluster: string
  /** This node's id for all time, never an address: 1..64 of A-Z a-z 0-9 _ -. */
  id: string
  /**
   * All voters, this node included. The lower ordinal (0..255, unique) is tried first. One with
   * `witness: true` votes in profile majority, holds no data and never leads.
   */
  members?: readonly Member[]
  /**
   * Instead of `members`: what multicast(), dns() or staticAddresses() return. The nodes find each
   * other, found a cluster together, and take in who comes later; `ready()` says when.
   */
  discovery?: DiscoveryFactory
  /** This node's, 0..255 and its own for all time; with `discovery`, which requires it. */
  ordinal?: number
  /** What others dial, if not the listen address; with `discovery`. */
  address?: string
  /**
   * How many nodes found the cluster: those with the ordinals 0 to expect - 1, all of which must be
   * there. The same on every node. Default 2 in profile ordinal; the other profiles require it.
   */
  expect?: number
  /** Default: the built-in one for the scheme of the addresses, `tcp()`. */
  transport?: TransportFactory | string
  /** Default `masterSlave()`. A name, or a name with options, picks a built-in. */
  strategy?: StrategyFactory | string | NamedStrategy
  /** Of the built-in transport; one that is given as a factory has its own. Give every node it. */
  tls?: TlsOptions | TlsCredentials
  /** Caches by name; what is left out of one comes from config.ts's CACHE_DEFAULTS. Limits are the
   *  whole cluster's: with partitions each has its share of them, and evicts by itself. */
  caches?: Record<string, Partial<CacheOptions>>
  /** A cache that `caches` does not name is made at its first use. Default true. */
  autoCaches?: boolean
  /**
   * The largest value, bytes: 1 KiB to 16 MiB, default 1 MiB; LIMIT beyond. Give every node the
   * same: nodes whose frames differ by it refuse each other. A link must carry one value in less
   * than the time of suspicion: 16 MiB in 1 s takes some 150 Mbit/s.
   */
  valueBytesMax?: number
  /** Only 'memory' in this version. */
  durability?: 'memory'
  /** A witness's folder for the few bytes it must not forget. Data nodes have none here. */
  dataDir?: string
  /** Where to listen, if not at this member's address: behind a NAT, in a container. With
   *  `discovery` the default is any free port of loopback. */
  listen?: string
  /** Allow to listen beyond loopback without authentication or encryption; status says so. */
  insecure?: boolean
  /** Who may come in, nodes and clients; they then prove it, and so does this node to them. */
  auth?: NodeAuth
  /**
   * Decides, while this node is master, each key that both sides of a network split changed;
   * values are the bytes that the cache's codec wrote. Give every node the same. Without it, and
   * where it throws, the newest value wins. CONFIG where nobody would ask it: in the profiles
   * strict and majority, with `merge: 'discard'`, and with strategy broadcast.
   */
  onMerge?: MergeFunction
  /**
   * Strategy broadcast: called with each write of this node that a concurrent one has replaced,
   * both values as bytes; what it returns becomes a new write. Without it such writes are counted.
   * CONFIG with any other strategy, and with `carry: 'invalidations'`, where nothing is a conflict.
   */
  onConflict?: ConflictFunction
  /**
   * Microseconds that the process polls after each frame before it sleeps, 0 to 1,000. Default 0.
   * A write that waits for a slave, alone in flight, takes half the time with 150; it costs CPU.
   * 'busy', the default of `gcache serve`: 60, and only while small frames follow each other that
   * fast, which gives 14 to 18 % more calls a second; 250 while a lone caller makes one small call
   * after the other, which takes half the time then.
   */
  pollUs?: Polling
  /** Any object with debug, info, warn, error(fields, text), such as pino. Default: silence. */
  logger?: Logger
}

/** NodeOptions with every default filled in. */
export interface FullNodeOptions {
  cluster: string
  id: string
  self: Member
  /** With `discovery` this node alone. */
  members: readonly Member[]
  discovery: { factory: DiscoveryFactory; expect: number | undefined } | undefined
  transport: TransportFactory | string | undefined
  strategy: StrategyFactory | NamedStrategy
  tls: TlsOptions | TlsCredentials | undefined
  caches: Record<string, CacheOptions>
  autoCaches: boolean
  valueBytesMax: number
  durability: 'memory'
  listen: string
  dataDir: string | undefined
  insecure: boolean
  /** What the listen address would need and has not, because `insecure` was said. */
  lacking: readonly string[]
  auth: NodeAuth | undefined
  onMerge: MergeFunction | undefined
  onConflict: ConflictFunction | undefined
  pollUs: Polling
  logger: Logger | undefined
}

const id = z.string().regex(ID, ID_RULE)
const count = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER)
const ms = z
  .number()
  .int()
  .min(0)
  .max(2 ** 45)

const cacheSchema = z.strictObject({
  maxEntries: count.optional(),
  maxBytes: count.optional(),
  ttlMs: ms.optional(),
  idleMs: ms.optional(),
  eviction: z.enum(['lru', 'none']).optional(),
})

const memberSchema = z.strictObject({
  id,
  ordinal: z.number().int().min(0).max(LIMITS.ordinalMax),
  address: z.string().min(1).max(LIMITS.addressCharsMax),
  witness: z.boolean().optional(),
})

const aFunction = (what: string) =>
  z.custom<unknown>(value => typeof value === 'function', `must be ${what}`)

const loggerSchema = z.custom<Logger>(
  value =>
    typeof value === 'object' &&
    value !== null &&
    ['debug', 'info', 'warn', 'error'].every(
      level => typeof (value as Record<string, unknown>)[level] === 'function',
    ),
  'must have the functions debug, info, warn and error',
)

const isValueLimit = (bytes: number) =>
  Number.isInteger(bytes) && bytes >= LIMITS.valueBytesFloor && bytes <= LIMITS.valueBytesCeiling

const nodeSchema = z.strictObject({
  cluster: id,
  id,
  members: z.array(memberSchema).optional(),
  discovery: aFunction('what multicast() returns').optional(),
  ordinal: memberSchema.shape.ordinal.optional(),
  address: memberSchema.shape.address.optional(),
  expect: z
    .number()
    .int()
    .min(1)
    .max(LIMITS.ordinalMax + 1)
    .optional(),
  transport: z.union([z.string(), aFunction('what tcp() returns')]).optional(),
  strategy: z
    .union([
      z.string(),
      z.looseObject({ name: z.string() }),
      aFunction('what masterSlave() returns'),
    ])
    .optional(),
  tls: z
    .custom<object>(value => typeof value === 'object' && value !== null, 'must be an object')
    .optional(),
  caches: z.record(z.string(), cacheSchema).optional(),
  autoCaches: z.boolean().optional(),
  valueBytesMax: z
    .number()
    .refine(isValueLimit, 'must be a whole number of bytes from 1024 to 16777216 (1 KiB to 16 MiB)')
    .optional(),
  durability: z.string().optional(),
  listen: z.string().min(1).optional(),
  dataDir: z.string().min(1).optional(),
  insecure: z.boolean().optional(),
  // Judged in auth.ts: what is printed of a wrong option here could be the secret.
  auth: z.unknown().optional(),
  onMerge: aFunction('a function (cache, key, mine, theirs)').optional(),
  onConflict: aFunction('a function (cache, key, mine, theirs)').optional(),
  pollUs: z
    .custom<Polling>(isPolling, `must be a whole number up to ${POLL_US_MAX}, or 'busy'`)
    .optional(),
  logger: loggerSchema.optional(),
})

/**
 * Judges `options` and fills in the defaults. Throws CONFIG with one line: the option's place, what
 * is wrong with it and what to do.
 */
export function parseNodeOptions(options: unknown): FullNodeOptions {
  const checked = withDiscovery(check(nodeSchema, options, 'createNode') as NodeOptions)
  if (checked.durability !== undefined && checked.durability !== 'memory')
    throw config(
      `durability ${JSON.stringify(checked.durability)} is not in this version: ` +
        "leave it out, or say 'memory'",
    )
  if (checked.tls !== undefined && typeof checked.transport === 'function')
    throw config('option tls belongs to the transport: transport: tcp({ tls })')
  const self = checkMembers(checked)
  if (checked.dataDir !== undefined && !self.witness)
    throw config(
      'option dataDir is not in this version, but for a witness: data lives in memory, on every ' +
        'node: leave it out',
    )
  const listen = checked.listen ?? self.address
  checkAddresses(checked, listen)
  const insecure = checked.insecure ?? false
  const { transport } = checked as { transport?: TransportFactory | string }
  const given = typeof transport === 'function' ? transport : undefined
  const tls = given === undefined ? !!checked.tls : given.encrypts === true
  const has = { auth: checked.auth !== undefined, tls }
  const lacking = (given?.brokers ?? [given?.listens?.() ?? listen]).flatMap(at =>
    checkExposure(at, has, insecure),
  )
  const strategy = checked.strategy ?? 'master-slave'
  return {
    cluster: checked.cluster,
    id: checked.id,
    self,
    members: checked.members.map(member => ({ ...member })),
    discovery: checked.discovery && { factory: checked.discovery, expect: checked.expect },
    transport: checked.transport,
    tls: checked.tls,
    strategy: typeof strategy === 'string' ? { name: strategy } : strategy,
    caches: fillCaches(checked.caches ?? {}),
    autoCaches: checked.autoCaches ?? true,
    valueBytesMax: checked.valueBytesMax ?? LIMITS.valueBytesMax,
    durability: 'memory',
    listen,
    dataDir: checked.dataDir,
    insecure,
    lacking: [...new Set(lacking)],
    auth: checked.auth,
    onMerge: checked.onMerge,
    onConflict: checked.onConflict,
    pollUs: checked.pollUs ?? 0,
    logger: checked.logger,
  }
}

/** Judges who is to join as createNode judges its members; CONFIG, or ADDRESS_INVALID. */
export function parseNewMember(value: unknown): Member {
  const { id, ordinal, address, witness } = check(memberSchema, value, 'join')
  checkDialled(id, address)
  return witness === true ? { id, ordinal, address, witness } : { id, ordinal, address }
}

/** CONFIG for what is no id of a node. */
export function parseMemberId(value: unknown): string {
  return check(z.strictObject({ id }), { id: value }, 'leave').id
}

function config(text: string): GcacheError {
  return new GcacheError('CONFIG', text)
}

function fillCaches(caches: Record<string, Partial<CacheOptions>>): Record<string, CacheOptions> {
  const full: Record<string, CacheOptions> = {}
  for (const [name, options] of Object.entries(caches)) {
    const bytes = Buffer.byteLength(name)
    if (bytes < 1 || bytes > LIMITS.cacheNameBytesMax)
      throw config(
        `cache name ${JSON.stringify(name)} has ${bytes} bytes: ` +
          `choose one of 1 to ${LIMITS.cacheNameBytesMax}`,
      )
    full[name] = { ...CACHE_DEFAULTS, ...withoutUndefined(options) }
  }
  return full
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(pair => pair[1] !== undefined)) as T
}

type WithMembers = NodeOptions & { members: readonly Member[] }

const FREE_PORT = 'tcp://127.0.0.1:0'
/** What listens everywhere can be dialled nowhere. */
const EVERYWHERE = /^[a-z]+:\/\/(0\.0\.0\.0|\[::\]|\*)?(:|$)/

/** With discovery this node stands for the members, until they are found. */
function withDiscovery(options: NodeOptions): WithMembers {
  const { members, discovery, ordinal, listen = FREE_PORT, address } = options
  if (discovery === undefined) {
    for (const name of ['ordinal', 'address', 'expect'] as const)
      if (options[name] !== undefined)
        throw config(`option ${name} belongs to discovery: members say it of every node`)
    if (members === undefined)
      throw config('option members is missing: name every node, or give discovery')
    return { ...options, members }
  }
  if (members !== undefined)
    throw config('options members and discovery say the same: keep one of them')
  if (ordinal === undefined)
    throw config('option ordinal is missing: who is tried first, such as ordinal: 0')
  if (address === undefined && EVERYWHERE.test(listen))
    throw config(`option address is missing: nobody can dial ${listen}, say what others dial`)
  const self = { id: options.id, ordinal, address: address ?? listen }
  return { ...options, listen, members: [self] }
}

function checkMembers(options: WithMembers): Member {
  if (options.members.length === 0)
    throw config('members is empty: name at least this node, with id, ordinal and address')
  const ids = new Map<string, Member>()
  const ordinals = new Map<number, Member>()
  for (const member of options.members) {
    if (ids.has(member.id))
      throw config(`members has ${member.id} twice: an id names one node for all time`)
    const other = ordinals.get(member.ordinal)
    if (other !== undefined)
      throw config(
        `members ${other.id} and ${member.id} both have ordinal ${member.ordinal}: ` +
          'give each its own',
      )
    ids.set(member.id, member)
    ordinals.set(member.ordinal, member)
  }
  const self = ids.get(options.id)
  if (self === undefined)
    throw config(
      `members (${[...ids.keys()].join(', ')}) lacks this node's own id ${options.id}: ` +
        'add it with its ordinal and address',
    )
  return self
}

/**
 * No address stands twice, and all are of one scheme and of its form, because one that cannot be
 * dialled would stay down for ever. Media that are not built in know their own addresses.
 */
function checkAddresses(options: WithMembers, listen: string): void {
  const owners = new Map<string, Member>()
  for (const member of options.members) {
    for (const place of placesOf(member.address)) {
      const other = owners.get(place)
      if (other !== undefined)
        throw config(
          `members ${other.id} and ${member.id} both have the address ${other.address}: ` +
            'give each its own',
        )
    }
    for (const place of placesOf(member.address)) owners.set(place, member)
  }
  if (!isBuiltIn(listen)) return
  for (const { id, address } of options.members) checkDialled(id, address, listen)
}

function checkDialled(id: string, address: string, listen = address): void {
  try {
    checkSameScheme(listen, address)
    checkAddress(address)
  } catch (cause) {
    const text = `the address of member ${id}: ${(cause as Error).message}`
    throw new GcacheError('ADDRESS_INVALID', text, { cause })
  }
}

/** The value if `schema` accepts it; else CONFIG with the first thing that is wrong. */
export function check<T>(schema: z.ZodType<T>, value: unknown, whose: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = deepest(result.error.issues)
  const place = placeOf(issue.path)
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, issue.path)
    const name = issue.keys[0]
    const where = place === '' ? `of ${whose}` : `in ${place}`
    throw config(`unknown option ${name} ${where}: ${suggestion(name, known)}`)
  }
  const given = valueAt(value, issue.path)
  if (given === undefined && place !== '') throw config(`option ${place} is missing`)
  throw config(
    place === ''
      ? `the options of ${whose} must be an object`
      : `option ${place}: ${issue.message}${SECRETIVE.has(issue.path[0]) ? '' : shown(given)}`,
  )
}

type Issue = z.core.$ZodIssue

/** An unknown name first: it explains what is missing. A union's issues say more than it does. */
function deepest(issues: readonly Issue[]): Issue {
  const issue = issues.find(each => each.code === 'unrecognized_keys') ?? issues[0]
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return issue
  const last = issue.errors[issue.errors.length - 1][0]
  return { ...last, path: [...issue.path, ...last.path] }
}

function placeOf(path: readonly PropertyKey[]): string {
  let place = ''
  for (const step of path) {
    if (typeof step === 'number') place += `[${step}]`
    else place += place === '' ? String(step) : `.${String(step)}`
  }
  return place
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value
  for (const step of path) {
    if (typeof at !== 'object' || at === null) return undefined
    at = (at as Record<PropertyKey, unknown>)[step]
  }
  return at
}

/** Whoever gives them wrongly may have given a key itself. */
const SECRETIVE: ReadonlySet<PropertyKey> = new Set(['tls', 'discovery'])

function shown(value: unknown): string {
  if (typeof value === 'string') return ` (given ${JSON.stringify(value.slice(0, 80))})`
  if (typeof value === 'number' || typeof value === 'boolean') return ` (given ${value})`
  if (value === null) return ' (given null)'
  return Array.isArray(value) ? ' (given a list)' : ` (given a ${typeof value})`
}

/** The names that the object schema at `path` knows. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at: unknown = schema
  for (const step of path) {
    at = bare(at)
    if (at instanceof z.ZodObject) at = at.shape[step as string]
    else if (at instanceof z.ZodArray) at = at.element
    else if (at instanceof z.ZodRecord) at = at.valueType
  }
  at = bare(at)
  return at instanceof z.ZodObject ? Object.keys(at.shape) : []
}

function bare(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? schema.unwrap() : schema
}
