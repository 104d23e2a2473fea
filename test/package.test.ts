/**
 * The package as others install it: packed, unpacked into an empty folder, with nothing beside it
 * but what package.json declares. The folder is filled by hand instead of by `npm install`, so that
 * no network is needed; it holds each declared dependency and no other.
 */
import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { importsOf, type Manifest, packageOf, parse } from './tidy/sources.js'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
const subpaths = Object.keys(manifest.exports).filter(path => path !== './package.json')
const nameOf = (subpath: string) => join('gcache', subpath)

/** What DESIGN allows to depend on; another needs a reason in ARCHITECTURE.md and a row here. */
const DEPENDENCIES = [
  ...['commander', 'eventemitter3', 'lru-cache', 'msgpackr', 'nats'],
  ...['pino', 'prom-client', 'ws', 'zod'],
]

let folder: string
let packed: string[]

/** Makes `name` of this project's own packages the only thing that `app` finds under that name. */
function link(app: string, name: string): void {
  const at = join(app, 'node_modules', name)
  mkdirSync(dirname(at), { recursive: true })
  symlinkSync(join(root, 'node_modules', name), at, 'dir')
}

/** Node looks for packages in every folder above too: one there would be found in an empty app. */
function aloneIn(app: string): void {
  for (let above = dirname(app); ; above = dirname(above)) {
    const other = join(above, 'node_modules')
    if (existsSync(other))
      throw new Error(`${other} would answer for ${app}: remove it, or set TMPDIR elsewhere`)
    if (above === dirname(above)) return
  }
}

/** Runs `code` in the empty application; resolves with what it printed. */
async function inApp(code: string): Promise<string> {
  const args = ['--input-type=module', '--eval', code]
  return (await run(process.execPath, args, { cwd: folder })).stdout.trim()
}

interface Ended {
  readonly code: number
  readonly output: string
}

/** Runs the `gcache` binary of the unpacked package. */
async function gcache(...args: string[]): Promise<Ended> {
  const bin = join(folder, 'node_modules/gcache', manifest.bin.gcache)
  try {
    const { stdout, stderr } = await run(process.execPath, [bin, ...args], { cwd: folder })
    return { code: 0, output: stdout + stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, output: stdout + stderr }
  }
}

beforeAll(async () => {
  if (!existsSync(join(root, 'dist/src'))) throw new Error('nothing is built: npm run build first')
  folder = mkdtempSync(join(tmpdir(), 'gcache-package-'))
  aloneIn(folder)
  const { stdout } = await run(
    'npm',
    ['pack', '--json', '--offline', '--ignore-scripts', '--pack-destination', folder],
    { cwd: root },
  )
  const [pack] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }]
  packed = pack.files.map(({ path }) => path)
  const home = join(folder, 'node_modules/gcache')
  mkdirSync(home, { recursive: true })
  await run('tar', ['-xzf', join(folder, pack.filename), '-C', home, '--strip-components=1'])
  for (const name of Object.keys(manifest.dependencies)) link(folder, name)
  writeFileSync(join(folder, 'package.json'), '{"name":"app","type":"module","private":true}')
}, 60_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the tarball', () => {
  test('holds what is built from the shipped folders, and the papers', () => {
    const code = /^dist\/(src|transports|strategies)\/.*(\.js|\.d\.ts)$/
    const papers = ['LICENSE', 'README.md', 'package.json']
    expect(packed.filter(path => !code.test(path)).sort()).toEqual(papers)
  })

  test('holds no test and no benchmark', () => {
    expect(packed.filter(path => /\.test\.|benchmark|(^|\/)test\//.test(path))).toEqual([])
  })

  test('holds every file that exports and binaries name', () => {
    const named = [
      ...Object.values(manifest.exports).flatMap(entry =>
        typeof entry === 'string' ? [entry] : Object.values(entry),
      ),
      ...Object.values(manifest.bin),
    ]
    expect(named.filter(path => !packed.includes(path.replace('./', '')))).toEqual([])
  })
})

describe.each(subpaths)('%s', subpath => {
  const name = nameOf(subpath)

  test('is imported and required, alike, with named exports only', async () => {
    const names = await inApp(`console.log(Object.keys(await import('${name}')).join())`)
    const required = await inApp(`
      import { createRequire } from 'node:module'
      const required = createRequire(import.meta.url)('${name}')
      console.log(Object.keys(required).filter(name => name !== '__esModule').join())`)
    expect(names).not.toBe('')
    expect(names.split(',')).not.toContain('default')
    expect(required).toBe(names)
  })
})

describe('types', () => {
  test('resolve for every subpath under strict settings', async () => {
    for (const name of ['@types/node', 'undici-types'])
      if (existsSync(join(root, 'node_modules', name))) link(folder, name)
    const lines = subpaths.map((path, i) => `export * as s${i} from '${nameOf(path)}'`)
    writeFileSync(join(folder, 'check.ts'), lines.join('\n'))
    const compilerOptions = {
      ...{ module: 'nodenext', target: 'es2022', strict: true, noEmit: true, types: ['node'] },
      skipLibCheck: true,
    }
    const config = { compilerOptions, files: ['check.ts'] }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const found = await run(process.execPath, [tsc, '-p', folder]).then(
      () => '',
      error => (error as { stdout: string }).stdout,
    )
    expect(found).toBe('')
  }, 60_000)
})

describe('optional peers', () => {
  test('an application without express-session is told to install it', async () => {
    const message = await inApp(`
      const { sessionStore } = await import('gcache/express-session')
      try {
        sessionStore(undefined, { client: { cache() {} } })
      } catch (error) {
        console.log(error.code, error.message)
      }`)
    expect(message).toMatch(/^CONFIG .*npm install express-session/)
  })

  test('the demo without express names the packages to install', async () => {
    const { code, output } = await gcache('demo')
    expect(code).not.toBe(0)
    expect(output).toMatch(/npm install .*express/)
  })
})

describe('the binary', () => {
  test('begins with the line that finds node', () => {
    const text = readFileSync(join(folder, 'node_modules/gcache', manifest.bin.gcache), 'utf8')
    expect(text.split('\n')[0]).toBe('#!/usr/bin/env node')
  })

  test('shows its help', async () => {
    const { code, output } = await gcache('--help')
    expect(code).toBe(0)
    for (const command of ['serve', 'status', 'get', 'set', 'demo'])
      expect(output).toContain(command)
  })
})

describe('the supply chain', () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Record<string, unknown>>
  }

  test('runtime dependencies are those of the design, each with its exact version', () => {
    for (const [name, version] of Object.entries(manifest.dependencies)) {
      expect(DEPENDENCIES).toContain(name)
      expect(version).toMatch(/^\d+\.\d+\.\d+$/)
      expect(lock.packages[`node_modules/${name}`].version).toBe(version)
    }
    expect(lock.packages[''].dependencies).toEqual(manifest.dependencies)
    expect(lock.packages[''].devDependencies).toEqual(manifest.devDependencies)
    expect(lock.packages[''].peerDependencies).toEqual(manifest.peerDependencies)
  })

  test('what the shipped files import is what package.json declares, nothing more or less', () => {
    const home = join(folder, 'node_modules/gcache/dist')
    const used = new Set<string>()
    for (const file of readdirSync(home, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.js')) continue
      for (const { name } of importsOf(parse(file, readFileSync(join(home, file), 'utf8'))))
        if (!name.startsWith('.') && !isBuiltin(name)) used.add(packageOf(name))
    }
    const peers = Object.keys(manifest.peerDependencies ?? {})
    const own = [...used].filter(name => !peers.includes(name) && name !== 'gcache')
    expect(own.sort()).toEqual(Object.keys(manifest.dependencies).sort())
  })

  test('the lock names no place to download from, and a checksum for what runs here', () => {
    const entries = Object.entries(lock.packages).filter(([path]) => path !== '')
    expect(entries.filter(([, entry]) => 'resolved' in entry).map(([path]) => path)).toEqual([])
    // Binaries for other platforms, all optional, may be named without one.
    const bare = entries.filter(([, entry]) => !('integrity' in entry))
    expect(bare.filter(([, { optional, os }]) => !(optional && os))).toEqual([])
    expect(bare.filter(([path]) => existsSync(join(root, path)))).toEqual([])
  })

  test('the lock names every optional package, or npm ci refuses the whole', () => {
    const wanted = Object.values(lock.packages).flatMap(entry =>
      Object.keys((entry.optionalDependencies as object | undefined) ?? {}),
    )
    expect(wanted.filter(name => !(`node_modules/${name}` in lock.packages))).toEqual([])
  })
})
