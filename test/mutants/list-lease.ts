/**
 * Planted bugs in leases on mastership. Not here, because 60 seeds of whole clusters did not find
 * them: a lease that counts from its answer, no margins, and a store that came back believed that
 * nobody holds it, which the contenders of test/lease.test.ts find; and what was seen kept over a
 * way that was lost, which nothing has found.
 */
import { type Mutant, mutant, STRATEGY } from './mutant.js'

const LEASE = 'src/core/lease.ts'

const planted = (id: string, what: string, why: string, edits: Parameters<typeof mutant>[3]) =>
  mutant(id, what, why, edits, undefined, 'lease')

export const LEASES: readonly Mutant[] = [
  planted(
    '66',
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
  ),
  planted('67', 'an epoch goes by what its node has seen alone', 'epochs go back', [
    [
      `${STRATEGY}/lease.ts`,
      'if (s.lease === undefined) return mintEpoch(',
      'if (s.now > 0) return mintEpoch(',
    ],
  ]),
  planted(
    '68',
    'a lease is taken as soon as it is wanted',
    'who is only cut off from the others takes it from a master that serves',
    [[LEASE, 'if (now >= freeAtMs) this.#take', 'if (now >= seen.sinceMs) this.#take']],
  ),
]
