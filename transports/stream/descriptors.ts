/**
 * How many sockets may arrive (SECURITY 4): what the system grants this process, less what was open
 * when it began to listen and a reserve, for dials, files and whatever else must still open. Node
 * cannot ask how many are open; Linux shows it. The count is of that moment, and knows nothing of
 * what other parts of the process open later: the reserve is for them.
 */
import { readdirSync } from 'node:fs'
import { LIMITS } from '../../src/config.js'

/** Assumed where nothing can be asked: Node's own, and the standard streams. */
const OPEN_ASSUMED = 32
const OPEN_HERE = '/proc/self/fd'

/** Infinity where the system sets no limit. Never below 1. */
export function arrivingMax(reserve: number = LIMITS.descriptorsReserve): number {
  const granted = grantedDescriptors()
  return granted === undefined
    ? Number.POSITIVE_INFINITY
    : Math.max(1, granted - openDescriptors() - reserve)
}

function grantedDescriptors(): number | undefined {
  const { report } = process as { report?: Report }
  if (report === undefined) return undefined
  // Without this, a report asks a name server about every open socket.
  const { excludeNetwork } = report
  report.excludeNetwork = true
  try {
    const { soft } = report.getReport().userLimits?.open_files ?? {}
    return typeof soft === 'number' ? soft : undefined
  } finally {
    report.excludeNetwork = excludeNetwork ?? false
  }
}

function openDescriptors(): number {
  try {
    return readdirSync(OPEN_HERE).length
  } catch {
    return OPEN_ASSUMED
  }
}

/** Of process.report, what its types leave out; Windows has no user limits. */
interface Report {
  excludeNetwork?: boolean
  getReport(): { userLimits?: { open_files?: { soft?: unknown } } }
}
