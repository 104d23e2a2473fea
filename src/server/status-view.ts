/** A cluster's status as people and programs see it: one shape, one table, one verdict. */
import { grouped, type Paint, table } from './paint.js'

/** What `status --json` prints, exactly. */
export interface ClusterStatus {
  cluster: string
  strategy: string
  profile: string
  /** One sentence, computed by the server from its configuration. */
  guarantee: string
  epoch: number
  /** Null: the node that answered knows none. */
  master: string | null
  members: MemberLine[]
}

export interface MemberLine {
  id: string
  ordinal: number
  role: 'master' | 'slave'
  state: string
  offset: number
  lag: number
  address: string
}

/** Picks the shape out of what came over the wire; what is missing becomes empty, never a throw. */
export function clusterStatus(fields: Record<string, unknown>): ClusterStatus {
  const members = Array.isArray(fields.members) ? fields.members : []
  return {
    cluster: text(fields.cluster),
    strategy: text(fields.strategy),
    profile: text(fields.profile),
    guarantee: text(fields.guarantee),
    epoch: whole(fields.epoch),
    master: typeof fields.master === 'string' && fields.master !== '' ? fields.master : null,
    members: members
      .filter(isFields)
      .map(memberLine)
      .sort((a, b) => a.ordinal - b.ordinal),
  }
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function memberLine(fields: Record<string, unknown>): MemberLine {
  return {
    id: text(fields.id),
    ordinal: whole(fields.ordinal),
    role: fields.role === 'master' ? 'master' : 'slave',
    state: text(fields.state),
    offset: whole(fields.offset),
    lag: whole(fields.lag),
    address: text(fields.address),
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function whole(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0
}

export type Health = 'healthy' | 'degraded' | 'no master'

/** Healthy: a master, and every member online. The exit codes are 0, 1 and 2. */
export function health(status: ClusterStatus): Health {
  const master = status.members.find(member => member.id === status.master)
  if (master === undefined) return 'no master'
  return status.members.every(member => member.state === 'online') ? 'healthy' : 'degraded'
}

const HEALTH_EXIT: Record<Health, number> = { healthy: 0, degraded: 1, 'no master': 2 }

export function healthExit(status: ClusterStatus): number {
  return HEALTH_EXIT[health(status)]
}

/** The table of FIELD section 12. */
export function statusTable(status: ClusterStatus, paint: Paint): string {
  const verdict = health(status)
  const colour =
    verdict === 'healthy' ? paint.green : verdict === 'degraded' ? paint.yellow : paint.red
  const head = [
    `Cluster ${paint.bold(status.cluster)}   ${status.strategy} / ${status.profile}`,
    `epoch ${status.epoch}`,
    colour(verdict),
  ].join('   ')
  const rows = status.members.map(member => [
    member.id,
    String(member.ordinal),
    member.address,
    member.role === 'master' ? paint.bold('master') : member.role,
    stateOf(member, paint),
    grouped(member.offset),
    member.role === 'master' || member.state === 'down' ? '-' : grouped(member.lag),
  ])
  const titles = ['ID', 'ORD', 'ADDRESS', 'ROLE', 'STATE', 'OFFSET', 'LAG'].map(paint.dim)
  return `${head}\nguarantee: ${status.guarantee}\n${table([titles, ...rows], [1, 5, 6])}\n`
}

function stateOf(member: MemberLine, paint: Paint): string {
  if (member.state === 'online') return paint.green(member.state)
  return member.state === 'down' ? paint.red(member.state) : paint.yellow(member.state)
}
