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
    'either side of a split says who is a member',
    'both sides leave each other out, and never find together',
    [
      [
        `${STRATEGY}/membership.ts`,
        'return heard.length >= majorityOf(voters.length)',
        'return heard.length >= Math.min(1, majorityOf(voters.length))',
      ],
    ],
    undefined,
    'ordinal',
  ),
  mutant(
    '60',
    'a view before an entry of the own epoch',
    'two masters change different voters of one view, and their quorums do not meet',
    [
      [
        `${STRATEGY}/membership.ts`,
        "const settled = s.settings.profile === 'strict' || (s.serving && ownEpochCommitted(s))",
        'const settled = s.commitsLate || (s.serving && ownEpochCommitted(s))',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '61',
    'a view while another one is open',
    'two changes at once: the quorums of the first and the last need not meet',
    [
      [
        `${STRATEGY}/membership.ts`,
        'if (openView(s) !== undefined || s.handover !== undefined)',
        'if (s.handover !== undefined)',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '62',
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
    '63',
    'whom the view does not name counts by its own word',
    'as 62: it still thinks that it votes',
    [
      [
        `${STRATEGY}/views.ts`,
        "if (!s.commitsLate || peer.witness || peer.incarnation === '') return false",
        'return false',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '64',
    'the charter outlives the process that took its place',
    'the founder that named another one neither names the first nor asks for its proof, for ever',
    [
      [
        `${STRATEGY}/admission.ts`,
        "peer.process !== '' && peer.incarnation === '' && s.charter",
        "peer.process !== '' && s.charter",
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '65',
    'as 64, but named it counts without a proof; and a master that is cut off names',
    'the first process and the deposed founder acknowledge beside those who have another master',
    [
      [
        `${STRATEGY}/admission.ts`,
        "peer.process !== '' && peer.incarnation === '' && s.charter",
        "peer.process !== '' && !isReplaced(s, peer) && s.charter",
      ],
      [
        `${STRATEGY}/admission.ts`,
        'if (own + countersHeard(s, s.settings.heardWithinMs) < s.quorum.readmits) return false',
        'if (own >= 0) return true',
      ],
    ],
    undefined,
    'majority',
  ),
]
