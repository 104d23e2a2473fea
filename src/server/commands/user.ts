/**
 * `gcache user add`: makes the line by which nodes know a user. The password comes from standard
 * input, because arguments are everybody's to read.
 */

import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { AUTH } from '../../config.js'
import { GcacheError } from '../../errors.js'
import { readBounded } from '../../private-files.js'
import {
  checkGrants,
  checkRole,
  checkUser,
  formatCredential,
  makeCredential,
  parseCredentials,
} from '../../security/credentials.js'
import { parseGrants } from '../../security/grants.js'
import { type Secret, secretFrom } from '../../security/secret.js'
import { parseCount } from '../parse.js'
import { EXIT, runCommand, subcommand } from '../run.js'

interface AddOptions {
  role: string
  grant?: string[]
  file?: string
  iterations?: string
}

/** As NIST SP 800-63B asks; fewer are told of, and it is the operator's decision. */
const PASSWORD_BYTES_ADVISED = 8
/** Another command on the same file is done by then: it holds it for some ms. */
const ALONE_MS_MAX = 3_000
const ALONE_EVERY_MS = 20

export function userCommand(): Command {
  const add = subcommand('add', 'print the line that lets a user in; the password is read on stdin')
    .argument('<name>', '1 to 64 of A-Z a-z 0-9 . _ @ -')
    .option('--role <role>', 'client, observer or admin', 'client')
    .option('--grant <grant>', 'CACHE:RIGHTS of a client, may be repeated', collect)
    .option('--file <file>', 'add the line to this file (made with mode 0600) instead')
    .option('--iterations <n>', `PBKDF2's count, at least ${AUTH.iterations}`)
    .addHelpText('after', HELP)
    .action((name: string, options: AddOptions) =>
      runCommand(async () => {
        await addUser(name, options)
        return EXIT.ok
      }),
    )
  return subcommand('user', 'who may log in').addCommand(add)
}

const collect = (text: string, before: string[] | undefined) => [...(before ?? []), text]

const HELP = `
  gcache user add ann --grant sessions:rw --grant 'shop*:r' < password.txt >> users
  gcache serve ... --secret-file secret --users-file users
  gcache get ... --user ann --password-file password.txt
The password is a first line, without its line break. A client may do nothing without a grant:
CACHE is a name, or with one * at its end what names begin with ('*' is every cache); RIGHTS are of
r (get, has, size, scan, watch), w (set, delete, touch, clear) and a (all of it). An observer may
ask for the status, an admin may do everything.
Exit: 0 done, 2 wrong options or an unusable password.`

async function addUser(name: string, options: AddOptions): Promise<void> {
  const user = checkUser(name)
  const role = checkRole(options.role)
  const grants = checkGrants(role, parseGrants(options.grant ?? []))
  const iterations = countOf(options.iterations)
  const { file } = options
  if (file !== undefined) refuseTwice(textOf(file), file, user)
  const password = await readPassword(process.stdin)
  const { length } = password
  if (length < PASSWORD_BYTES_ADVISED)
    process.stderr.write(
      `the password has ${length} bytes: with fewer than ${PASSWORD_BYTES_ADVISED} it is soon ` +
        'guessed\n',
    )
  const line = formatCredential(await makeCredential(user, role, password, iterations, grants))
  password.drop()
  if (role === 'client' && grants.length === 0)
    process.stderr.write(`${user} may read and write nothing: --grant '*:rw' lets it, everywhere\n`)
  if (file === undefined) process.stdout.write(`${line}\n`)
  else await append(file, user, line)
}

function countOf(text: string | undefined): number {
  if (text === undefined) return AUTH.iterations
  const count = parseCount(text, '--iterations')
  if (count >= AUTH.iterations && count <= AUTH.iterationsMax) return count
  const range = `${AUTH.iterations} to ${AUTH.iterationsMax}`
  throw new GcacheError('CONFIG', `--iterations ${count}: ${range} are allowed`)
}

function refuseTwice(before: string, file: string, user: string): void {
  if (parseCredentials(before, file).has(user))
    throw new GcacheError('CONFIG', `${user} stands in ${file} already: remove that line first`)
}

/** '' where there is none yet. */
function textOf(file: string): string {
  if (!existsSync(file)) return ''
  return readBounded(file, AUTH.usersFileBytesMax, '--file').toString('utf8')
}

/**
 * Adds `line` to `file`, or makes it. A node that reads meanwhile sees the old file or the new one,
 * and the node's own user may read it as before. The new one is written under a name that only one
 * command has at a time, so what two add at once is all there.
 */
async function append(file: string, user: string, line: string): Promise<void> {
  const path = existsSync(file) ? realpathSync(file) : file
  const aside = `${path}.adding`
  const descriptor = await openAlone(aside)
  try {
    const before = textOf(path)
    refuseTwice(before, file, user)
    const ended = before === '' || before.endsWith('\n')
    writeSync(descriptor, `${before}${ended ? '' : '\n'}${line}\n`)
    keepOwner(path, descriptor)
    renameSync(aside, path)
  } catch (cause) {
    rmSync(aside, { force: true })
    if (cause instanceof GcacheError) throw cause
    throw new GcacheError('CONFIG', `--file: ${(cause as Error).message}`, { cause })
  } finally {
    closeSync(descriptor)
  }
}

async function openAlone(aside: string): Promise<number> {
  for (let triesLeft = ALONE_MS_MAX / ALONE_EVERY_MS; ; triesLeft--) {
    try {
      return openSync(aside, 'wx', 0o600)
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException
      if (code !== 'EEXIST') throw new GcacheError('CONFIG', `--file: ${message}`, { cause })
      if (triesLeft <= 0)
        throw new GcacheError(
          'CONFIG',
          `--file: ${aside} is there: another gcache user add is at work, or was killed: remove it`,
        )
    }
    await sleep(ALONE_EVERY_MS)
  }
}

/** Rights that it gave to others go: it is no file for all the world. */
function keepOwner(path: string, descriptor: number): void {
  if (!existsSync(path)) return
  const { uid, gid, mode } = statSync(path)
  const own = fstatSync(descriptor)
  if (own.uid !== uid || own.gid !== gid) fchownSync(descriptor, uid, gid)
  fchmodSync(descriptor, mode & 0o660)
}

/** On a terminal the typed characters are not shown. */
async function readPassword(input: Readable & { isTTY?: boolean }): Promise<Secret> {
  const terminal = input.isTTY === true ? process.stdin : undefined
  terminal?.setRawMode(true)
  if (terminal !== undefined) process.stderr.write('password: ')
  const bytes = Buffer.alloc(AUTH.secretFileBytesMax + 1)
  let length = 0
  try {
    for await (const chunk of input) {
      length += (chunk as Buffer).copy(bytes, length)
      ;(chunk as Buffer).fill(0)
      if (length > AUTH.secretFileBytesMax) throw tooLong()
      if (terminal !== undefined && ended(bytes.subarray(0, length))) break
    }
  } finally {
    terminal?.setRawMode(false)
    if (terminal !== undefined) process.stderr.write('\n')
  }
  const [last] = bytes.subarray(length - 1)
  // Raw mode ends a line by a carriage return alone.
  if (last === 13) bytes[length - 1] = 10
  return secretFrom(bytes.subarray(0, length), 'the password')
}

/** Enter, Ctrl-C or Ctrl-D; the latter two leave a control character, which is refused. */
function ended(bytes: Uint8Array): boolean {
  return bytes.some(byte => byte === 13 || byte === 10 || byte === 3 || byte === 4)
}

function tooLong(): GcacheError {
  return new GcacheError('CONFIG', `the password has more than ${AUTH.secretFileBytesMax} bytes`)
}
