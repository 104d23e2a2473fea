/**
 * Breadth first through every state within the bounds, so that what is found first is a shortest
 * way to break a law; it is told as a list of actions.
 */
import type { Message } from '../../strategies/master-slave/messages.js'
import { nameOfMessage } from './names.js'
import { DOWN, Queues, UP } from './queues.js'
import { actionOf, type Bounds, IDS, KINDS, NODES, type Subject } from './scope.js'
import { settle } from './start.js'
import { Steps } from './steps.js'
import { Store } from './store.js'
import { link, type Row, rowOf, World } from './world.js'

export interface Found {
  readonly states: number
  /** Actions from the start to the farthest state whose steps were all tried. */
  readonly depth: number
  /** True if no state within the bounds is left; else `stoppedBy` names what ended it. */
  readonly exhausted: boolean
  readonly stoppedBy: 'states' | 'time' | 'violation' | ''
  /** Steps not taken because too many messages would have been in flight. */
  readonly refused: number
  /** Different lives of single nodes, and different messages. */
  readonly lives: number
  readonly messagesMet: number
  readonly broken: string | undefined
  /** How, one line an action. */
  readonly story: readonly string[]
  readonly ms: number
}

const CHECK_EVERY = 4_096

export function search(subject: Subject, bounds: Bounds): Found {
  const began = performance.now()
  const steps = new Steps(subject)
  const queues = new Queues()
  const world = new World(steps, queues, bounds)
  const store = new Store()
  const lives = settle(subject, steps)
  let row = rowOf(lives.lives, lives.past, bounds)
  store.add(row, -1, 0)
  for (const action of subject.opening ?? []) {
    row = take(world, row, action)
    store.add(row, store.size - 1, action)
  }
  let broken: { what: string; parent: number; action: number } | undefined
  let at = store.size - 1
  let depth = at
  let levelEnd = store.size
  let stoppedBy: Found['stoppedBy'] = ''
  for (; at < store.size && broken === undefined; at++) {
    if (at === levelEnd) {
      depth++
      levelEnd = store.size
    }
    if (at % CHECK_EVERY === 0) {
      if (performance.now() - began > bounds.msMax) stoppedBy = 'time'
      if (store.size > bounds.statesMax) stoppedBy = 'states'
      if (stoppedBy !== '') break
    }
    world.successors(store.row(at), (action, next, what) => {
      if (what !== undefined) broken ??= { what, parent: at, action }
      else store.add(next, at, action)
    })
  }
  if (broken !== undefined) stoppedBy = 'violation'
  return {
    states: store.size,
    depth,
    exhausted: stoppedBy === '',
    stoppedBy,
    refused: world.refused,
    lives: steps.lives.length,
    messagesMet: steps.messages.length,
    broken: broken?.what,
    story: broken === undefined ? [] : tell(store, steps, queues, broken.parent, broken.action),
    ms: Math.round(performance.now() - began),
  }
}

/** The one step that must be possible. */
function take(world: World, row: Row, action: number): Row {
  let found: Row | undefined
  world.successors(row, (taken, next) => {
    if (taken === action) found = next.slice()
  })
  if (found === undefined) throw new Error('the opening cannot be played')
  return found
}

function tell(
  store: Store,
  steps: Steps,
  queues: Queues,
  parent: number,
  action: number,
): string[] {
  const lines: string[] = []
  let taken = action
  for (let at = parent; at >= 0; at = store.parent(at)) {
    lines.push(line(store.row(at), taken, steps, queues))
    taken = store.action(at)
  }
  return lines.reverse().map((text, i) => `${i + 1}. ${text}`)
}

function line(row: Row, action: number, steps: Steps, queues: Queues): string {
  const from = action % NODES
  const to = Math.floor(action / NODES) % NODES
  const kind = KINDS[Math.floor(action / NODES / NODES)]
  if (action === actionOf('mend')) return 'the split is mended'
  if (kind === 'isolate') return `${IDS[to]} is cut off from both others`
  if (kind === 'tick') return `time passes on ${IDS[to]}`
  if (kind === 'write') return `${IDS[to]} takes a write`
  if (kind === 'crash') return `${IDS[to]} crashes and restarts without memory`
  const item = kind === 'lose' ? DOWN : queues.get(row[link(from, to)]).head
  const way = `${IDS[from]} -> ${IDS[to]}`
  if (item === DOWN) return `${way}: the link is down${kind === 'lose' ? ', the rest is lost' : ''}`
  return item === UP ? `${way}: the link is up` : `${way}: ${tellMessage(steps.messageOf(item))}`
}

function tellMessage(message: Message): string {
  const { type, ...fields } = JSON.parse(nameOfMessage(message))
  delete fields.history
  delete fields.starts
  return `${type} ${JSON.stringify(fields).slice(1, -1).replaceAll('"', '')}`
}
