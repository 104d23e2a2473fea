/**
 * Recorded bytes of the wire: a change of layout must add a version, so a file is written once
 * (UPDATE_GOLDEN=1) and from then on compared and decoded.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { expect } from 'vitest'

/** Compares `bytes` with `golden/<name>.hex` and returns the recorded ones. */
export function expectGolden(name: string, bytes: Uint8Array): Buffer {
  const file = new URL(`../golden/${name}.hex`, import.meta.url)
  const hex = Buffer.from(bytes).toString('hex')
  if (!existsSync(file) && process.env.UPDATE_GOLDEN === '1')
    writeFileSync(file, `${hex.replace(/(.{64})/g, '$1\n')}\n`)
  const recorded = readFileSync(file, 'utf8').replace(/\s/g, '')
  expect(hex, `${name}: record it with UPDATE_GOLDEN=1 npm test`).toBe(recorded)
  return Buffer.from(recorded, 'hex')
}
