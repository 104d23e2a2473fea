/**
 * What the time of a refusal could tell is the work that was done for it: known and unknown users,
 * right and wrong proofs cost the same calls of node:crypto with keys and texts of the same
 * lengths, in the same order. Counted, not measured: a clock would also see the machine.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { beforeEach, expect, test, vi } from 'vitest'
import { clientFirst } from '../src/security/scram.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { authenticator } from './harness/proofs.js'

const work = vi.hoisted((): string[] => [])

/** The real functions, which note what they were given. */
vi.mock('node:crypto', async original => {
  const real = await original<typeof import('node:crypto')>()
  const size = (of: unknown) => Buffer.byteLength(of as string | Buffer)
  const noting = (what: string, hash: ReturnType<typeof real.createHash>) => {
    const update = hash.update.bind(hash)
    hash.update = (...data: unknown[]) => {
      work.push(`${what}, ${size(data[0])} bytes`)
      return update(...(data as Parameters<typeof update>))
    }
    return hash
  }
  return {
    ...real,
    createHash: (name: string) => noting(name, real.createHash(name)),
    createHmac: (name: string, key: Buffer) =>
      noting(`${name} under ${size(key)}`, real.createHmac(name, key) as never),
    timingSafeEqual: (a: Buffer, b: Buffer) => {
      work.push(`compare ${a.length} with ${b.length}`)
      return real.timingSafeEqual(a, b)
    },
    pbkdf2: (...all: Parameters<typeof real.pbkdf2>) => {
      work.push('pbkdf2')
      return real.pbkdf2(...all)
    },
  }
})

const claims = { version: 1, cluster: 'suite', from: '~c', to: 'a', frameBytesMax: 99, life: 'x' }
const extensions = 'g=1,k=suite,o=client,f=~c,t=a,b=99,l=x,d=1'

beforeEach(() => void work.splice(0))

/** A refused login of `user`: what was said to it, what it cost, and when it hears of it. */
function refusal(user: string, proof: (nonce: string) => string) {
  const server = authenticator('node', new VirtualClock())
  const first = clientFirst(user, 'nonce', extensions)
  const said: string[] = []
  const delays: number[] = []
  const events = {
    say: (text: string) => said.push(text),
    proved: () => said.push('proved'),
    failed: (error: Error, delayMs: number) => {
      said.push(error.message)
      delays.push(delayMs)
    },
  }
  work.splice(0)
  const around = { host: '10.0.0.1' }
  const exchange = server.examine('a', { ...claims, dial: 1 }, first.message, around, events)
  exchange.receive(proof(said[0].slice(2).split(',')[0]))
  const shape = said.map(text => text.replace(/[^,=]+/g, part => `${part.length}`))
  return { work: [...work], shape, delays }
}

const wrong = (nonce: string) => `c=biws,r=${nonce},p=${'A'.repeat(43)}=`

test('a known and an unknown user are refused by the same work, at the same time', () => {
  const [ann, eve] = ['ann', 'eve'].map(user => refusal(user, wrong))
  expect(ann.work.length).toBeGreaterThan(6)
  expect(eve).toEqual(ann)
  expect(ann.delays).toEqual([100])
})

test('a proof that is none, or of another exchange, costs what a wrong one costs', () => {
  const [ann] = ['ann'].map(user => refusal(user, wrong))
  for (const user of ['ann', 'eve'])
    for (const proof of [
      (nonce: string) => `c=biws,r=${nonce},p=${'B'.repeat(42)}A=`,
      (nonce: string) => `c=biws,r=${'x'.repeat(nonce.length)},p=${'A'.repeat(43)}=`,
    ])
      expect(refusal(user, proof)).toEqual(ann)
})

test('a server does no PBKDF2 for a stranger', () => {
  for (const user of ['ann', 'eve', 'peer'])
    expect(refusal(user, wrong).work).not.toContain('pbkdf2')
})

test('what is compared is compared as hashes of equal lengths', () => {
  const { work } = refusal('ann', wrong)
  const compared = work.filter(each => each.startsWith('compare'))
  expect(compared.length).toBeGreaterThan(1)
  expect(new Set(compared)).toEqual(new Set(['compare 32 with 32']))
})

test('the notes are those of the functions that were called', () => {
  createHmac('sha256', 'key').update('four')
  timingSafeEqual(Buffer.of(1), Buffer.of(1))
  expect(work).toEqual(['sha256 under 3, 4 bytes', 'compare 1 with 1'])
})
