/** Where an error came from, for a log: its message alone leads the author of a plug-in nowhere. */

/** Of those that are told; an error may be its own cause. */
const CAUSES_MAX = 4

/** The stack of `error` and of its causes, over several lines; undefined: it has none. */
export function stackOf(error: unknown): string | undefined {
  const stacks: string[] = []
  for (let at = error; at instanceof Error && stacks.length <= CAUSES_MAX; at = at.cause)
    stacks.push(at.stack ?? String(at))
  return stacks.length === 0 ? undefined : stacks.join('\ncaused by ')
}
