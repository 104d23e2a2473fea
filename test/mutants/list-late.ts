/** Planted bugs in what the profiles strict and majority add: entries that count late, votes,
 *  witnesses, amnesiacs, linearizable reads; and in windows and conditions, which they show. */
import { type Mutant, mutant, STRATEGY } from './mutant.js'

export const LATE: readonly Mutant[] = [
  mutant(
    '3',
    'a slave cuts its log to the commit offset when it meets a master',
    'what it has acked and a master counted is gone for as long as the next sync takes',
    [
      [
        `${STRATEGY}/slave.ts`,
        "if (s.master === undefined || s.role !== 'slave') return\n  s.synced = false",
        "if (s.master === undefined || s.role !== 'slave') return\n" +
          '  if (s.commitsLate && s.next > s.commit) s.truncate(effects, s.commit)\n' +
          '  s.synced = false',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '4',
    'entries are applied before they are committed',
    'a reader sees what a new master will replace',
    [
      [
        `${STRATEGY}/state.ts`,
        'if (!this.commitsLate || until < Number.MAX_SAFE_INTEGER) this.commitTo',
        'if (until > 0) this.commitTo',
      ],
    ],
    'deposed',
    'majority',
  ),
  mutant(
    '6',
    'no entry of the own epoch; old entries are committed by count',
    'what a majority held may still be replaced (Raft, figure 8)',
    [
      [
        `${STRATEGY}/promotion.ts`,
        '  appendNoop(s, effects)\n  feedWitnesses(s, effects)',
        '  if (s.next === 1) appendNoop(s, effects)\n  feedWitnesses(s, effects)',
      ],
      [
        `${STRATEGY}/quorum.ts`,
        'if (reached > s.epochFirst) s.commitTo',
        'if (reached > 0) s.commitTo',
      ],
      [
        `${STRATEGY}/quorum.ts`,
        'return !s.commitsLate || s.commit > s.epochFirst',
        'return s.next > 1',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '8',
    'a witness promises before its promise is on disk',
    'it comes back and votes for the one that it has helped to depose',
    [
      [
        `${STRATEGY}/witness-memory.ts`,
        'if (this.voter) this.#save(effects)',
        'if (epoch.number < 0) this.#save(effects)',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '9',
    'the promise of a process without memory counts',
    'it has forgotten what it acked, so a log without that may lead',
    [
      [
        `${STRATEGY}/promotion.ts`,
        'if (knows && promise.history === s.history) votes++',
        'if (promise.epoch.number > 0) votes++',
      ],
      [
        `${STRATEGY}/suspicion.ts`,
        'if (counts(s, peer) || (unknown && isVoter(peer))) heard++',
        'heard++',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '10',
    'an amnesiac is readmitted by the master alone',
    'a deposed master makes itself a majority of those who have forgotten that it is',
    [
      [
        `${STRATEGY}/quorum.ts`,
        'const readmits = Math.max(1, Math.min(voters - 1, meet))',
        'const readmits = Math.min(1, Math.max(voters - 1, meet))',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '15',
    'a witness promises to an older log',
    'what the master and it had committed is gone',
    [[`${STRATEGY}/witness.ts`, 'if (hears || stale || foreign', 'if (hears || foreign']],
    undefined,
    'majority',
  ),
  mutant(
    '19',
    'a touch does not move `changed`',
    'an expiry that was proposed before it takes the touched record away',
    [
      [
        'src/store/apply.ts',
        'page.stamp(at, this.#version, offset)',
        'page.stamp(at, this.#version, page.changed(at))',
      ],
    ],
    'stalls',
    'strict',
  ),
  mutant('24', 'a closed window is opened anew for a retry', 'a retry has a second effect', [
    [
      'src/store/apply.ts',
      "const window = this.#window\n    if (window === undefined) return 'expired'",
      'const window = this.#window ?? new Window(client.id, client.lowest, offset, this.#time)\n' +
        '    this.#state.windows.set(client.id, window)\n    this.#window = window',
    ],
  ]),
  mutant(
    '25',
    'a condition is decided at propose',
    'two writers meet the same absence, and both succeed',
    [
      [
        'src/engine/requests.ts',
        '    const crowded = end - start > LIMITS.largeValueBytes && link.calls > 0\n',
        '    const flags = frame[start + 1]\n' +
          '    if (op === OP.set && (flags & 3) !== 0) {\n' +
          '      const name = this.#names.read(reader, nameAt, nameBytes)\n' +
          '      reader.at = nameAt + nameBytes\n' +
          '      const key = reader.text16()\n' +
          '      const wanted = (flags & 1) !== 0 ? reader.f64() : 0\n' +
          '      const version = this.#env.store.get(name, key, this.#time)?.version ?? 0\n' +
          "      const other = version === 0 ? 'NOT_FOUND' : 'VERSION_MISMATCH'\n" +
          "      const code = (flags & 2) !== 0 ? 'ALREADY_EXISTS' : other\n" +
          '      if (version !== wanted) return this.#refuse(link, call, code, true)\n' +
          '    }\n' +
          '    const crowded = end - start > LIMITS.largeValueBytes && link.calls > 0\n',
      ],
      ['src/store/apply.ts', 'if (flags !== 0) {', 'if (flags < 0) {'],
    ],
    'calm',
    'majority',
  ),
  mutant(
    '28',
    'an out-of-touch master goes on answering, and no round is asked for',
    'a deposed master answers from its past',
    [
      [`${STRATEGY}/reads.ts`, 'if (echoed < s.quorum.promises) return', 'if (echoed < 0) return'],
      [
        `${STRATEGY}/master.ts`,
        'const inTouch = !s.commitsLate || countersHeard(s, touchMs) + 1 >= promisesWanted(s)',
        'const inTouch = countersHeard(s, TOUCH_MS) >= 0',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '43',
    'one copy too few commits',
    'a majority that promises need not hold what was acknowledged',
    [
      [
        `${STRATEGY}/quorum.ts`,
        "const copies = profile === 'majority' ? majority :",
        "const copies = profile === 'majority' ? majority - 1 :",
      ],
    ],
    'calm',
    'majority',
  ),
  mutant(
    '44',
    'one promise too few elects',
    'a candidate leads without one of those who hold what was acknowledged',
    [
      [
        `${STRATEGY}/quorum.ts`,
        "const promises = profile === 'majority' ? majority : 1",
        "const promises = profile === 'majority' ? majority - 1 : 1",
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '45',
    'strict commits what all but one hold',
    'the one that lacks it may lead by its own promise',
    [
      [
        `${STRATEGY}/quorum.ts`,
        "profile === 'strict' ? voters : 1",
        "profile === 'strict' ? Math.max(1, voters - 1) : 1",
      ],
    ],
    'calm',
    'strict',
  ),
  mutant(
    '46',
    'acks of a process without memory count',
    'it has forgotten what it promised, so a deposed master acknowledges',
    [
      [
        `${STRATEGY}/quorum.ts`,
        'return !peer.learner && !peer.left && (!s.commitsLate || remembers(s, peer))',
        'return !peer.learner && !peer.left && peer.id !== s.env.self',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '47',
    'an append tells slaves that all of it is committed',
    'they apply what a new master will replace',
    [
      [
        `${STRATEGY}/feed.ts`,
        "return { type: 'append', epoch, previous, time: s.clock.time, commit, batches }",
        'const end = Math.max(commit, batches[batches.length - 1].next)\n' +
          "  return { type: 'append', epoch, previous, time: s.clock.time, commit: end, batches }",
      ],
    ],
    'deposed',
    'majority',
  ),
  mutant(
    '48',
    'the charter goes by id instead of incarnation',
    'a founder that came back without memory votes at once',
    [
      [
        `${STRATEGY}/admission.ts`,
        's.charter.get(peer.id) === peer.process',
        's.charter.has(peer.id)',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '49',
    'a promise is given and not kept',
    'its giver goes on acking for the master that it has helped to depose',
    [
      [
        `${STRATEGY}/promotion.ts`,
        's.promise(effects, m.epoch, peer)\n  const voter',
        's.see(m.epoch)\n  const voter',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '50',
    'a history begins though a member is absent',
    'the absent one holds what was acknowledged, and two histories never agree',
    [[`${STRATEGY}/bootstrap.ts`, 'if (patient || s.commitsLate) return', 'if (patient) return']],
    undefined,
    'majority',
  ),
  mutant(
    '51',
    'a copy is said to hold entries that are not committed',
    'the copied node lacks what lay between',
    [[`${STRATEGY}/copy.ts`, 'const at = s.commit\n', 'const at = s.next\n']],
    'resync',
    'majority',
  ),
  mutant(
    '52',
    'a slave counts as fresh when a heartbeat arrives',
    'what waited in a slow link passes for new',
    [
      [
        `${STRATEGY}/reads.ts`,
        'm.stamp < 0 || m.stamp > s.now ? undefined : { at: m.stamp, next',
        '{ at: s.now, next',
      ],
    ],
  ),
  mutant(
    '53',
    'an amnesiac votes before it has caught up',
    'what it once acked is not in its log, and it promises as if it were',
    [
      [
        `${STRATEGY}/copy.ts`,
        'const voter = (peer.voter && !isReplaced(s, peer)) || isChartered(s, peer)',
        'const voter = true',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '54',
    'the promise of a voter that is copied does not count',
    'one crash during a copy, and nobody leads though one node holds everything',
    [
      [
        `${STRATEGY}/promotion.ts`,
        "const knows = promise.voter || (promise.data === 'ready' && remembers(s, peer))",
        "const knows = promise.data === 'ready' && (promise.voter || remembers(s, peer))",
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '55',
    'the promise of any empty process counts like one of the charter',
    'it may have forgotten what it acked',
    [
      [
        `${STRATEGY}/promotion.ts`,
        "promise.history === '' && isChartered(s, peer)",
        "promise.history === ''",
      ],
      [
        `${STRATEGY}/suspicion.ts`,
        'if (counts(s, peer) || (unknown && isVoter(peer))) heard++',
        'heard++',
      ],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '69',
    'a sync that the network says twice is believed again',
    'its copy drops what was acked since: with two copies at once only one log is left',
    [
      [`${STRATEGY}/copy.ts`, 'if (progress.heard && m.feed < progress.feed) return true', ''],
      [`${STRATEGY}/copy.ts`, 'return isWhole && m.next < progress.acked', 'return false'],
    ],
    undefined,
    'majority',
  ),
  mutant(
    '70',
    'a slave takes back what it acked for an older reply',
    'a copy that was counted is gone, and every later sync is taken for a repeat',
    [
      [
        `${STRATEGY}/slave.ts`,
        's.commitsLate && m.from >= Math.max(s.commit, s.acked)',
        's.commitsLate && m.from >= s.commit',
      ],
    ],
    undefined,
    'strict',
  ),
  mutant(
    '71',
    'a view names the process of a slave that has not said which one it is',
    'it names nobody then, and a process that was replaced counts again',
    [[`${STRATEGY}/admission.ts`, "if (!peer.witness && peer.process === '') continue\n", '']],
    undefined,
    'strict',
  ),
  mutant(
    '72',
    'what held a master up excuses those that it does not hear, again and again',
    'behind a split it answers reads beside the master that acknowledges newer writes',
    [
      [
        `${STRATEGY}/quorum.ts`,
        's.now - peer.frameAt <= withinMs',
        's.now - peer.heardAt <= withinMs',
      ],
      [`${STRATEGY}/index.ts`, 'peer.frameAt + s.settings.suspectAfterMs', 'Infinity'],
    ],
    undefined,
    'majority',
  ),
]
