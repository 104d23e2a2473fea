/** A cluster's status as people and programs see it: one shape, one table, one verdict. */
import type { ClusterMember, ClusterStatus } from '../client/status.js'
import { grouped, type Paint, table } from './paint.js'

/** What `status --json` prints, exactly; programs rely on it. `insecure` and `outside` only where
 *  it is so, `partitions` and a member's share of them only where there are such. */
export function statusJson(status: ClusterStatus): string {
  const { cluster, strategy, profile, guarantee, epoch, master = null } = status
  const members = status.members.map(member => {
    const { id, ordinal, role, state, offset, lag, address } = member
    const insecure = member.insecure === true ? { insecure: true } : {}
    const share = shareOf(status, id) ?? {}
    return { id, ordinal, role, state, offset, lag, address, ...insecure, ...share }
  })
  const outside = status.outside?.map(({ id, state, address }) => ({ id, state, address }))
  const { number, backups, unowned, moving, lost } = status.partitions ?? {}
  const partitions = status.partitions && { number, backups, unowned, moving, lost }
  const shown = { cluster, strategy, profile, guarantee, epoch, master, partitions, members }
  return JSON.stringify({ ...shown, outside })
}

/** Partitions that it leads, that it backs up, and how many of both have all that was
 *  acknowledged; undefined where there are none. */
function shareOf({ partitions }: ClusterStatus, id: string) {
  if (partitions === undefined) return undefined
  const of = (counts: Readonly<Record<string, number>>) =>
    Object.hasOwn(counts, id) ? counts[id] : 0
  const owned = of(partitions.owned)
  const backedUp = Math.max(0, of(partitions.copies) - owned)
  return { owned, backedUp, inSync: of(partitions.inSync) }
}

export type Health = 'healthy' | 'degraded' | 'no master'

/** Healthy: a master that serves and no other one, unless every node is one, and every other member
 *  online as well; every partition has an owner and as many copies as are wanted. */
export function health(status: ClusterStatus): Health {
  if (!isServed(status)) return 'no master'
  const all = status.members.every(member => member.state === 'online')
  const whole = mastersOf(status).length < 2 && arePartitionsWhole(status)
  return all && whole ? 'healthy' : 'degraded'
}

/** The master does. Where every node is master of its own log, `status.master` is but the word of
 *  one of them, and any that serves is as good. */
function isServed({ strategy, master, members }: ClusterStatus): boolean {
  const all = strategy !== 'master-slave' && members.every(({ role }) => role === 'master')
  return members.some(({ id, state }) => state === 'online' && (all || id === master))
}

/** Who says that it leads, where only one may. */
function mastersOf({ strategy, members }: ClusterStatus): string[] {
  if (strategy !== 'master-slave') return []
  const masters = members.filter(({ role, state }) => role === 'master' && state === 'online')
  return masters.map(({ id }) => id)
}

function mastersLine(status: ClusterStatus, paint: Paint): string {
  const masters = mastersOf(status)
  if (masters.length < 2) return ''
  const why = 'a split that is about to heal, or two processes that call themselves the same'
  return `${paint.red(`${masters.length} masters: ${masters.join(', ')}`)} (${why})\n`
}

function arePartitionsWhole({ partitions, members }: ClusterStatus): boolean {
  if (partitions === undefined) return true
  const { number, backups, unowned, inSync } = partitions
  const copies = Object.values(inSync).reduce((sum, count) => sum + count, 0)
  return unowned === 0 && copies >= number * Math.min(backups + 1, members.length)
}

const HEALTH_EXIT: Record<Health, number> = { healthy: 0, degraded: 1, 'no master': 2 }

export function healthExit(status: ClusterStatus): number {
  return HEALTH_EXIT[health(status)]
}

const TITLES = [
  ...['ID', 'ORD', 'ADDRESS', 'ROLE', 'STATE', 'OFFSET', 'LAG'],
  ...['ENTRIES', 'MEMORY', 'CLIENTS'],
]
const SHARE_TITLES = ['OWNS', 'BACKS UP']
const RIGHT = [1, 5, 6, 7, 8, 9, 10, 11]
/** Lost partitions that are named; then their count. */
const LOST_SHOWN = 16

/** The table of FIELD section 12. */
export function statusTable(status: ClusterStatus, paint: Paint, withGuarantee = true): string {
  const verdict = health(status)
  const colour =
    verdict === 'healthy' ? paint.green : verdict === 'degraded' ? paint.yellow : paint.red
  const head = [
    `Cluster ${paint.bold(status.cluster)}   ${status.strategy} / ${status.profile}`,
    `epoch ${status.epoch}`,
    colour(verdict),
  ].join('   ')
  const titles = status.partitions === undefined ? TITLES : [...TITLES, ...SHARE_TITLES]
  const rows = status.members.map(member => [
    ...rowOf(member, paint),
    ...shareCells(status, member),
  ])
  const body = table([titles.map(paint.dim), ...rows], RIGHT)
  const guarantee = withGuarantee ? `guarantee: ${status.guarantee}\n` : ''
  const open = status.members.filter(member => member.insecure === true).map(({ id }) => id)
  const warning = open.length > 0 ? `${paint.yellow('insecure')}: ${open.join(', ')}\n` : ''
  const outside = (status.outside ?? []).map(
    ({ id, address, state }) => `${paint.yellow('no member')}: ${id} at ${address} (${state})\n`,
  )
  const parts = partitionsLine(status, paint)
  const masters = mastersLine(status, paint)
  return `${head}\n${guarantee}${warning}${masters}${parts}${body}\n${outside.join('')}`
}

/** Its backups as `held/wanted` where some are not in sync. */
function shareCells(status: ClusterStatus, { id }: ClusterMember): string[] {
  const share = shareOf(status, id)
  if (share === undefined) return []
  const { owned, backedUp, inSync } = share
  const held = Math.min(backedUp, Math.max(0, inSync - owned))
  return [grouped(owned), held === backedUp ? grouped(held) : `${held}/${backedUp}`]
}

function partitionsLine({ partitions }: ClusterStatus, paint: Paint): string {
  if (partitions === undefined) return ''
  const { number, backups, unowned, moving, lost } = partitions
  const parts = [`${number} partitions, ${backups} ${backups === 1 ? 'backup' : 'backups'} each`]
  if (moving > 0) parts.push(paint.yellow(`${moving} moving`))
  if (unowned > lost.length) parts.push(paint.yellow(`${unowned - lost.length} without an owner`))
  if (lost.length > 0) {
    const more = lost.length > LOST_SHOWN ? ` and ${lost.length - LOST_SHOWN} more` : ''
    const names = `${lost.slice(0, LOST_SHOWN).join(', ')}${more}`
    const remedy = '(start a node that holds them, or begin each anew: gcache reset-partition N)'
    parts.push(`${paint.red(`lost: ${names}`)} ${remedy}`)
  }
  return `${parts.join('; ')}\n`
}

function rowOf(member: ClusterMember, paint: Paint): string[] {
  const down = member.state === 'down'
  const master = member.role === 'master' && !down
  return [
    member.id,
    String(member.ordinal),
    member.address,
    master ? paint.bold('master') : down ? '-' : member.role,
    stateOf(member, paint),
    down ? '-' : grouped(member.offset),
    down || master ? '-' : grouped(member.lag),
    member.entries === undefined ? '-' : grouped(member.entries),
    member.bytes === undefined ? '-' : sizeOf(member.bytes),
    member.clients === undefined ? '-' : grouped(member.clients),
  ]
}

function stateOf(member: ClusterMember, paint: Paint): string {
  if (member.state === 'online') return paint.green(member.state)
  return member.state === 'down' ? paint.red(member.state) : paint.yellow(member.state)
}

function sizeOf(bytes: number): string {
  if (bytes < 10_000) return `${bytes} B`
  return bytes < 10_000_000 ? `${Math.round(bytes / 1_000)} kB` : `${Math.round(bytes / 1e6)} MB`
}
