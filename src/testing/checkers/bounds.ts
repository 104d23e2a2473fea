/** I14: what a node keeps stays within its bound. */
import type { Checker, World } from './checker.js'

export interface Bounds {
  backlogBytesMax: number
  backlogEntriesMax: number
  /** A batch that is kept whole above the bound. */
  batchBytesMax: number
  batchEntriesMax: number
  /** Entries that are not applied yet, which no log may let go of. */
  unappliedMax: number
}

export function buffersAreBounded(world: World, bounds: Bounds): Checker {
  return {
    name: 'buffers are bounded',
    onTick() {
      for (const node of world.live()) {
        const { bytes, entries } = node.backlog()
        if (bytes > bounds.backlogBytesMax + bounds.batchBytesMax)
          world.fail('I14', `the log of ${node.life} holds ${bytes} bytes`)
        const unapplied = node.life.tip.next - node.applied()
        if (unapplied > bounds.unappliedMax)
          world.fail('I14', `the log of ${node.life} holds ${unapplied} entries unapplied`)
        if (entries - unapplied > bounds.backlogEntriesMax + bounds.batchEntriesMax)
          world.fail('I14', `the log of ${node.life} holds ${entries} entries`)
      }
    },
  }
}
