/**
 * `npm run sim:model [-- --profile NAME] [--writes 2] [--crashes 2] [--splits 1] [--ticks 4]
 * [--messages 12] [--states 40000000] [--seconds 600]`: every order of events of three nodes, over
 * the same step function as production.
 */
import { parseArgs } from 'node:util'
import { isSafe, SUBJECTS } from './model/scope.js'
import { search } from './model/search.js'

const { values } = parseArgs({
  options: {
    profile: { type: 'string', default: 'majority' },
    writes: { type: 'string', default: '1' },
    crashes: { type: 'string', default: '1' },
    splits: { type: 'string', default: '0' },
    ticks: { type: 'string', default: '3' },
    messages: { type: 'string', default: '8' },
    states: { type: 'string', default: '20000000' },
    seconds: { type: 'string', default: '60' },
  },
})
const s = SUBJECTS[values.profile]
const f = search(s, {
  writes: +values.writes,
  crashes: +values.crashes,
  splits: +values.splits,
  ticks: +values.ticks,
  messages: +values.messages,
  statesMax: +values.states,
  msMax: 1000 * +values.seconds,
})
console.log(f.story.join('\n'))
const { story: _, ...rest } = f
console.log(JSON.stringify(rest), isSafe(s), Math.round(process.memoryUsage().rss / 1e6))
