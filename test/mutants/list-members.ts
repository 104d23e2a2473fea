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
  mutant(
    '59',
    'a process without memory is admitted and not named',
    'the one that it replaced wakes, votes, and elects a master that lacks what was acknowledged',
    [
      [
        `${STRATEGY}/admission.ts`,
        'appendOwn(s, effects, naming(s, peer))',
        'appendNoop(s, effects)',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '60',
    'whom the view does not name counts by its own word',
    'as 59: it still thinks that it votes',
    [
      [
        `${STRATEGY}/views.ts`,
        "if (peer.witness || peer.incarnation === '') return false",
        'return false',
      ],
    ],
    undefined,
    'majority',
  ),
]
