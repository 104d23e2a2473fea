/** Lines of SECURITY that are settled by what the sources say, or do not say. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LIMITS, TIMES } from '../src/config.js'
import { FrameDecoder } from '../src/wire/frame.js'
import { Credentials } from '../transports/stream/tls.js'
import { codeOf } from './harness/codes.js'
import { projectRoot } from './harness/project-root.js'

const ROOT = projectRoot()
const sources = ['src', 'transports', 'strategies'].flatMap(folder =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => join(folder, name)),
)
/** Without comments, which may name what is forbidden. */
const codeIn = (name: string) =>
  readFileSync(join(ROOT, name), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/\/\/.*$/gm, '')
const holding = (form: RegExp) => sources.filter(name => form.test(codeIn(name)))

test('row 3: TLS has 5 s of its own, said to node:tls, whose default is 120 s', () => {
  expect(TIMES.tlsHandshakeMs).toBe(5_000)
  expect(new Credentials({}).handshakeTimeoutMs).toBe(5_000)
  expect(holding(/\bhandshakeTimeout\b/)).toEqual(['transports/stream/secure.ts'])
})

test('row 6: a slice of a copy has 256 KiB, and lengths have 32 bits', () => {
  expect(LIMITS.snapshotSliceBytes).toBe(256 * 1_024)
  let frames = 0
  const decoder = new FrameDecoder(16, { onFrame: () => void frames++ })
  // Eight bytes of length would be a frame of one byte here; four are one of none.
  expect(codeOf(() => decoder.push(Buffer.from('0000000000000001', 'hex')))).toBe('PROTOCOL_ERROR')
  expect(frames).toBe(0)
})

test('section 3: no source runs, compiles or revives what it has read', () => {
  expect(sources.length).toBeGreaterThan(100)
  expect(
    holding(/\beval\(|new Function\b|\bFunction\(|node:vm|\bv8\.|runInContext|\bdeserialize\(/),
  ).toEqual([])
  // A server's heap is measured and bounded by it, nothing else.
  expect(holding(/node:v8/)).toEqual(['src/server/heap.ts'])
  const heap = readFileSync(join(ROOT, 'src/server/heap.ts'), 'utf8')
  expect(heap).toContain("import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'")
  expect(holding(/structuredClone: true|useRecords: true/)).toEqual([])
  // msgpackr is spoken to in two places: control messages, and the values of a cache.
  expect(holding(/from 'msgpackr'/).sort()).toEqual(['src/cache/codec.ts', 'src/wire/control.ts'])
  const { version } = JSON.parse(
    readFileSync(join(ROOT, 'node_modules/msgpackr/package.json'), 'utf8'),
  ) as { version: string }
  const [major, minor] = version.split('.').map(Number)
  expect(major * 100 + minor, 'CVE-2023-52079').toBeGreaterThanOrEqual(110)
})

test('section 4: no pskCallback, no ALPNCallback, and nobody trusts anybody', () => {
  expect(holding(/pskCallback|ALPNCallback|checkServerIdentity: \(\) =>/)).toEqual([])
  const lax = holding(/rejectUnauthorized/)
  for (const name of lax) expect(name).toBe('transports/stream/secure.ts')
})
