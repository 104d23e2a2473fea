/** T12 over real sockets: whenever a node stops, nothing of it is left open. */
import { expect } from 'vitest'
import { type Bench, SOON_MS } from '../../src/testing/transport-bench.js'

/** Stops while starting, dialling, linked and sending; each wait ends within `msMax`. */
export async function stopsWithoutSockets(bench: Bench, msMax = SOON_MS): Promise<void> {
  const open = () => process.getActiveResourcesInfo().filter(name => name.startsWith('TCP'))
  const sees = (fact: string, condition: () => boolean) => bench.sees(fact, condition, msMax)
  await sees('nothing is open yet', () => open().length === 0)
  for (let round = 0; round < 12; round++) {
    const a = bench.node(`a${round}`)
    const b = await bench.started(`b${round}`)
    const starting = a.start().catch(error => error.code)
    if (round % 4 === 0) {
      await a.stop()
      expect(await starting).toBe('CLOSED')
    } else {
      await starting
      b.connect(a.id, a.transport.address)
      if (round % 4 > 1) await sees('up', () => b.isUp(a.id))
      if (round % 4 > 2) a.send(b.id, Buffer.alloc(2 ** 20))
      await Promise.all([a.stop(), b.stop()])
    }
    await b.stop()
    await sees('nothing is open', () => open().length === 0)
  }
  expect(bench.violations).toEqual([])
}
