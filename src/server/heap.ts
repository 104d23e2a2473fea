/**
 * A server's heap, held small, but not so small that V8 collects all the time. Ten thousand links
 * of 3 KiB cost 90 MiB where V8 doubles its new space up to 32 MiB, which it does not give back
 * while there is work, and lets the old space grow fourfold before it collects: 50 MiB so. Both are
 * options of a process, which a command cannot give itself; but V8 asks for how far to grow anew
 * each time.
 *
 * How far the old space may grow is said in bytes. Half of what lives, as a share, is 8 MiB in a
 * young server, and V8 makes 16 of it; a log's dropped batches fill that six times a second at
 * 400,000 sets, at 10 ms each. 32 MiB: a sixth more sets in pairs, and a p99 of 8 ms instead of 13.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** Of the new space, its two halves together. */
const NEW_SPACE_BYTES_MAX = 8 * 2 ** 20
/** What the old space and the buffers of its objects may grow by between two collections. */
const GARBAGE_BYTES_MAX = 32 * 2 ** 20
/** The same, in percent of what lives: of a small heap and of a large one. */
const GROWTH_PERCENT = { most: 400, least: 50 } as const
/** Links arrive some thousand a second: the new space doubles some times a second at most. */
const LOOK_EVERY_MS = 50

/** Does nothing where whoever started the process has chosen sizes. */
export function holdHeap(): void {
  const given = [process.env.NODE_OPTIONS ?? '', ...process.execArgv]
  if (given.some(option => /semi[-_]space|heap[-_]growing/.test(option))) return
  let growth = 0
  let isNewHeld = false
  const look = () => {
    let oldBytes = 0
    for (const {
      space_name: name,
      space_size: size,
      space_used_size: used,
    } of getHeapSpaceStatistics()) {
      if (name === 'new_space' && size >= NEW_SPACE_BYTES_MAX && !isNewHeld) {
        setFlagsFromString('--semi-space-growth-factor=1')
        isNewHeld = true
      } else if (!name.startsWith('new_')) oldBytes += used
    }
    const percent = growthPercent(oldBytes)
    if (percent === growth) return
    growth = percent
    setFlagsFromString(`--heap-growing-percent=${percent}`)
  }
  look()
  setInterval(look, LOOK_EVERY_MS).unref()
}

/** Of an old space in which `bytes` are used, rounded to 10, so that it seldom changes. */
export function growthPercent(bytes: number): number {
  const percent = Math.round((10 * GARBAGE_BYTES_MAX) / Math.max(1, bytes)) * 10
  return Math.min(GROWTH_PERCENT.most, Math.max(GROWTH_PERCENT.least, percent))
}
