/**
 * What stands before a forced beginning: a node without data is not forced while it hears of others
 * that hold some. They would not follow it, and stay without a master until their memory is gone.
 */
import type { StrategyStatus } from '../contracts/strategy.js'
import { GcacheError } from '../errors.js'

/** States of a node whose own data is no whole log. */
const WITHOUT_DATA = ['empty', 'copying']

/** NODE_EMPTY for a node that holds nothing, beside a member that says it holds entries. A witness
 *  holds none. Who is not heard cannot be asked, so the operator looks at all of them first. */
export function refusalToForce({ self, members }: StrategyStatus): GcacheError | undefined {
  if (!WITHOUT_DATA.includes(self.state)) return undefined
  const holders = members.filter(
    ({ id, role, state, offset }) =>
      id !== self.id && role !== 'witness' && !WITHOUT_DATA.includes(state) && offset > 0,
  )
  if (holders.length === 0) return undefined
  const most = holders.reduce((best, each) => (each.offset > best.offset ? each : best))
  return new GcacheError(
    'NODE_EMPTY',
    `${self.id} holds no data, and ${most.id} holds ${most.offset} entries: force that one, or ` +
      'say empty to give up what the others hold',
  )
}
