/** Planted bugs that profile ordinal can have, and most of them every other profile, too. */
import { type Mutant, mutant, STRATEGY } from './mutant.js'

export const ORDINAL: readonly Mutant[] = [
  mutant(
    '1',
    'no fence check on append',
    'a deposed master goes on writing into logs that have promised another',
    [
      [
        `${STRATEGY}/slave.ts`,
        'if (compareEpochs(epoch, s.promised) >= 0) return false',
        'if (epoch !== undefined) return false',
      ],
    ],
    'deposed',
  ),
  mutant(
    '5',
    'promote without pulling the best log',
    'the lowest ordinal leads with less than another slave has acknowledged',
    [
      [
        `${STRATEGY}/promotion.ts`,
        'if (best === undefined) return becomeMaster(s, effects, candidacy)',
        'if (best !== null) return becomeMaster(s, effects, candidacy)',
      ],
    ],
    'laggards',
  ),
  mutant(
    '7',
    'best log by length instead of (last epoch, last offset)',
    'the long log of a deposed master wins over the shorter one of its successor',
    [
      [
        'src/core/epochs.ts',
        'return order !== 0 ? order > 0 : next > otherNext',
        'return order === order && next > otherNext',
      ],
    ],
  ),
  mutant(
    '11',
    'epoch without incarnation',
    'a node that restarts without memory mints an epoch that it has led before',
    [
      [
        'src/core/epochs.ts',
        '+ ordinal, incarnation }',
        "+ ordinal, incarnation: incarnation.replace(/./g, '0') }",
      ],
    ],
    'crashes',
  ),
  mutant(
    '12',
    'a hint alone starts a promotion',
    'any client can depose a healthy master',
    [
      [
        `${STRATEGY}/suspicion.ts`,
        's.hints.shortenedTo = Math.min(limit, Math.max(TIMES.hintSilenceMsMin, half))',
        's.hints.shortenedTo = half * 0',
      ],
    ],
    'stalls',
  ),
  mutant(
    '13',
    'suspicion not stretched by own delay',
    'a slave that was busy itself takes its master for dead',
    [
      [
        `${STRATEGY}/suspicion.ts`,
        'return Math.min(limit * STRETCH_MAX, limit + late)',
        'return Math.min(limit * STRETCH_MAX, limit + late * 0)',
      ],
    ],
    'stalls',
  ),
  mutant(
    '14',
    'old epoch resumed after a failed handover',
    'the target may lead already, and both would acknowledge',
    [
      [
        `${STRATEGY}/handover.ts`,
        "if (phase === 'sent') startPromotion(s, effects, { doubted: target })",
        "if (phase === 'ask') startPromotion(s, effects, { doubted: target })",
      ],
    ],
    'handovers',
  ),
  mutant(
    '14b',
    'writes are taken while mastership is given away',
    'the target leads without what the old master acknowledged last',
    [[`${STRATEGY}/index.ts`, 'if (!holdsWrites(s)) return', 'if (s.view > 0) return']],
    'handovers',
  ),
  mutant(
    '16',
    'append without the check of previous',
    'entries are appended to a log that they do not continue',
    [
      [
        `${STRATEGY}/slave.ts`,
        'compareEpochs(m.previous, s.lastEpoch) !== 0',
        'm.previous === undefined',
      ],
      [`${STRATEGY}/slave.ts`, 'if (!continuesChain(batch, s.crc)) {', 'if (batch === null) {'],
      [
        `${STRATEGY}/copy.ts`,
        'return commonPoint(s.starts, s.next, m.starts, m.next)',
        'return Math.min(s.next, m.next)',
      ],
    ],
    'deposed',
  ),
  mutant(
    '17',
    'frame of a stale session accepted',
    'what an earlier life of a slave had said counts for the new one',
    [
      [
        `${STRATEGY}/index.ts`,
        'changes nothing (S4).\n' +
          '    if (peer === undefined || peer.session !== input.session) return',
        'changes nothing.\n    if (peer === undefined) return',
      ],
    ],
    'suite',
  ),
  mutant(
    '18',
    'entry sent before the record it touches first',
    'a copying slave decides conditions on records that it does not have yet',
    [
      [
        'src/store/apply.ts',
        'for (const walk of walks.values()) walk.touchRecord(cache.region, slot, applied)',
        'for (const walk of walks.values()) if (slot < -1) walk.touchRecord(cache.region, 0, 0)',
      ],
    ],
    'resync',
  ),
  mutant('21', '`clear` without a floor', 'a copy brings back what was cleared while it was made', [
    [
      'src/store/walk.ts',
      'if (part.cache.region !== region) part.next = bound',
      'if (part.cache.region === undefined) part.next = bound',
    ],
  ]),
  mutant(
    '22',
    'windows left out of a snapshot',
    'a retry is refused, or done again, by a node that was copied',
    [['src/store/walk.ts', 'this.#windows = new Set(windows)', 'this.#windows = new Set()']],
    'resync',
  ),
  mutant(
    '23',
    'no duplicate check at apply',
    'a retry has a second effect',
    [['src/store/apply.ts', 'if (known !== FRESH) {', 'if (known === OUTSIDE) {']],
    'crashes',
  ),
  mutant(
    '26',
    'a node drops expired records by itself',
    'what is read on one node differs from what the others hold',
    [
      [
        'src/store/records.ts',
        'if (slot < 0 || region.expired(slot, time)) return undefined\n' +
          '    return region.record(slot)',
        'if (slot < 0) return undefined\n    if (region.expired(slot, time)) {\n' +
          '      region.remove(slot)\n      return undefined\n    }\n' +
          '    return region.record(slot)',
      ],
    ],
    'calm',
  ),
  mutant(
    '27',
    'expiry by the local wall clock',
    'an operator sets the clock, and sessions die',
    [
      [
        'src/core/cluster-time.ts',
        'this.time += passed + Math.max(-SLEW * passed, Math.min(SLEW * passed, error))',
        'this.time = Math.max(this.time, wall + 0 * (error + SLEW))',
      ],
    ],
    'clocks',
  ),
  mutant(
    '31',
    'in-sync set shrinks below `inSyncMin` silently',
    'a write is acknowledged with fewer copies than promised',
    [
      [
        `${STRATEGY}/in-sync.ts`,
        'if (left < s.inSyncMin && s.waiting?.waitsInSync()) continue',
        'if (left < 0) continue',
      ],
      [`${STRATEGY}/acks.ts`, 'inSync >= s.inSyncMin', 'inSync >= 1'],
    ],
    'deposed',
  ),
  mutant(
    '41',
    'the losing side of a split is copied over without a merge',
    'what it acknowledged alone is gone',
    [[`${STRATEGY}/copy.ts`, 'if (mergeFirst(s, effects, peer, m, common)) return', '']],
    'splits',
  ),
  mutant(
    '42',
    'a merge keeps the master`s state of keys that the losing side alone wrote',
    'what the losing side acknowledged alone is gone',
    [
      [
        'src/engine/merge-decide.ts',
        "isConflict ? this.#choose(cache, key, mine, theirs) : 'theirs'",
        "isConflict ? this.#choose(cache, key, mine, theirs) : 'mine'",
      ],
    ],
  ),
  mutant(
    '57',
    'a loser says nothing of what it loses',
    'operators never hear that a split cost them writes',
    [
      [
        `${STRATEGY}/slave.ts`,
        '  if (entries > 0)\n    effects.report(',
        '  if (entries < 0)\n    effects.report(',
      ],
    ],
  ),
  mutant(
    '58',
    'no doubt after a pause',
    'a master that slept while another was chosen reads its clients the past',
    [
      [
        `${STRATEGY}/index.ts`,
        'if (jumped && s.peers.size > 0) doubt(s, effects)',
        'if (jumped && s.peers.size < 0) doubt(s, effects)',
      ],
    ],
    'pauses',
    'ordinal',
  ),
  mutant(
    '58b',
    'a slave that was stopped suspects at once',
    'it deposes a master that lives, and leads without what was written while it slept',
    [
      [
        `${STRATEGY}/suspicion.ts`,
        'return s.now - s.wokeAt <= s.settings.suspectAfterMs',
        'return s.now - s.wokeAt < 0',
      ],
    ],
    'suite',
  ),
  mutant('32', "copying slave's ack counted", 'half a copy passes for a copy', [
    [
      `${STRATEGY}/slave.ts`,
      'const next = s.copying === undefined ? s.next : 1',
      'const next = s.next',
    ],
    [
      `${STRATEGY}/master.ts`,
      "if (progress.state === 'copy') return advanceCopy(s, effects, peer)",
      "if (progress.state === 'copy') {\n    progress.acked = message.next\n" +
        '    s.waiting?.settle(s, effects)\n    return advanceCopy(s, effects, peer)\n  }',
    ],
    [
      `${STRATEGY}/acks.ts`,
      "if (progress === undefined || progress.state === 'copy') continue",
      'if (progress === undefined) continue',
    ],
  ]),
  mutant(
    '38',
    "a slave answers without the entry of the reader's token",
    'a client reads past its own write',
    [
      [
        'src/engine/request-reads.ts',
        "else if (place === 'here' && position.offset >= env.applied()) waits = true",
        'else if (position.offset < 0) waits = true',
      ],
      [
        `${STRATEGY}/reads.ts`,
        "if (offset >= end) return newest ? 'ahead' : 'lost'",
        "if (offset >= end) return newest ? 'here' : 'lost'",
      ],
    ],
    'laggards',
  ),
  mutant(
    '39',
    "a token's epoch is not looked for in the log",
    'what a divergence lost is never missed',
    [
      [
        `${STRATEGY}/reads.ts`,
        "if (order < 0) return newest ? 'ahead' : 'lost'",
        "if (order < 0) return 'here'",
      ],
    ],
    'deposed',
  ),
]
