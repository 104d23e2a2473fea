/** A cluster's status as people and programs see it: one shape, one table, one verdict. */
import type { ClusterMember, ClusterStatus } from '../client/status.js'
import { grouped, type Paint, table } from './paint.js'

/** What `status --json` prints, exactly; programs rely on it. `insecure` and `outside` only where
 *  it is so. */
export function statusJson(status: ClusterStatus): string {
  const { cluster, strategy, profile, guarantee, epoch, master = null } = status
  const members = status.members.map(member => {
    const { id, ordinal, role, state, offset, lag, address } = member
    const insecure = member.insecure === true ? { insecure: true } : {}
    return { id, ordinal, role, state, offset, lag, address, ...insecure }
  })
  const outside = status.outside?.map(({ id, state, address }) => ({ id, state, address }))
  const shown = { cluster, strategy, profile, guarantee, epoch, master, members }
  return JSON.stringify({ ...shown, outside })
}

export type Health = 'healthy' | 'degraded' | 'no master'

/** Healthy: a master that serves, and every other member online as well. */
export function health(status: ClusterStatus): Health {
  const master = status.members.find(member => member.id === status.master)
  if (master?.state !== 'online') return 'no master'
  return status.members.every(member => member.state === 'online') ? 'healthy' : 'degraded'
}

const HEALTH_EXIT: Record<Health, number> = { healthy: 0, degraded: 1, 'no master': 2 }

export function healthExit(status: ClusterStatus): number {
  return HEALTH_EXIT[health(status)]
}

const TITLES = [
  ...['ID', 'ORD', 'ADDRESS', 'ROLE', 'STATE', 'OFFSET', 'LAG'],
  ...['ENTRIES', 'MEMORY', 'CLIENTS'],
]
const RIGHT = [1, 5, 6, 7, 8, 9]

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
  const rows = status.members.map(member => rowOf(member, paint))
  const body = table([TITLES.map(paint.dim), ...rows], RIGHT)
  const guarantee = withGuarantee ? `guarantee: ${status.guarantee}\n` : ''
  const open = status.members.filter(member => member.insecure === true).map(({ id }) => id)
  const warning = open.length > 0 ? `${paint.yellow('insecure')}: ${open.join(', ')}\n` : ''
  const outside = (status.outside ?? []).map(
    ({ id, address, state }) => `${paint.yellow('no member')}: ${id} at ${address} (${state})\n`,
  )
  return `${head}\n${guarantee}${warning}${body}\n${outside.join('')}`
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
