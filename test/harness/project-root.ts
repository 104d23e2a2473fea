/** Where the project lies, for tests that read its files: they run from test/ or dist/test/. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** The first folder upwards with a package.json. */
export function projectRoot(): string {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json'))) folder = join(folder, '..')
  return folder
}
