/**
 * The server's log on stderr: pino's JSON where nobody watches, readable lines on a terminal. What
 * stdout prints is for programs and stays free of it.
 */
import { writeSync } from 'node:fs'
import { pino } from 'pino'
import type { Logger } from '../contracts/environment.js'
import { LogLines } from './log-lines.js'
import { type Paint, paintFor } from './paint.js'
import { plain } from './plain.js'
import type { LogLevel } from './serve-options.js'

const STDERR = 2

/** Lines are written at once, so that the last words of a dying process are there. */
export function serverLogger(level: LogLevel): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  const paint = process.stderr.isTTY === true ? paintFor(process.stderr) : undefined
  // Not pino's own destination: a write that fails ends the process there, and one that would block
  // puts it to sleep.
  const shown = (line: string) => (paint === undefined ? line : readable(line, paint))
  const lines = new LogLines(
    bytes => writeSync(STDERR, bytes),
    count => shown(lostLine(count)),
  )
  return pino(options, { write: (line: string) => lines.write(shown(line)) }) as Logger
}

/** As pino would write it. */
function lostLine(count: number): string {
  const time = new Date().toISOString()
  return `${JSON.stringify({ level: 40, time, count, msg: 'log lines were lost here' })}\n`
}

const WORDS: Record<number, string> = { 20: 'debug', 30: 'info ', 40: 'warn ', 50: 'error' }

/** `14:03:11.204 warn  text  name=value`; exported for its test. */
export function readable(line: string, paint: Paint): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as {
    level: number
    time: string
    msg?: string
    [field: string]: unknown
  }
  const word = WORDS[level] ?? String(level)
  const shown = level >= 50 ? paint.red(word) : level >= 40 ? paint.yellow(word) : word
  const rest = Object.entries(fields)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ')
  // Of one line each, whatever somebody called himself.
  const [text, facts] = [msg ?? '', rest].map(each => plain(each).replaceAll('\n', '\\n'))
  return `${paint.dim(time.slice(11, 23))} ${shown} ${text}  ${paint.dim(facts)}\n`
}
