/** The list of members after a change, as one line. */
import type { Member } from '../contracts/types.js'
import type { MembersResult } from '../wire/admin.js'

export function viewLine({ view, members }: MembersResult): string {
  const names = [...members].sort((a, b) => a.ordinal - b.ordinal).map(named)
  return `view ${view}: ${names.join(', ')}\n`
}

function named(member: Member): string {
  const role = member.witness ? 'witness' : member.learner ? 'learner' : undefined
  return role === undefined ? member.id : `${member.id} (${role})`
}
