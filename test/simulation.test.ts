/**
 * The simulator in `npm test`: as many seeds as fit into their time, up to 500 of 120 virtual
 * seconds, the first 20 of each twice; and the quick planted bugs, which must all be found.
 */
import { describe, expect, test } from 'vitest'
import { simulate } from '../src/testing/simulation.js'
import { drawOptions, type SimulatedProfile, type Style } from '../src/testing/swarm.js'
import { quickOnesAreFound } from './harness/planted-bugs.js'
import { projectRoot } from './harness/project-root.js'
import { seedsWithin } from './harness/seeds-within.js'
import { MUTANTS } from './mutants/list.js'
import { mutate } from './mutants/run.js'
import { envOf, explain } from './sim.js'

const BUDGET = { seedsMax: 500, budgetMs: 110_000, piece: 10 }
const LEASE_SEEDS = 36

describe('simulation', () => {
  test('no law breaks, whatever befalls the cluster', { timeout: 200_000 }, async () => {
    const { tally, broken } = await seedsWithin(BUDGET, ['--seconds', '120', '--twice'])
    const { seeds, simulatedHours } = tally
    process.stdout.write(`simulation: ${seeds} seeds, ${simulatedHours.toFixed(1)} hours\n`)
    expect(broken).toEqual([])
    expect(seeds).toBeGreaterThan(BUDGET.piece)
  })
})

describe('leases', () => {
  test('no two nodes act as master, whatever befalls them and the store', {
    timeout: 200_000,
  }, () => {
    let failovers = 0
    const failures: string[] = []
    for (let seed = 1; seed <= LEASE_SEEDS; seed++) {
      const options = drawOptions(seed, 60, undefined, 'lease')
      const result = simulate(options, envOf('lease'))
      failovers += result.failovers
      if (result.violation !== undefined) failures.push(explain(options, result))
    }
    expect(failures).toEqual([])
    expect(failovers).toBeGreaterThan(LEASE_SEEDS)
  })
})

describe('seeds that broke a law once', () => {
  test.each<[SimulatedProfile, number, number, string, Style?]>([
    // What a slave says of itself was lost alone, and only its sync told who it is: one that had to
    // be readmitted waited for that word for ever.
    ['strict', 1_142, 60, 'I18, who was heard by its sync alone holds back nobody'],
    // A process was named in a view that was forgotten since, and the next one, which named it
    // again, was newer than its log: its vote was taken for one from before it was named, for ever.
    ['majority', 1_607, 120, 'I18, a name counts from the view that gave it first'],
    // A link behind wrote 27 KiB at once: at 1 byte a ms nothing of it arrived before all had left.
    ['ordinal', 936, 120, 'I12, a slow stream brings frame after frame'],
    // 64 KiB were on their way at 1 byte a ms when all faults ended: for 20 s nothing passed them.
    // What a client had written that died 70 s before came then, and lived from then on (I13).
    ['ordinal', 5_804, 120, 'I12, a slow stream is quick once the network is'],
    // One promised a, which waited 600 ms for d and e, then d, which led and acknowledged: a took
    // over by the old promise, without what was acknowledged.
    ['ordinal', 8_588, 60, 'I6, who promised another tells the one before'],
    // Ten handovers between two reads: what was seen first had been forgotten as too much.
    ['ordinal', 7_871, 120, 'I11, a reader remembers more epochs than a bad day has'],
    // A slave so slow that 2,000 entries waited for it: what is not committed stays in the log.
    ['strict', 9_253, 120, 'I14, only what is applied leaves a log'],
    // The master's first word on a link was lost alone: its slave took it for a process that
    // another one had replaced, and did not follow.
    // And since acks leave before entries are applied: on a new link a master named no process of
    // its slave where it had named one, and the one before, which had been stopped, counted again.
    ['strict', 4_957, 120, 'I18, who never said who it is is met anew'],
    // Two sides changed the members from one view, and the operator stopped one that belonged.
    ['ordinal', 5_918, 120, 'I18, a view is in force that most hold'],
    // A master was told of a member by the side that it deposed, and counted it among its own.
    ['ordinal', 6_357, 120, 'I18, a deposed side says nothing of who belongs'],
    // And passed it over where what it is told is committed.
    ['strict', 1_950, 120, 'I18, what is committed says who belongs, whoever leads'],
    // No lease was to be had for seconds; the fast clock of one ran ahead, then a slow one led.
    ['lease', 21, 120, 'I15, clocks part while nobody leads'],
    // One that was let go while it was cut off took the lease by its old list of members, and those
    // whom it won over acknowledged with it.
    ['lease', 29, 120, 'I6, who was let go does not get the lease'],
    // One of two was down for 85 s, and strict has no master then: cluster time rested for so long.
    ['strict', 5_661, 120, 'I13, nothing expires while nobody leads'],
    // What half a copy asks for was passed over as repeated, and it was counted as whole.
    ['strict', 5_781, 120, 'I4, who is half copied may say so'],
    // A sync was said twice, and the second reply dropped what was acked under the first.
    ['strict', 60_069, 60, 'I18, what was acked is not taken back'],
    // A view named a newcomer before its address was known, and the simulated clients dialled
    // nowhere for ever, while it led.
    ['majority', 7_183, 120, 'I18, who has said no address is not dialled'],
    // Copies that lost frames had put the next one off for 8 s, into the time of a whole network.
    ['ordinal', 2_930, 120, 'I18, a copy is put off for 2 s at most'],
    // The network said an old sync again: its slave was copied anew, and dropped for it what it had
    // acked since. The other slave was being copied, too; then the master lost its memory.
    ['majority', 58, 60, 'I18, a sync that is older than an ack asks for nothing', 'everything'],
    ['majority', 76, 60, 'I18, the same, where nobody else had crashed', 'everything'],
    // The same of a sync from before it had any data, though it had acked 43 entries since.
    ['majority', 1_322, 60, 'I18, a sync that names an older feed asks for nothing', 'echoes'],
    // A split, and both sides changed their members. A slave was told of the side that had won, and
    // the heartbeat of its deposed master, which knew nothing of it, made it forget that.
    ['ordinal', 74, 120, 'I18, a deposed master knows nothing of a later view', 'membership'],
    // The side of the lower epoch had the higher view: it was never told where the master is.
    ['ordinal', 102, 120, 'I18, the higher epoch says whom to join', 'membership'],
    // Three that looked for a master had said who they are before the others followed it.
    [
      'ordinal',
      390,
      120,
      'I18, who looks for a master is told by those that hear it',
      'membership',
    ],
    // A deposed side took over with a newcomer; who refuses it as a stranger is out of its reach.
    ['ordinal', 177, 120, 'I6, strangers do not reach each other', 'membership'],
    // Of the sides that were left, an operator kept the one of a node that had been let go.
    ['ordinal', 1_947, 120, 'I6, one alone that looks for a master says nothing', 'membership'],
  ])('%s %i, %i s: %s', (profile, seed, seconds, _law, style) => {
    const options = drawOptions(seed, seconds, style, profile)
    expect(simulate(options, envOf(profile)).violation).toBe(undefined)
  })
})

describe('planted bugs', () => {
  test('every planted bug loads: its source stands there exactly once', () => {
    for (const mutant of MUTANTS) expect(mutate(projectRoot(), mutant).size).toBeGreaterThan(0)
    const mutant = MUTANTS[0]
    const edit = { ...mutant.edits[0], find: 'no such line' }
    expect(() => mutate(projectRoot(), { ...mutant, edits: [edit] })).toThrow('found 0 times')
  })

  // Those of other strategies are sought where their seeds are.
  const own = MUTANTS.filter(({ strategy }) => strategy === undefined)
  quickOnesAreFound(own, { least: 10, seconds: 40 })
})
