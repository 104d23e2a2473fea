/** The options of a benchmark: text and numbers with defaults, unknown ones refused by name. */
import { parseArgs } from 'node:util'

/**
 * Reads `args` by `defaults`: a default of true or false makes a flag, a number asks for one, and a
 * text takes any. Throws for what `defaults` does not name and for a number that is none.
 */
export function options<T extends Record<string, string | number | boolean>>(
  args: string[],
  defaults: T,
): T {
  const { values } = parseArgs({
    args,
    options: Object.fromEntries(
      Object.entries(defaults).map(([name, value]) => [
        name,
        { type: typeof value === 'boolean' ? ('boolean' as const) : ('string' as const) },
      ]),
    ),
  })
  const read = Object.entries(defaults).map(([name, initial]) => {
    const given = values[name]
    if (given === undefined) return [name, initial]
    if (typeof initial !== 'number') return [name, given]
    const number = Number(given)
    if (!(number > 0)) throw new Error(`--${name} wants a number above 0, not ${given}`)
    return [name, number]
  })
  return Object.fromEntries(read) as T
}
