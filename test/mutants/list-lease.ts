/** Planted bugs in leases on mastership: margins, clocks, stores that forget, counters. */
import { type Mutant, mutant, STRATEGY } from './mutant.js'

const LEASE = 'src/core/lease.ts'

const planted = (
  id: string,
  what: string,
  why: string,
  edits: Parameters<typeof mutant>[3],
  style?: Mutant['style'],
) => mutant(id, what, why, edits, style, 'lease')

export const LEASES: readonly Mutant[] = [
  planted('66', 'a lease counts from its answer', 'a late answer prolongs what others may take', [
    [
      LEASE,
      'const untilMs = this.#untilMs(record)\n',
      'const untilMs = now + this.#ttlMs * (1 - LEASE.marginShare)\n',
    ],
  ]),
  planted('67', 'neither side keeps a margin', 'clocks that drift make two holders', [
    [LEASE, 'askedMs + this.#ttlMs * (1 - LEASE.marginShare)', 'askedMs + this.#ttlMs'],
    [LEASE, 'sinceMs + ttlMs * (1 + LEASE.marginShare)', 'sinceMs + ttlMs'],
  ]),
  planted(
    '68',
    'a holder does not look at its clock',
    'whose way to the store is cut leads on beside its heir',
    [
      [LEASE, 'now >= this.#held.untilMs) this.#lose()', 'now < 0) this.#lose()'],
      [
        `${STRATEGY}/lease.ts`,
        'return lease === undefined || now < lease.untilMs\n',
        'return lease === undefined || (now >= 0 && lease.untilMs > 0)\n',
      ],
      [
        `${STRATEGY}/index.ts`,
        'this.actsUntil = () => lease.untilMs\n',
        'this.actsUntil = () => Number.POSITIVE_INFINITY\n',
      ],
    ],
    'deposed',
  ),
  planted('69', 'what a store says that came back is new to nobody', 'it may name an old holder', [
    [LEASE, '    this.#seen = undefined\n    this.#readAtMs', '    this.#readAtMs'],
  ]),
  planted(
    '70',
    'a store that came back is believed that nobody holds it',
    'it may have forgotten',
    [
      [
        LEASE,
        "if (record?.holder === '' && !first) return sinceMs\n",
        "if (record === undefined || record.holder === '') return sinceMs\n",
      ],
    ],
  ),
  planted('71', 'an epoch goes by what its node has seen alone', 'epochs go back', [
    [
      `${STRATEGY}/lease.ts`,
      'if (s.lease === undefined) return mintEpoch(',
      'if (s.now > 0) return mintEpoch(',
    ],
  ]),
  planted(
    '72',
    'a lease is taken as soon as it is wanted',
    'who is only cut off from the others takes it from a master that serves',
    [[LEASE, 'if (now >= freeAtMs) this.#take', 'if (now >= seen.sinceMs) this.#take']],
    'splits',
  ),
]
