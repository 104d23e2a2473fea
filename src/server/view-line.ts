/** The list of members after a change, as one line. */
import type { Member } from '../contracts/types.js'
import type { MembersResult } from '../wire/admin.js'

export function viewLine({ view, members }: MembersResult): string {
  const names = [...members].sort((a, b) => a.ordinal - b.ordinal).map(named)
  return `view ${view}: ${names.join(', ')}\n`
}

function named(member: Member): string {
  const roles = [...(member.witness ? ['witness'] : []), ...(member.learner ? ['learner'] : [])]
  return roles.length === 0 ? member.id : `${member.id} (${roles.join(', ')})`
}
