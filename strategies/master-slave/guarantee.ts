/**
 * The guarantee in one sentence, computed from N, W, P, R, the ack level and the durability: what a
 * server prints at start and in its status. Nothing here is written for one configuration.
 */
import { copiesOf } from './quorum.js'
import type { GroupState } from './state.js'

interface Known {
  readonly quorum: GroupState['quorum']
  readonly dataNodes: number
  readonly inSyncMin: number
  readonly slavesToWriteMin: number
  readonly text: string
}

/** Of each state the newest one: the numbers seldom change, and a status is often asked for. */
const known = new WeakMap<GroupState, Known>()

export function guarantee(s: GroupState): string {
  const last = known.get(s)
  const { quorum, dataNodes, inSyncMin, slavesToWriteMin } = s
  if (
    last?.quorum === quorum &&
    last.dataNodes === dataNodes &&
    last.inSyncMin === inSyncMin &&
    last.slavesToWriteMin === slavesToWriteMin
  )
    return last.text
  const text = textOf(s)
  known.set(s, { quorum, dataNodes, inSyncMin, slavesToWriteMin, text })
  return text
}

function textOf(s: GroupState): string {
  const { profile, election } = s.settings
  const { voters } = s.quorum
  const data = s.dataNodes
  const leased = `mastership leased from ${election?.from}: one master at any time`
  const how = election === undefined ? `${witnesses(voters - data)}, ${profile}` : leased
  const head = `${count(data, 'node')}, ${how}`
  const colon = election === undefined ? ': ' : '; '
  if (voters === 1) return `${head}${colon}survives no crash; data lives in this process only`
  return `${head}${colon}${acknowledged(s)}; ${liveness(s)}; ${masters(s)}`
}

/** Logs that hold data and that the default ack waits for; a commit waits for voters. */
function logsWanted(s: GroupState): number {
  const { ack } = s.settings
  return Math.max(1, ack === 'insync' ? s.inSyncMin : copiesOf(s, ack))
}

function acknowledged(s: GroupState): string {
  const { voters, copies, promises } = s.quorum
  const { ack } = s.settings
  const w = Math.max(copies, logsWanted(s))
  if (w + promises > voters) {
    const memories = memoriesLost(s)
    const sum = `W ${w} + P ${promises} > N ${voters}`
    const never = 'never loses an acknowledged write'
    if (s.env.durability !== 'memory') return `${never} (${sum})`
    return memories === 0
      ? `${never}, unless a node that writes alone loses its memory (${sum})`
      : `${never}, while ${atOnce(memories)}${whole(s)} (${sum})`
  }
  if (w === 1 && ack !== 'insync') return 'a crash of the master may lose what it acknowledged'
  const sum = `W ${w} + P ${promises} <= N ${voters}`
  const crashes = Math.max(1, w - 1)
  const whom = w === 1 ? 'while a slave is in sync' : 'if the next master reaches a holder'
  return `survives ${count(crashes, 'crash')} ${whom} (${sum})`
}

/** Witnesses may be among those that a commit waits for, and hold nothing. */
function memoriesLost(s: GroupState): number {
  const { voters, copies } = s.quorum
  const witnesses = voters - s.dataNodes
  return Math.max(copies - witnesses, logsWanted(s)) - 1
}

function atOnce(memories: number): string {
  return memories === 1
    ? 'one memory is lost at a time'
    : `up to ${memories} memories are lost at once`
}

/**
 * In profile ordinal who lost a network split drops all that it held, acknowledged or not, and then
 * is copied: until that is done its memory counts as lost. In the others what a log is cut off by
 * was never committed.
 */
function whole(s: GroupState): string {
  return s.commitsLate ? '' : ' and no node is being copied'
}

/**
 * Of any nodes: those that hold data are the fewer to lose, so what only they can give counts as if
 * no witness were down. A new master answers once an entry of its own is committed, so in profile
 * strict when all are back. In profile ordinal whoever hears fewer slaves than a write needs does
 * not lead, unless refused dials prove that nobody else does (isCutOff).
 */
function liveness(s: GroupState): string {
  const { voters, copies, promises } = s.quorum
  const slaves = s.dataNodes - 1
  const spare = slaves - s.slavesToWriteMin
  const proved = Math.min(voters - Math.max(copies, promises), slaves)
  const silent = s.commitsLate ? proved : Math.max(0, Math.min(proved, spare))
  const more = silent < proved ? ` (${proved} if proved dead)` : ''
  const writes = Math.min(voters - copies, s.dataNodes - logsWanted(s), spare)
  const written = writes < 0 ? 'too few nodes are left to write' : `writes with ${writes} down`
  return `fails over with ${silent} down${more}, ${written}`
}

function masters(s: GroupState): string {
  if (s.settings.election !== undefined) return "no master while the broker's majority is away"
  switch (s.settings.profile) {
    case 'majority':
      return 'a network split leaves at most one master that writes'
    case 'strict':
      return 'a network split leaves no master that writes'
    default: {
      const least = s.slavesToWriteMin
      const few = least === 1 ? 'a slave' : count(least, 'slave')
      const lone = least === 0 ? '' : `, of which one without ${few} refuses writes`
      const heal = s.settings.merge === 'lww' ? 'merged on heal' : 'one side discarded on heal'
      return `a network split can make two masters${lone}, ${heal}`
    }
  }
}

function witnesses(number: number): string {
  return number === 0 ? 'no witness' : number === 1 ? 'one witness' : `${number} witnesses`
}

function count(number: number, thing: string): string {
  if (number === 1) return `one ${thing}`
  return `${number} ${thing}${thing.endsWith('sh') ? 'es' : 's'}`
}
