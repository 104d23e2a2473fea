/**
 * Checked values of command-line flags, for the proof tools: a tool that runs nothing because of a
 * misspelt number and then exits 0 proves the opposite of what it seems to.
 */

/** Adding two of them is still exact. */
const WHOLE_MAX = 2 ** 52

/** The decimal number that `text` is. Throws RangeError for another text, or one out of range. */
export function numberFlag(name: string, text: string, min: number, max: number): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new RangeError(`--${name}: a number from ${min} to ${max}, not '${text}'`)
}

/** The whole decimal number that `text` is. Throws RangeError for another text, or out of range. */
export function wholeFlag(name: string, text: string, min: number, max = WHOLE_MAX): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  const range = max === WHOLE_MAX ? `${min} on` : `${min} to ${max}`
  throw new RangeError(`--${name}: a whole number from ${range}, not '${text}'`)
}

/** The one of `known` that `text` names; undefined if left out. Throws RangeError for no such. */
export function nameFlag<T extends string>(
  name: string,
  text: string | undefined,
  known: readonly T[],
): T | undefined {
  if (text === undefined) return undefined
  const found = known.find(each => each === text)
  if (found !== undefined) return found
  throw new RangeError(`--${name}: there is no '${text}', only ${known.join(', ')}`)
}

/** Those of `known` that `text` names, split at commas; undefined if left out. Throws RangeError if
 *  one is no such. */
export function namesFlag<T extends string>(
  name: string,
  text: string | undefined,
  known: readonly T[],
): T[] | undefined {
  return text?.split(',').flatMap(each => nameFlag(name, each.trim(), known) ?? [])
}

/** `--seeds -3` as `--seeds=-3`, so that the range says what is wrong with it. */
export function gluedArguments(argv: readonly string[]): string[] {
  const glued: string[] = []
  for (const text of argv) {
    const before = glued.at(-1)
    if (/^-\d/.test(text) && before?.startsWith('--') && !before.includes('='))
      glued[glued.length - 1] = `${before}=${text}`
    else glued.push(text)
  }
  return glued
}

/** What `parse` returns; if it throws, says why in one line on stderr and exits 2. */
export function parsedOrExit<T>(tool: string, parse: (argv: string[]) => T): T {
  try {
    return parse(gluedArguments(process.argv.slice(2)))
  } catch (error) {
    console.error(`${tool}: ${(error as Error).message.replaceAll('\n', ' ')}`)
    process.exit(2)
  }
}
