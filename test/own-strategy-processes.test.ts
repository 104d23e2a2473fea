/** A strategy from a file: over every medium, in real processes of which one is killed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { type Client, connect } from '../src/index.js'
import { strategyByName } from '../src/registry.js'
import { nodeOptions } from '../src/server/serve-options.js'
import { MEDIA } from './harness/media.js'
import { gcache, ServedCluster } from './harness/processes.js'
import { readmeStrategy } from './harness/readme-strategy.js'

const { file } = await readmeStrategy('served')
const WITHIN_MS = 20_000

/** What `call` answers once it does. */
async function eventually<T>(call: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + WITHIN_MS
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await new Promise(resolve => setImmediate(resolve))
    }
  }
}

describe.each(MEDIA)('$name', medium => {
  /**
   *   a  writes k0..k19 | killed                     | serves, empty  | copied, k20 is written
   *   b                 | leads after 1 s, reads all |                |
   */
  test('the killed first node takes nothing with it, and when it is back writes go on', {
    timeout: 90_000,
  }, async () => {
    const cluster = await ServedCluster.start(3, ['--strategy', file], medium)
    let client: Client | undefined
    try {
      client = await connect({ cluster: 'proof', servers: cluster.servers })
      const cache = client.cache<number>('kept')
      // A write needs all three copies, and the master serves before the last has joined.
      expect((await eventually(() => cache.set('k0', 0))).copies).toBe(3)
      for (let i = 1; i < 20; i++) expect((await cache.set(`k${i}`, i)).copies).toBe(3)
      cluster.signal('a', 'SIGKILL')
      await cluster.ended('a')
      for (let i = 0; i < 20; i++) expect(await eventually(() => cache.get(`k${i}`))).toBe(i)
      await expect(cache.set('k20', 20)).rejects.toMatchObject({ code: 'NOT_ENOUGH_COPIES' })
      await cluster.serve('a')
      expect((await eventually(() => cache.set('k20', 20))).copies).toBe(3)
      expect(await cache.get('k0')).toBe(0)
      const { out } = await gcache(
        'status',
        '--cluster',
        'proof',
        '--server',
        cluster.servers[2],
        '--json',
      )
      expect(JSON.parse(out)).toMatchObject({ strategy: 'chain', profile: 'all', master: 'b' })
    } finally {
      await client?.close()
      await cluster.stop()
    }
  })
})

describe('a strategy by its path', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gcache-own-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  const module = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }

  test.each<[string, string, RegExp]>([
    ['a file that is not there', './none.js', /there is no file .*none\.js: give the path/],
    ['no such export', module('none.mjs', 'export const x = 1'), /exports no strategy: write/],
    ['no function', module('five.mjs', 'export default 5'), /is a number: export a function/],
    ['one that fails', module('bad.mjs', 'throw new Error("oh")'), /it failed to load: oh/],
  ])('%s is CONFIG, with its remedy', async (_, name, why) => {
    const refused = strategyByName({ name })
    await expect(refused).rejects.toMatchObject({ code: 'CONFIG' })
    await expect(refused).rejects.toThrow(why)
  })

  test('takes the export strategy before the default, and no options', async () => {
    const name = module('two.mjs', 'export default () => 1\nexport const strategy = () => 2')
    expect((await strategyByName({ name }))(undefined as never)).toBe(2)
    await expect(strategyByName({ name, profile: 'x' })).rejects.toThrow(/takes no option profile/)
  })

  test('is seen from the folder of --config, or from the working directory', () => {
    const flags = { id: 'a', ordinal: '0', autoCaches: true, logLevel: 'info' } as const
    const given = (strategy: unknown, more = {}) =>
      nodeOptions({ ...flags, config: '/etc/gcache/a.json', ...more }, () => ({ strategy }))
        .strategy
    expect(given('./mine.js')).toBe('/etc/gcache/mine.js')
    expect(given({ name: '../mine.js' })).toEqual({ name: '/etc/mine.js' })
    expect(given('master-slave')).toBe('master-slave')
    expect(given('./mine.js', { strategy: './other.js' })).toEqual({ name: './other.js' })
  })
})
