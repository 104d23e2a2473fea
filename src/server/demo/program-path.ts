/** Where programs are that Gcache starts beside itself. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Of a program on the PATH, or where Debian puts servers, which is on the PATH of root alone;
 *  undefined if it is not on this machine. */
export function programPath(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders.map(folder => join(folder, program)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
