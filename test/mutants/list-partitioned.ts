/**
 * Planted bugs in strategy partitioned, sought among its own seeds. Not here: a key that is hashed
 * otherwise after a move (test/partition-map.test.ts records the hash, and no seed changes it); and
 * a lease that asks for no table (77): whoever's lease has ended lets its counter go for good, and
 * another process has another name, so an older row serves nobody. The newer table is a second lock
 * on a door that is shut.
 */
import { type Mutant, mutant } from './mutant.js'

const AT = 'strategies/partitioned'

const planted = (
  id: string,
  what: string,
  why: string,
  edits: Parameters<typeof mutant>[3],
  style?: Mutant['style'],
): Mutant => ({ ...mutant(id, what, why, edits, style), strategy: 'partitioned' })

export const PARTITIONED: readonly Mutant[] = [
  planted(
    '35',
    'a lost partition is served as empty',
    'what was acknowledged is gone without a word',
    [
      [
        `${AT}/warden.ts`,
        "return { ...row, holder: '', life: '', lost: true }",
        "return { ...row, holder: '', life: '', history: '', heirs: [] }",
      ],
    ],
    'crashes',
  ),
  planted(
    '36',
    'an old owner drops its data before the new copies are whole',
    'a move is one failure away from a loss',
    [
      [`${AT}/plan.ts`, 'if (ready.length < desired.length) return\n', ''],
      [`${AT}/warden.ts`, 'if (fact.settled && !isSameSet(', 'if (!isSameSet('],
      [`${AT}/plan.ts`, 'fact === undefined || !fact.settled || row', 'fact === undefined || row'],
    ],
  ),
  planted(
    'p7',
    'a lease is granted before the one before it has ended',
    'two nodes serve a partition',
    [[`${AT}/warden.ts`, 'return this.now >= endsMs\n', 'return this.now >= endsMs - 1_000\n']],
    'pauses',
  ),
  planted(
    'p1',
    'a new master in office does not wait for what the last one gave',
    'two nodes serve a partition',
    [
      [
        `${AT}/warden.ts`,
        'Math.max((this.sinceMs ?? 0) + ENDS_MS, this.#ends.get(life) ?? 0)',
        'this.#ends.get(life) ?? 0',
      ],
    ],
    'splits',
  ),
  planted(
    'p2',
    'a grant counts before the control group has committed it',
    'it may never have been',
    [
      [`${AT}/office.ts`, 'type Row, rowCommand }', 'type Row, encodeRow, rowCommand }'],
      [
        `${AT}/office.ts`,
        'const proposals = rows.map(row => {',
        'const next = this.#router.control.census()?.next ?? 1\n' +
          'const early = rows.map((row, i) => ({ version: next + i, bytes: encodeRow(row) }))\n' +
          'this.onRows(this.#router.table.learn({ from: 1, next: 1, rows: early }))\n' +
          'const proposals = rows.map(row => {',
      ],
    ],
    'calm',
  ),
  planted(
    'p3',
    'an ack does not wait for the heirs',
    'whoever is granted the partition next may lack it',
    [
      [
        'strategies/master-slave/acks.ts',
        'if (leadsByCopies(s)) inSyncNext =',
        'if (s.now < 0) inSyncNext =',
      ],
    ],
    'splits',
  ),
  planted(
    'p4',
    'an heir is granted the partition whatever it has left',
    'a process without memory serves nothing where something was',
    [
      [
        `${AT}/warden.ts`,
        "row.heirs.includes(id) && fact?.data === 'ready' && fact.history === row.history",
        'row.heirs.includes(id) && fact !== undefined',
      ],
    ],
    'crashes',
  ),
  planted(
    'p5',
    'leases are given without the word of a majority',
    'a master that is cut off goes on granting',
    [
      [
        `${AT}/office.ts`,
        "if (this.#router.profile !== 'majority') return this.#answer(asked)",
        'if (this.#round === undefined) return this.#answer(asked)',
      ],
    ],
    'splits',
  ),
  planted(
    'p6',
    'a control group of three decides by a minority',
    'both sides of a split have a table',
    [[`${AT}/router.ts`, "env.members.length >= 3 ? 'majority' : 'ordinal'", "'ordinal'"]],
    'splits',
  ),
  planted(
    'p8',
    'a node counts its lease from the answer',
    'it is slow to end what others take for over',
    [
      [
        `${AT}/tenant.ts`,
        'asked + ttlMs * (1 - LEASE.marginShare))',
        'asked + ttlMs * (2 - LEASE.marginShare))',
      ],
    ],
    'splits',
  ),
  planted(
    'p9',
    'a partition is called lost before its heirs have spoken',
    'what somebody holds is thrown away',
    [
      [
        `${AT}/warden.ts`,
        'return this.#env.isDead(id, node?.life) || this.#isAway(id)',
        'return true',
      ],
    ],
    'splits',
  ),
  planted(
    'p14',
    'a machine without power is waited for, for ever',
    'its partitions are never called lost, and nobody may begin them anew',
    [[`${AT}/warden.ts`, ' || this.#isAway(id)', '']],
    'away',
  ),
  planted(
    'p15',
    'who comes back with its data stays lost',
    'what is there is not served',
    [
      [
        `${AT}/warden.ts`,
        'const next = free ? this.#pass(heard) : heard',
        'const next = free && !heard.lost ? this.#pass(heard) : heard',
      ],
    ],
    'away',
  ),
  planted(
    'p10',
    'moves are counted by nobody',
    'copies take the bandwidth of what is served',
    [[`${AT}/plan.ts`, "if ((moves.get('') ?? 0) >= MOVES.atOnce || ", 'if (MOVES.atOnce < 0 || ']],
    'crashes',
  ),
  planted(
    '36b',
    'an old owner leaves to make room for a new one',
    'while that one is copied there is a copy too few',
    [
      [
        `${AT}/plan.ts`,
        'if (missing !== undefined) return this.#invite(row, missing, moves)',
        'const idler = fact.members.find(id => !desired.includes(id) && id !== row.holder)\n' +
          'if (missing !== undefined && idler !== undefined)\n' +
          "  return this.#order(row, 'leave', idler)\n" +
          'if (missing !== undefined) return this.#invite(row, missing, moves)',
      ],
    ],
  ),
  planted('p11', 'a reset attempt proves a death', 'the process lives, and so does its lease', [
    [
      `${AT}/links.ts`,
      "if (loss === 'refused' && link === undefined)",
      "if ((loss === 'refused' || loss === 'reset') && link === undefined)",
    ],
  ]),
  planted(
    'p12',
    'an office is taken before the table holds its own log',
    'what was written before may yet be committed: one counter is granted twice',
    [[`${AT}/office.ts`, 'if (this.#router.table.known < this.#officeFrom) return\n', '']],
  ),
  planted(
    'p13',
    'who was welcomed as a stranger passes for linked when it joins',
    'it is never copied, and the move never ends',
    [
      [
        'strategies/master-slave/views.ts',
        'if (peer.left) sayMembers(s, effects)',
        'if (s.now < 0) sayMembers(s, effects)',
      ],
    ],
  ),
]
