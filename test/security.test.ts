/** SCRAM by the RFC's own words, credentials, secrets, and what failures cost. */
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { AUTH } from '../src/config.js'
import { SILENCE } from '../src/core/silence.js'
import {
  CredentialStore,
  checkUser,
  formatCredential,
  makeCredential,
  parseCredentials,
} from '../src/security/credentials.js'
import { Guard } from '../src/security/guard.js'
import { Keychain } from '../src/security/keychain.js'
import {
  base64,
  bytesOf,
  type ClientFirst,
  type ClientKeys,
  clientFinal,
  clientFirst,
  deriveKeys,
  escaped,
  isServerFinal,
  readClientFirst,
  readServerFirst,
  type ServerFirst,
  type StoredKeys,
  serverFinal,
  serverFirst,
  storedKeys,
  unescaped,
} from '../src/security/scram.js'
import { Secret, secretFrom } from '../src/security/secret.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { codeOf } from './harness/codes.js'

const derived = (password: string, salt: Uint8Array, iterations = 4_096) =>
  new Promise<ClientKeys>((resolve, reject) => {
    deriveKeys(Buffer.from(password), salt, iterations, (error, keys) =>
      keys === undefined ? reject(error) : resolve(keys),
    )
  })

/** RFC 7677, section 3: user 'user', password 'pencil'. */
const RFC = {
  clientNonce: 'rOprNGfwEbeRWgbNEkqO',
  serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  salt: 'W22ZaJ0SNY7soEsUEjb6gQ==',
  clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  serverFirst:
    'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  clientFinal:
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,' +
    'p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
}

const SIGNS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

describe('SCRAM-SHA-256', () => {
  const salt = bytesOf(RFC.salt) as Uint8Array
  const binding = Buffer.alloc(32, 7)

  /** A whole exchange; `tamper` changes what travels. */
  async function exchange(how: {
    password?: string
    bindings?: [Uint8Array | undefined, Uint8Array | undefined]
    tamper?: (message: string, step: number) => string
  }) {
    const { password = 'pencil', bindings = [undefined, undefined], tamper = text => text } = how
    const right = await derived('pencil', salt)
    const stored = storedKeys(right, salt, 4_096)
    const keys = await derived(password, salt)
    const first = clientFirst('ann', 'one', 'f=b', bindings[0])
    const heard = readClientFirst(tamper(first.message, 1), bindings[1])
    if (heard === undefined) return 'refused at client-first'
    const answer = serverFirst(heard, 'two', stored, 'f=a')
    const told = readServerFirst(tamper(answer.message, 2), first)
    if (told === undefined) return 'refused at server-first'
    const { message, signature } = clientFinal(first, told, keys, bindings[0])
    const final = serverFinal(heard, answer, tamper(message, 3), stored, bindings[1])
    if (final === undefined) return 'refused at client-final'
    return isServerFinal(tamper(final, 4), signature) ? 'proved' : 'refused at server-final'
  }

  test('says and accepts the messages of RFC 7677, byte for byte', async () => {
    const keys = await derived('pencil', salt)
    const first = clientFirst('user', RFC.clientNonce)
    expect(first.message).toBe(RFC.clientFirst)
    const heard = readClientFirst(RFC.clientFirst) as ClientFirst
    expect(heard).toEqual(first)
    const stored = storedKeys(keys, salt, 4_096)
    const answer = serverFirst(heard, RFC.serverNonce, stored)
    expect(answer.message).toBe(RFC.serverFirst)
    const told = readServerFirst(RFC.serverFirst, first) as ServerFirst
    const { message, signature } = clientFinal(first, told, keys)
    expect(message).toBe(RFC.clientFinal)
    expect(serverFinal(heard, answer, RFC.clientFinal, stored)).toBe(RFC.serverFinal)
    expect(isServerFinal(RFC.serverFinal, signature)).toBe(true)
  })

  test('a wrong password, and a server that does not know it, are found out', async () => {
    expect(await exchange({})).toBe('proved')
    expect(await exchange({ password: 'pencils' })).toBe('refused at client-final')
    const forged = (text: string, step: number) =>
      step === 4 ? `v=${base64(Buffer.alloc(32))}` : text
    expect(await exchange({ tamper: forged })).toBe('refused at server-final')
  })

  test('every character of every message is covered', async () => {
    for (const step of [1, 2, 3, 4])
      for (let at = 0; at < 300; at++) {
        let beyond = false
        const tamper = (text: string, now: number) => {
          if (now !== step) return text
          beyond = at >= text.length
          const other = text[at] === 'x' ? 'y' : 'x'
          return beyond ? text : text.slice(0, at) + other + text.slice(at + 1)
        }
        // A changed salt makes other keys: those of another password, which the loop tests enough.
        const outcome = await exchange({ tamper })
        if (beyond) break
        expect(outcome, `step ${step}, character ${at}`).toMatch(/^refused/)
      }
  })

  test('the bound form proves the same, and only on the same encrypted link', async () => {
    expect(clientFirst('ann', 'one', '', binding).message).toMatch(/^p=tls-exporter,,n=ann,/)
    expect(await exchange({ bindings: [binding, binding] })).toBe('proved')
    const elsewhere = Buffer.alloc(32, 8)
    expect(await exchange({ bindings: [binding, elsewhere] })).toBe('refused at client-final')
  })

  test('where a link can be bound the unbound form is refused, and the reverse', async () => {
    expect(await exchange({ bindings: [undefined, binding] })).toBe('refused at client-first')
    expect(await exchange({ bindings: [binding, undefined] })).toBe('refused at client-first')
    expect(readClientFirst('y,,n=ann,r=one', binding)).toBeUndefined()
    expect(readClientFirst('y,,n=ann,r=one')).toBeUndefined()
    expect(readClientFirst('n,a=bob,n=ann,r=one')).toBeUndefined()
  })

  test('a proof of one exchange is worth nothing in another', async () => {
    const keys = await derived('pencil', salt)
    const stored = storedKeys(keys, salt, 4_096)
    const first = clientFirst('ann', 'one')
    const answer = serverFirst(first, 'two', stored)
    const { message } = clientFinal(first, answer, keys)
    expect(serverFinal(first, answer, message, stored)).toBeDefined()
    expect(serverFinal(first, serverFirst(first, 'three', stored), message, stored)).toBeUndefined()
  })

  test.each([
    '',
    'n,,',
    'n,,n=,r=a',
    'n,,r=a,n=user',
    'n,,n=user',
    'n,,n=user,r=',
    'n,,n=us=er,r=a',
    'n,,m=x,n=user,r=a',
    'n,,n=user,r=\u00e4',
  ])('%j is no beginning', text => {
    expect(readClientFirst(text)).toBeUndefined()
  })

  test.each([
    '',
    'r=one,s=c2FsdA==,i=4096',
    'r=onetwo,s=,i=4096',
    'r=onetwo,s=c2FsdA=,i=4096',
    'r=onetwo,s=c2FsdA==,i=0',
    'r=onetwo,s=c2FsdA==,i=04096',
    'r=onetwo,s=c2FsdA==,i=99999999999',
    'r=twoone,s=c2FsdA==,i=4096',
    'e=other-error',
  ])('%j is no answer', text => {
    expect(readServerFirst(text, clientFirst('ann', 'one'))).toBeUndefined()
  })

  test('a proof has one form only: bits that belong to no byte are none', async () => {
    expect(bytesOf('AA==')).toEqual(Buffer.of(0))
    for (const text of ['AB==', 'AP==', 'AAB=', 'AAD=']) expect(bytesOf(text)).toBeUndefined()
    const last = (text: string, step: number) =>
      step === 3 ? text.replace(/(.)=$/, (_, sign) => `${next(sign)}=`) : text
    const next = (sign: string) => SIGNS[SIGNS.indexOf(sign) + 1]
    expect(await exchange({ tamper: last })).toBe('refused at client-final')
  })

  test('names with commas and equals signs come through', () => {
    for (const name of ['a,b', '=', ',=2C', 'plain']) expect(unescaped(escaped(name))).toBe(name)
    expect(unescaped('a=2')).toBeUndefined()
  })
})

describe('credentials', () => {
  test('a printed line is read back, and judges the password it was made of', async () => {
    const made = await makeCredential('ann', 'client', new Secret('pencil'))
    expect(made.iterations).toBeGreaterThanOrEqual(600_000)
    const users = parseCredentials(`# users\n\n${formatCredential(made)}\r\n`, 'users')
    const read = users.get('ann') as StoredKeys
    const keys = await derived('pencil', read.salt, read.iterations)
    expect(base64(storedKeys(keys, read.salt, read.iterations).storedKey)).toBe(
      base64(read.storedKey),
    )
    expect(formatCredential(made)).not.toContain('pencil')
  })

  test('two lines of one password have nothing in common', async () => {
    const [a, b] = await Promise.all([4_096, 4_096].map(n => credential('ann', n)))
    expect(base64(a.salt)).not.toBe(base64(b.salt))
    expect(base64(a.storedKey)).not.toBe(base64(b.storedKey))
  })

  const credential = (user: string, iterations = 4_096) =>
    makeCredential(user, 'client', new Secret('pencil'), iterations)

  test('a line that is none is refused by its number, without its text', async () => {
    const good = formatCredential(await credential('ann'))
    for (const bad of [
      'ann client pencil',
      `${good} more`,
      good.replace('client', 'peer'),
      good.replace('client', 'god'),
      good.replace('ann', 'peer'),
      good.replace('4096', '4095'),
      good.replace('4096', '10000001'),
      good.replace(/:[^:]*$/, ':c2hvcnQ='),
    ]) {
      const read = () => parseCredentials(`\n${bad}`, 'users')
      expect(codeOf(read), bad).toBe('CONFIG')
      expect(read, bad).toThrow('users, line 2')
      expect(read, bad).not.toThrow(/pencil|SCRAM/)
    }
    expect(() => parseCredentials(`${good}\n${good}`, 'users')).toThrow('ann stands there twice')
    expect(codeOf(() => checkUser('peer'))).toBe('CONFIG')
    expect(codeOf(() => checkUser('a,b'))).toBe('CONFIG')
  })

  test('an unknown user looks like a known one, the same on every node', async () => {
    const known = await credential('ann')
    const users = new Map([['ann', known]])
    const [here, there] = [1, 1].map(byte => new CredentialStore(users, Buffer.alloc(32, byte)))
    const elsewhere = new CredentialStore(users, Buffer.alloc(32, 2))
    const [ann, eve] = [here.find('ann'), here.find('eve')]
    expect(ann).toEqual({ credential: known, known: true })
    expect(eve.known).toBe(false)
    expect(eve.credential.iterations).toBe(known.iterations)
    for (const field of ['salt', 'storedKey', 'serverKey'] as const)
      expect(eve.credential[field].length).toBe(known[field].length)
    expect(there.find('eve')).toEqual(eve)
    expect(base64(elsewhere.find('eve').credential.salt)).not.toBe(base64(eve.credential.salt))
    expect(base64(here.find('eva').credential.salt)).not.toBe(base64(eve.credential.salt))
  })
})

describe('a secret', () => {
  const text = 'correct horse battery staple'

  test('prints nothing of itself', () => {
    const secret = new Secret(text)
    const nested = { auth: { secret }, list: [secret] }
    const prints = [
      `${secret}`,
      JSON.stringify(nested),
      inspect(nested, { depth: 9, showHidden: true }),
      inspect(new Keychain(secret), { depth: 9, showHidden: true }),
      String(Object.entries(secret)),
    ]
    for (const print of prints) expect(print).not.toMatch(/horse|636f72|Buffer/)
    expect(prints[0]).toBe('[redacted]')
    expect(prints[1]).toBe('{"auth":{"secret":"[redacted]"},"list":["[redacted]"]}')
  })

  test('is gone once dropped', () => {
    const secret = new Secret(text)
    const bytes = secret.expose(own => own)
    expect(Buffer.from(bytes).toString()).toBe(text)
    secret.drop()
    expect(bytes.every(byte => byte === 0)).toBe(true)
    expect(secret.length).toBe(0)
  })

  test('from a file loses one line break, and is refused if short or of several lines', () => {
    expect(secretFrom(Buffer.from('abc\r\n'), 'f', 3).length).toBe(3)
    const bytes = Buffer.from('abc\n')
    expect(codeOf(() => secretFrom(bytes, 'f', 4))).toBe('CONFIG')
    expect(
      bytes.every(byte => byte === 0),
      'what was read is zeroed',
    ).toBe(true)
    expect(() => secretFrom(Buffer.from('abc\ndef'), 'f')).toThrow('f holds control characters')
    expect(codeOf(() => secretFrom(Buffer.from('\n'), 'f'))).toBe('CONFIG')
  })
})

describe('a password as text', () => {
  const form = (text: string) => new Secret(text).expose(bytes => Buffer.from(bytes).toString())
  const fromFile = (text: string) =>
    secretFrom(Buffer.from(`${text}\n`), 'f').expose(bytes => Buffer.from(bytes).toString())

  // The examples of RFC 4013, section 3, and what looks alike.
  test.each([
    ['I\u00adX', 'IX'],
    ...[
      '00ad',
      '034f',
      '1806',
      '180b',
      '180c',
      '180d',
      '200c',
      '200d',
      '2060',
      'fe00',
      'fe0f',
      'feff',
    ].map(hex => [`I${String.fromCharCode(Number.parseInt(hex, 16))}X`, 'IX']),
    ['user', 'user'],
    ['USER', 'USER'],
    ['\u00aa', 'a'],
    ['\u2168', 'IX'],
    ['e\u0301', '\u00e9'],
    ['a\u00a0b', 'a b'],
    ['\u3000', ' '],
    ['\ufb01x', 'fix'],
    ['\u{1f511}\ufe0f', '\u{1f511}'],
  ])('%j is %j, typed, in a file and in a program', (typed, meant) => {
    expect(form(typed)).toBe(meant)
    expect(fromFile(typed)).toBe(meant)
  })

  test.each([
    '\u0007',
    'a\u0000',
    '\u0085',
    '\ue000',
    '\ufdd0',
    '\ud800',
    '\ufffd',
    '\u2028',
    '\u202e',
    '\u0340',
    '\u{e0041}',
    '\u0378',
  ])('with %j is refused, not changed', text => {
    expect(codeOf(() => new Secret(text))).toBe('CONFIG')
    expect(codeOf(() => secretFrom(Buffer.from(text), 'f'))).toBe('CONFIG')
    expect(() => secretFrom(Buffer.from(`hush${text}`), 'f')).not.toThrow(/hush/)
  })

  test('that is not UTF-8 is refused: all such would be one and the same', () => {
    for (const hex of ['e4', 'ff'.repeat(32), 'eda080', 'c0af', 'f09f94'])
      expect(() => secretFrom(Buffer.from(hex, 'hex'), 'f')).toThrow('not UTF-8')
    const latin1 = Buffer.from('m\u00fcller', 'latin1')
    expect(() => secretFrom(latin1, 'f')).toThrow('not UTF-8')
    expect(
      latin1.every(byte => byte === 0),
      'what was read is zeroed',
    ).toBe(true)
  })
})

describe('a keychain', () => {
  test('derives once a salt, for all who wait, and then answers at once', async () => {
    const keychain = new Keychain(new Secret('pencil'))
    const salt = Buffer.alloc(16, 1)
    const [one, two] = await Promise.all(
      [1, 2].map(() => new Promise<unknown>(done => keychain.keys(salt, 4_096, done))),
    )
    expect(one).toBe(two)
    let third: unknown
    keychain.keys(salt, 4_096, keys => {
      third = keys
    })
    expect(third).toBe(one)
    expect(one).toEqual(await derived('pencil', salt))
  })

  test('works on few salts at once', () => {
    const keychain = new Keychain(new Secret('pencil'))
    let refused = 0
    for (let i = 0; i < AUTH.derivationsMax + 3; i++)
      keychain.keys(Buffer.from([i]), 4_096, keys => {
        if (keys === undefined) refused++
      })
    expect(refused).toBe(3)
  })
})

describe('failures', () => {
  function guarded() {
    const clock = new VirtualClock()
    const lines: Record<string, unknown>[] = []
    const guard = new Guard(clock, { ...SILENCE, warn: fields => lines.push(fields) })
    return { clock, guard, lines }
  }

  test('delay the reply twice as long each time, to 3 s', () => {
    const { guard } = guarded()
    const delays = Array.from({ length: 7 }, () => guard.failure('h', 'ann', {}))
    expect(delays).toEqual([100, 200, 400, 800, 1_600, 3_000, 3_000])
  })

  test('are ten at once and five a minute, for one host and user, and a success forgives', () => {
    const { clock, guard } = guarded()
    for (let i = 0; i < 10; i++) {
      expect(guard.allows('h', 'ann')).toBe(true)
      guard.failure('h', 'ann', {})
    }
    expect(guard.allows('h', 'ann')).toBe(false)
    expect(guard.allows('elsewhere', 'ann'), 'nobody is locked out everywhere').toBe(true)
    expect(guard.allows('h', 'bob')).toBe(true)
    clock.advance(12_000)
    expect(guard.allows('h', 'ann')).toBe(true)
    guard.failure('h', 'ann', {})
    expect(guard.allows('h', 'ann')).toBe(false)
    clock.advance(60_000)
    for (let i = 0; i < 5; i++) {
      expect(guard.allows('h', 'ann'), `${i} of five`).toBe(true)
      guard.failure('h', 'ann', {})
    }
    expect(guard.allows('h', 'ann')).toBe(false)
    guard.success('h', 'ann')
    expect(guard.failure('h', 'ann', {})).toBe(100)
  })

  test('write one line a second, which says how many more there were', () => {
    const { clock, guard, lines } = guarded()
    for (let i = 0; i < 50; i++) guard.failure('h', `u${i}`, { peer: 'x' })
    expect(lines).toEqual([{ peer: 'x', host: 'h', user: 'u0', more: 0 }])
    clock.advance(AUTH.logEveryMs)
    guard.failure('h', 'ann', {})
    expect(lines[1]).toEqual({ host: 'h', user: 'ann', more: 49 })
    expect(guard.failed).toBe(51)
  })

  test('of ten thousand pairs are remembered, the rest forgotten', () => {
    const { guard } = guarded()
    for (let i = 0; i < 3; i++) guard.failure('h', 'ann', {})
    for (let i = 0; i < AUTH.allowancesMax; i++) guard.failure('h', `u${i}`, {})
    expect(guard.failure('h', `u${AUTH.allowancesMax - 1}`, {})).toBe(200)
    expect(guard.failure('h', 'ann', {}), 'forgotten').toBe(100)
  })
})
