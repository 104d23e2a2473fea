/** The heap of a server is held small (server/heap.ts), unless its operator chose otherwise. */
import { spawn } from 'node:child_process'
import { expect, test } from 'vitest'
import { growthPercent } from '../src/server/heap.js'

const HEAP = new URL('../dist/src/server/heap.js', import.meta.url).href

/** What survives in turns of 5,000 objects makes V8's new space grow, as arriving links do. Prints
 *  the largest it was, MiB. */
const BURST = `
  const v8 = await import('node:v8')
  const { holdHeap } = await import(${JSON.stringify(HEAP)})
  if (process.env.HOLDS) holdHeap()
  const links = []
  let most = 0
  for (let turn = 0; turn < 400; turn++) {
    for (let i = 0; i < 5_000; i++) links.push({ turn, more: [i] })
    if (links.length > 400_000) links.splice(0, 200_000)
    const { space_size } = v8.getHeapSpaceStatistics().find(it => it.space_name === 'new_space')
    most = Math.max(most, space_size)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  console.log(most / 2 ** 20)
`

function newSpaceMiB(holds: boolean, ...flags: string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, HOLDS: holds ? '1' : '', NODE_OPTIONS: '' }
    const args = [...flags, '--input-type=module', '-e', BURST]
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.on('data', chunk => (out += chunk))
    child.once('error', reject)
    child.once('close', () => resolve(Number(out)))
  })
}

test('its new space stays below the 32 MiB that it would become', async () => {
  const [held, free, chosen] = await Promise.all([
    newSpaceMiB(true),
    newSpaceMiB(false),
    newSpaceMiB(true, '--max-semi-space-size=16'),
  ])
  expect(free).toBe(32)
  expect(held).toBeLessThanOrEqual(16)
  expect(chosen).toBe(32)
})

test('between two collections it grows by 32 MiB, by half of a large one, fourfold at most', () => {
  const grows = (mib: number) => (mib * growthPercent(mib * 2 ** 20)) / 100
  expect(grows(4)).toBe(16)
  for (const mib of [8, 15, 30, 60]) expect(Math.abs(grows(mib) - 32), `${mib} MiB`).toBeLessThan(4)
  expect(grows(1_000)).toBe(500)
})
