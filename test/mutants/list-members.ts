/** Planted bugs about who belongs to the cluster. */
import { type Mutant, mutant, STRATEGY } from './mutant.js'

export const MEMBERS: readonly Mutant[] = [
  mutant(
    '56',
    'a learner is not made a voter',
    'it never counts, and no other change is possible any more',
    [
      [
        `${STRATEGY}/membership.ts`,
        'if (!peer.learner || peer.left || !hasCaughtUp(s, peer)) continue',
        'if (peer.learner || peer.left || !hasCaughtUp(s, peer)) continue',
      ],
    ],
  ),
]
