/** The package's version, read from its package.json. */
import { readFileSync } from 'node:fs'

export function version(): string {
  // The compiled file is dist/src/server/version.js.
  const file = new URL('../../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
