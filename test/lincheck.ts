/**
 * `npm run lincheck -- DIR`: judges every recorded history in a folder, in the order of their
 * names, and prints one line of JSON each: `{file, linearizable}`. Formats: testing/histories.ts. A
 * file that is no history is skipped with a line on stderr; one named `.jsonl` should be one. Exits
 * 0 if all could be decided, 1 if not (`linearizable: null`: damaged, or beyond the limits of the
 * search), 2 for a usage error and where there is no history at all.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseHistory } from '../src/testing/histories.js'
import { checkByKey, SEARCH_LIMITS, type SearchLimits } from '../src/testing/linearizability.js'
import { register } from '../src/testing/register.js'

const FILE_BYTES_MAX = 64 * 2 ** 20

export interface Lines {
  out(line: string): void
  err(line: string): void
}

/** The exit code. */
export function lincheck(
  args: readonly string[],
  lines: Lines,
  limits: SearchLimits = SEARCH_LIMITS,
): 0 | 1 | 2 {
  const [folder] = args
  if (args.length !== 1 || folder.startsWith('-')) {
    lines.err('lincheck: name one folder: npm run lincheck -- DIR')
    return 2
  }
  const files = filesIn(folder)
  if (files === undefined) {
    lines.err(`lincheck: ${folder} is no folder that can be read`)
    return 2
  }
  let histories = 0
  let undecided = 0
  for (const file of files) {
    const linearizable = judge(folder, file, lines, limits)
    if (linearizable === undefined) continue
    histories++
    if (linearizable === null) undecided++
    lines.out(JSON.stringify({ file, linearizable }))
  }
  if (histories === 0) {
    lines.err(`lincheck: no history in ${folder}: ${files.length} files`)
    return 2
  }
  return undecided === 0 ? 0 : 1
}

function filesIn(folder: string): string[] | undefined {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
    return entries
      .filter(entry => entry.isFile() || entry.isSymbolicLink())
      .map(({ name }) => name)
      .sort()
  } catch {
    return undefined
  }
}

/** Undefined: no history. Null: nobody knows. */
function judge(
  folder: string,
  file: string,
  lines: Lines,
  limits: SearchLimits,
): boolean | null | undefined {
  const text = read(join(folder, file))
  if (text === undefined) {
    lines.err(`lincheck: ${file}: unreadable, or more than ${FILE_BYTES_MAX} bytes`)
    return null
  }
  const history = parseHistory(text, /\.jsonl$/i.test(file))
  if (history.kind === 'none') {
    lines.err(`lincheck: ${file} is skipped: no history`)
    return undefined
  }
  if (history.kind === 'damaged') {
    lines.err(`lincheck: ${file}:${history.line}: unreadable: ${history.reason}`)
    return null
  }
  const { verdict, steps, key } = checkByKey(history.keys, register, limits)
  if (verdict !== 'undecided') return verdict === 'linearizable'
  lines.err(`lincheck: ${file}: undecided after ${steps} steps, key ${JSON.stringify(key)}`)
  return null
}

function read(path: string): string | undefined {
  try {
    const { size } = statSync(path)
    return size > FILE_BYTES_MAX ? undefined : readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.exitCode = lincheck(process.argv.slice(2), {
    out: line => console.log(line),
    err: line => console.error(line),
  })
