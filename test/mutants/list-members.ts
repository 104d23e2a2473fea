/** Planted bugs about who belongs to the cluster. */
import { type Mutant, mutant, STRATEGY } from './mutant.js'

export const MEMBERS: readonly Mutant[] = [
  mutant(
    '56',
    'what others tell of a newer view is passed over',
    'a newcomer that replays older views ends the very links that bring the newer ones',
    [[`${STRATEGY}/views.ts`, 's.told.number > currentView(s).number', 's.told.number < 0']],
  ),
  mutant(
    '57',
    'who reads that it has left ends its links at once',
    'that entry may be lost with its master, and then a member answers nobody',
    [['src/engine/engine.ts', 'if (isMember) this.#links', 'this.#links']],
    undefined,
    'strict',
  ),
  mutant(
    '58',
    'where one vote is enough, whoever leads is followed',
    'one that was let go while it was cut off leads alone, and lacks what was acknowledged since',
    [
      [
        `${STRATEGY}/slave.ts`,
        "return s.data === 'ready' && s.voter && (peer.learner || peer.left)",
        'return false',
      ],
    ],
    undefined,
    'strict',
  ),
]
