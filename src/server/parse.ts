/**
 * The command line's small languages: durations, sizes, members, caches and ack levels. A wrong
 * word is a CONFIG error that says what was given and what would do.
 */
import type { CacheOptions } from '../contracts/store.js'
import type { Ack, Member } from '../contracts/types.js'
import { suggestion } from '../core/suggest.js'
import { GcacheError } from '../errors.js'

/** The cluster of whoever names none, servers and clients alike. */
export const DEFAULT_CLUSTER = 'gcache'

const MS_OF: Record<string, number> = {
  '': 1,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}
const BYTES_OF: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }

function config(text: string): GcacheError {
  return new GcacheError('CONFIG', text)
}

/** `1500`, `500ms`, `30s`, `30m`, `12h`, `7d`: whole milliseconds. */
export function parseDuration(text: string, whose: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|)$/.exec(text)
  if (match === null)
    throw config(
      `${whose} ${JSON.stringify(text)} is no duration: write 500ms, 30s, 30m, 12h or 7d`,
    )
  return Math.round(Number(match[1]) * MS_OF[match[2]])
}

/** `1048576`, `512k`, `64m`, `1g`: bytes. */
export function parseBytes(text: string, whose: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmg]?)b?$/i.exec(text)
  if (match === null)
    throw config(`${whose} ${JSON.stringify(text)} is no size: write 1048576, 512k, 64m or 1g`)
  return Math.round(Number(match[1]) * BYTES_OF[match[2].toLowerCase()])
}

/** A whole number of at least `least`. */
export function parseCount(text: string, whose: string, least = 0): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least)
    throw config(`${whose} ${JSON.stringify(text)} is no whole number of at least ${least}`)
  return value
}

/** `ID=ORDINAL@ADDRESS`; a bare host:port means tcp. `flag`: the option that it was given to, if it
 *  was one. */
export function parseMember(text: string, flag = '--member '): Member {
  const match = /^([^=]+)=(\d{1,3})@(.+)$/.exec(text)
  if (match === null)
    throw config(
      `${flag}${JSON.stringify(text)}: write it as ID=ORDINAL@ADDRESS, ` +
        'such as b=1@tcp://127.0.0.1:7401',
    )
  return { id: match[1], ordinal: Number(match[2]), address: withScheme(match[3]) }
}

/** The ordinal that a witness has unless it is told: it never leads. */
const WITNESS_ORDINAL = 255

/** `ID@ADDRESS`; a bare host:port means tcp. */
export function parseWitness(text: string): Member {
  const match = /^([^=@]+)@(.+)$/.exec(text)
  if (match === null)
    throw config(
      `--witness ${JSON.stringify(text)}: write it as ID@ADDRESS, such as w@tcp://127.0.0.1:7409`,
    )
  const [, id, address] = match
  return { id, ordinal: WITNESS_ORDINAL, address: withScheme(address), witness: true }
}

const CACHE_KEYS = ['ttl', 'idle', 'max-entries', 'max-bytes', 'eviction'] as const

/** `NAME` or `NAME:ttl=30m,max-entries=1000,...`. */
export function parseCache(text: string): [string, Partial<CacheOptions>] {
  const colon = text.indexOf(':')
  const name = colon < 0 ? text : text.slice(0, colon)
  if (name === '') throw config(`--cache ${JSON.stringify(text)} begins with no name`)
  const options: Partial<CacheOptions> = {}
  const rest = colon < 0 ? '' : text.slice(colon + 1)
  for (const pair of rest === '' ? [] : rest.split(',')) {
    const equals = pair.indexOf('=')
    const key = equals < 0 ? pair : pair.slice(0, equals)
    setCacheOption(options, name, key, equals < 0 ? '' : pair.slice(equals + 1))
  }
  return [name, options]
}

function setCacheOption(
  options: Partial<CacheOptions>,
  name: string,
  key: string,
  value: string,
): void {
  const whose = `--cache ${name}: ${key}`
  switch (key) {
    case 'ttl':
      options.ttlMs = parseDuration(value, whose)
      return
    case 'idle':
      options.idleMs = parseDuration(value, whose)
      return
    case 'max-entries':
      options.maxEntries = parseCount(value, whose, 1)
      return
    case 'max-bytes':
      options.maxBytes = parseBytes(value, whose)
      return
    case 'eviction':
      if (value !== 'lru' && value !== 'none')
        throw config(`${whose} ${JSON.stringify(value)}: write lru or none`)
      options.eviction = value
      return
    default:
      throw config(`--cache ${name}: unknown option ${key}: ${suggestion(key, CACHE_KEYS)}`)
  }
}

/** An ack level by name; what is none is refused with the list. */
export function parseAck(text: string): Ack {
  if (/^(none|master|majority|insync|all|slaves:\d{1,3})$/.test(text)) return text as Ack
  throw config(
    `--ack ${JSON.stringify(text)}: write none, master, slaves:N, majority, insync or all`,
  )
}

/** `ADDR[,ADDR]`, and the option may be repeated. A bare host:port means tcp. */
export function parseServers(texts: readonly string[]): string[] {
  const servers = texts
    .flatMap(text => text.split(','))
    .map(text => text.trim())
    .filter(text => text !== '')
  if (servers.length === 0)
    throw config('no server named: --server tcp://HOST:PORT[,tcp://HOST:PORT]')
  return servers.map(withScheme)
}

/** `host:port` becomes `tcp://host:port`. */
export function withScheme(address: string): string {
  return /^[a-z][a-z0-9+.-]*:/i.test(address) && address.includes('://')
    ? address
    : `tcp://${address}`
}
