/**
 * The server's log on stderr: pino's JSON where nobody watches, readable lines on a terminal. What
 * stdout prints is for programs and stays free of it.
 */
import { pino } from 'pino'
import type { Logger } from '../contracts/environment.js'
import { type Paint, paintFor } from './paint.js'
import { plain } from './plain.js'
import type { LogLevel } from './serve-options.js'

/** Lines are written at once, so that the last words of a dying process are there. */
export function serverLogger(level: LogLevel): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  if (process.stderr.isTTY !== true)
    return pino(options, pino.destination({ fd: 2, sync: true })) as Logger
  const paint = paintFor(process.stderr)
  return pino(options, {
    write: (line: string) => process.stderr.write(readable(line, paint)),
  }) as Logger
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
