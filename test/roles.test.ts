/** Who may do what (SECURITY 6): the table, grants, and what comes of them on one link. */
import { describe, expect, test } from 'vitest'
import { AUTH } from '../src/config.js'
import { SILENCE } from '../src/core/silence.js'
import { LOCAL_PEER, Rights } from '../src/engine/rights.js'
import { GcacheError } from '../src/errors.js'
import { formatCredential, makeCredential, parseCredentials } from '../src/security/credentials.js'
import { formatGrant, parseGrant, parseGrants } from '../src/security/grants.js'
import { AUTHORITY, CONTROLS, FRAMES, OPERATIONS, ROLES, type Row } from '../src/security/roles.js'
import { Secret } from '../src/security/secret.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { OP } from '../src/wire/command.js'
import { decodeControl } from '../src/wire/control.js'
import { FRAME } from '../src/wire/requests.js'
import { golden } from './fuzz/corpus.js'
import { ITERATIONS } from './harness/proofs.js'

const codeOf = (act: () => unknown): string => {
  try {
    act()
  } catch (error) {
    if (error instanceof GcacheError) return error.code
    throw error
  }
  return 'nothing'
}

describe('the table', () => {
  // The rows of SECURITY.md section 6. `forwarded` is `own` here: a node passes on the calls of its
  // own process and nobody else's. Departures: it passes on its own admin's commands, too; and a
  // view is what a node says, to everybody, so nobody else may send one.
  const LISTED: [string[], string][] = [
    [['handshake'], 'yes yes yes yes'],
    [['get', 'has', 'size', 'scan', 'watch'], 'read own no yes'],
    [['set', 'delete', 'touch', 'clear', 'openWindow'], 'write own no yes'],
    [['hint'], 'yes yes no yes'],
    [['status'], 'no yes yes yes'],
    [['strategyFirst', 'reply', 'groupReply', 'event'], 'no yes no no'],
    [['admin'], 'no own no yes'],
    // What the list leaves out.
    [['unwatch'], 'yes own no yes'],
    [['view', 'farewell', 'refused', 'status-reply', 'admin-reply'], 'no yes no no'],
    [['configure', 'expire', 'evict', 'noop', 'closeWindow', 'view of a log'], 'no no no no'],
    [['request', 'control'], 'yes yes yes yes'],
  ]

  test('is that of the list, row by row, and nothing besides', () => {
    const { view, ...operations } = OPERATIONS
    const all: Record<string, Row> = { ...FRAMES, ...CONTROLS, ...operations }
    all['view of a log'] = view
    const listed = LISTED.flatMap(([names, cells]) => names.map(name => [name, cells]))
    const built = Object.entries(all).map(([name, row]) => [name, row.join(' ')])
    expect(built.sort()).toEqual(listed.sort())
    expect(ROLES).toEqual(['client', 'peer', 'observer', 'admin'])
  })

  test('has a row for every operation, every control message and every kind of frame', () => {
    expect(Object.keys(OPERATIONS).sort()).toEqual(Object.keys(OP).sort())
    const recorded = golden('control-').map(frame => decodeControl(frame).type)
    expect([...new Set(recorded)].sort()).toEqual(Object.keys(CONTROLS).sort())
    expect(Object.keys(FRAMES).sort()).toEqual([...Object.keys(FRAME), 'handshake'].sort())
  })

  test.each(ROLES)('refuses role %s whatever has no row', role => {
    const peer = role === 'peer' ? 'b' : '~x'
    const access = AUTHORITY.access(peer, { user: 'x', role, grants: [parseGrant('*:a')] })
    expect(access.role).toBe(role)
    for (const op of [0, 5, 15, 27, 100, 255, 256, -1]) expect(access.mayDo(op, 'c')).toBe(false)
    for (const type of ['', 'promote', '__proto__', 'constructor', 'toString'])
      expect(access.mayTell(type, 'c')).toBe(false)
  })

  test('lets nobody do anything without a proof, or with one of another name', () => {
    for (const [peer, identity] of [
      ['~x', undefined],
      ['b', undefined],
      ['~x', { user: 'peer', role: 'peer' }],
      ['b', { user: 'root', role: 'admin' }],
      ['b', { user: 'ann', role: 'client', grants: [parseGrant('*:a')] }],
    ] as const) {
      const access = AUTHORITY.access(peer, identity)
      expect(access.role).toBeUndefined()
      for (const op of Object.values(OP)) expect(access.mayDo(op, 'c')).toBe(false)
      for (const type of Object.keys(CONTROLS)) expect(access.mayTell(type, 'c')).toBe(false)
    }
  })
})

describe('grants', () => {
  const access = (...grants: string[]) =>
    AUTHORITY.access('~x', { user: 'ann', role: 'client', grants: parseGrants(grants) })

  test.each([
    ['sessions:rw', { cache: 'sessions', prefix: false, rights: 'rw' }],
    ['shop*:r', { cache: 'shop', prefix: true, rights: 'r' }],
    ['*:a', { cache: '', prefix: true, rights: 'a' }],
    ['a:b:w', { cache: 'a:b', prefix: false, rights: 'w' }],
    ['my%20cache:r', { cache: 'my cache', prefix: false, rights: 'r' }],
    ['star%2A:r', { cache: 'star*', prefix: false, rights: 'r' }],
    ['%2C%25%2A*:r', { cache: ',%*', prefix: true, rights: 'r' }],
    ['__proto__:rw', { cache: '__proto__', prefix: false, rights: 'rw' }],
    ['Käse:r', { cache: 'Käse', prefix: false, rights: 'r' }],
    [`${'x'.repeat(64)}:r`, { cache: 'x'.repeat(64), prefix: false, rights: 'r' }],
  ])('%s is read, and written in one word', (text, grant) => {
    expect(parseGrant(text)).toEqual(grant)
    expect(formatGrant(grant)).toMatch(/^[^\s,]+$/)
    expect(parseGrant(formatGrant(grant))).toEqual(grant)
  })

  test.each([
    ...['', ':', ':r', 'c', 'c:', 'c:x', 'c:rr', 'c:rwx', 'c:R', 'c:rwar', 'a*b:r', '**:r', '*a:r'],
    ...['c%:r', 'c%ff:r', '\ud800:r', `${'x'.repeat(65)}:r`, `${'ä'.repeat(33)}:r`],
  ])('%j is none: CONFIG, with what one looks like', text => {
    expect(codeOf(() => parseGrant(text))).toBe('CONFIG')
    expect(() => parseGrant(text)).toThrow("'sessions:rw'")
  })

  test('of one user are at most 64', () => {
    expect(codeOf(() => parseGrants(Array(AUTH.grantsMax).fill('c:r')))).toBe('nothing')
    expect(codeOf(() => parseGrants(Array(AUTH.grantsMax + 1).fill('c:r')))).toBe('CONFIG')
  })

  const may = (access_: ReturnType<typeof access>, cache: string) =>
    (access_.mayDo(OP.get, cache) ? 'r' : '-') + (access_.mayDo(OP.set, cache) ? 'w' : '-')

  test('speak of the caches that they name and of no others', () => {
    const some = access('shop:w', 'shop*:r', '__proto__:rw', 'a:a')
    const seen = ['shop', 'shops', 'sho', 'SHOP', 'xshop', 'shop*', '', '__proto__', 'a', 'aa']
    expect(seen.map(cache => may(some, cache))).toEqual([
      'rw',
      'r-',
      '--',
      '--',
      '--',
      'r-',
      '--',
      'rw',
      'rw',
      '--',
    ])
    expect(may(access('shop:rw'), 'shopping')).toBe('--')
    expect(['constructor', 'toString', 'hasOwnProperty'].map(cache => may(some, cache))).toEqual([
      '--',
      '--',
      '--',
    ])
    expect(may(access('*:rw'), 'x'.repeat(64))).toBe('rw')
    expect(may(access(), 'c')).toBe('--')
  })

  test('are judged the same however many caches were asked for in between', () => {
    const some = access('c1*:r')
    const want = (i: number) => (`c${i}`.startsWith('c1') ? 'r-' : '--')
    for (let round = 0; round < 2; round++)
      for (let i = 0; i < 2_000; i++) expect(may(some, `c${i}`)).toBe(want(i))
  })

  test('to write anywhere let a window be opened, to read do not', () => {
    expect(access('c:w').mayDo(OP.openWindow, '')).toBe(true)
    expect(access('*:r').mayDo(OP.openWindow, '')).toBe(false)
  })

  test('stand behind the keys of a line; an old line has none, a wrong one is CONFIG', async () => {
    const grants = parseGrants(['my%20cache:rw', 'shop*:r'])
    const made = await makeCredential('ann', 'client', new Secret('p'), ITERATIONS, grants)
    const line = formatCredential(made)
    expect(line.endsWith(' my%20cache:rw,shop*:r')).toBe(true)
    expect(parseCredentials(line, 'users').get('ann')?.grants).toEqual(grants)
    const old = line.slice(0, line.lastIndexOf(' '))
    expect(parseCredentials(old, 'users').get('ann')?.grants).toEqual([])
    const wrong = [
      `${old} hush-hush`,
      `${old} c:r,`,
      `${line} c:r`,
      line.replace('client', 'admin'),
    ]
    for (const each of wrong) {
      expect(codeOf(() => parseCredentials(each, 'users'))).toBe('CONFIG')
      expect(() => parseCredentials(each, 'users')).toThrow(/^users, line 1: (?!.*hush)/)
    }
  })
})

describe('one link', () => {
  test('that nobody saw come up may do nothing; that of this process may do everything', () => {
    const ended: string[] = []
    const disconnect = (peer: string) => void ended.push(peer)
    const env = { clock: new VirtualClock(), logger: SILENCE, send() {}, flush() {}, disconnect }
    const rights = new Rights({ ...env, authority: AUTHORITY })
    expect(rights.of('~x')?.mayDo(OP.get, 'c')).toBe(false)
    expect(rights.of('b')?.mayDo(OP.get, 'c')).toBe(false)
    expect(rights.of(LOCAL_PEER)).toBeUndefined()
    expect(rights.onUp('b', 1, { user: 'peer', role: 'peer' })).toBe(true)
    expect(rights.of('b')).toBeUndefined()
    expect(ended).toEqual([])
    for (const authority of [AUTHORITY, undefined]) {
      const root = { user: 'root', role: 'admin' } as const
      expect(new Rights({ ...env, authority }).onUp(LOCAL_PEER, 1, root)).toBe(false)
    }
    expect(ended).toEqual([LOCAL_PEER, LOCAL_PEER])
  })
})

describe('hints', () => {
  test('a storm of hints is one a user in 200 ms, however many links it comes from', () => {
    const clock = new VirtualClock()
    const world = { clock, logger: SILENCE, send() {}, flush() {}, disconnect() {} }
    const heard = (rights: Rights, peers: string[]) => {
      let count = 0
      for (let ms = 0; ms < 1_000; ms++) {
        for (const peer of peers) if (rights.hears(peer)) count++
        clock.advance(1)
      }
      return count
    }
    const proved = new Rights({ ...world, authority: AUTHORITY })
    const links = ['~1', '~2', '~3']
    for (const link of links) proved.onUp(link, 1, { user: 'reader', role: 'client' })
    proved.onUp('~4', 1, { user: 'writer', role: 'client' })
    expect(heard(proved, links)).toBe(5)
    expect(heard(proved, [...links, '~4'])).toBe(10)
    // Where nobody proves anything a link is all there is, and their number bounds the memory.
    const open_ = new Rights({ ...world, authority: undefined })
    expect(heard(open_, ['~1'])).toBe(5)
    expect(heard(open_, ['~1', '~2'])).toBe(10)
  })
})
