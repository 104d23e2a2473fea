/**
 * Every fenced block of every README runs, in the order in which a reader meets it: `ts` and `js`
 * as modules against the built package, `sh` through bash with `gcache` on the path. What a block
 * leaves running serves the blocks after it and ends with the page. Ports 74xx become free ones.
 *
 *   // name.ts  as a block's first line: the blocks after it may import './name.js'
 *   ts server   keeps running until the page ends; ready when it has printed a line
 *   text        is not run: output, or the configuration of another program
 *   npm ...     is not run inside a test: its script must be in package.json
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const BLOCK_MS_MAX = 60_000
const RUN = new Set(['ts', 'js', 'sh'])
const SHOWN = new Set(['text', 'json'])
const SCRIPTS = Object.keys(
  (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }).scripts,
)

interface Block {
  /** Of the fence, from 1. */
  readonly line: number
  readonly language: string
  readonly info: string
  readonly text: string
}

function blocksOf(page: string): Block[] {
  const blocks: Block[] = []
  const fences = page.matchAll(/^```(\w*)[ \t]*(.*)\n([\s\S]*?)^```[ \t]*$/gm)
  for (const [whole, language, info, text] of fences) {
    const line = page.slice(0, page.indexOf(whole)).split('\n').length
    blocks.push({ line, language, info: info.trim(), text })
  }
  return blocks
}

function pages(): string[] {
  const skipped = new Set(['node_modules', 'dist', '.git'])
  const found: string[] = []
  const look = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory() && !skipped.has(entry.name)) look(join(folder, entry.name))
      else if (entry.name === 'README.md') found.push(relative(root, join(folder, entry.name)))
    }
  }
  look(root)
  return found.sort()
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** A hundred for 74: below the ports that systems hand out by themselves. */
async function freeHundred(used: readonly number[]): Promise<number> {
  for (;;) {
    const hundred = 200 + Math.floor(Math.random() * 120)
    const free = await Promise.all(used.map(port => isFree(hundred * 100 + port)))
    if (free.every(Boolean)) return hundred
  }
}

/** The running side of a page: its folder inside the package, its ports, its processes. */
class Page {
  readonly folder: string
  readonly #groups: ChildProcess[] = []
  #hundred = 0

  constructor(path: string) {
    const name = `${dirname(path).replace(/\W/g, '-')}-${process.pid}`
    this.folder = join(root, 'dist/examples', name)
  }

  async open(blocks: readonly Block[]): Promise<void> {
    const texts = blocks.map(({ text }) => text).join('')
    const used = [...texts.matchAll(/\b74(\d\d)\b/g)].map(match => Number(match[1]))
    // A block may add 1 or 2 to a port that it names.
    const near = used.flatMap(port => [port, port + 1, port + 2])
    this.#hundred = await freeHundred([...new Set(near)])
    mkdirSync(join(this.folder, 'bin'), { recursive: true })
    const cli = join(root, 'dist/src/server/cli.js')
    const shim = `#!/bin/sh\nexec '${process.execPath}' '${cli}' "$@"\n`
    writeFileSync(join(this.folder, 'bin/gcache'), shim, { mode: 0o755 })
    // npx runs the package's own binary; here without asking anyone.
    writeFileSync(join(this.folder, 'bin/npx'), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 })
  }

  /** The block with this page's ports, as a file of this page. */
  file(block: Block, extension: string): string {
    const text = block.text.replace(/\b74(\d\d)\b/g, `${this.#hundred}$1`)
    const path = join(this.folder, `line-${block.line}.${extension}`)
    const { ScriptTarget, ModuleKind } = ts
    const compilerOptions = { target: ScriptTarget.ES2022, module: ModuleKind.ESNext }
    const plain = extension === 'mjs' && block.language === 'ts'
    const program = plain ? ts.transpileModule(text, { compilerOptions }).outputText : text
    writeFileSync(path, program)
    const [, name] = /^\/\/ ([\w-]+)\.ts\n/.exec(text) ?? []
    if (name !== undefined)
      writeFileSync(join(this.folder, plain ? `${name}.js` : `${name}.ts`), program)
    return path
  }

  /** Runs to the end, or to the first printed line if `stays`. Rejects with what was printed. */
  run(command: string, args: readonly string[], stays: boolean): Promise<void> {
    const path = `${join(this.folder, 'bin')}:${process.env.PATH}`
    const child = spawn(command, args, {
      cwd: this.folder,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: path, NO_COLOR: '1' },
    })
    this.#groups.push(child)
    return new Promise((resolve, reject) => {
      let printed = ''
      const fail = (what: string) => reject(new Error(`${what}; it printed:\n${printed}`))
      const timer = setTimeout(() => fail(`no end within ${BLOCK_MS_MAX} ms`), BLOCK_MS_MAX)
      const listen = (chunk: Buffer) => {
        printed += chunk
        if (stays) end(0)
      }
      const end = (code: number | null) => {
        clearTimeout(timer)
        if (code === 0) resolve()
        else fail(`exit code ${code}`)
      }
      child.stdout.on('data', listen)
      child.stderr.on('data', (chunk: Buffer) => {
        printed += chunk
      })
      child.once('error', reject)
      child.once('exit', end)
    })
  }

  close(): void {
    for (const { pid } of this.#groups) {
      try {
        if (pid !== undefined) process.kill(-pid, 'SIGKILL')
      } catch {
        // The group has ended by itself.
      }
    }
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** The lines that bash runs, and the scripts that npm would. */
function split(text: string): { run: string; scripts: string[] } {
  const scripts: string[] = []
  const lines = text.split('\n').filter(line => {
    if (!/^npm /.test(line)) return true
    for (const part of line.replace(/#.*/, '').split('&&')) {
      const [, verb, name = ''] = part.trim().split(/\s+/)
      if (verb === 'run') scripts.push(name)
      else if (verb === 'start' || verb === 'test') scripts.push(verb)
      else if (verb !== 'ci' && verb !== 'install') scripts.push(`npm ${verb}`)
    }
    return false
  })
  return { run: lines.join('\n'), scripts }
}

async function runBlock(page: Page, block: Block): Promise<void> {
  const stays = block.info === 'server'
  if (block.language !== 'sh') {
    await page.run(process.execPath, [page.file(block, 'mjs')], stays)
    return
  }
  const { run, scripts } = split(block.text)
  expect(scripts.filter(name => !SCRIPTS.includes(name))).toEqual([])
  if (run.trim() === '') return
  await page.run('bash', ['-e', page.file({ ...block, text: run }, 'sh')], stays)
}

/** What the compiler says of all `ts` blocks, with the package's own types. */
function compile(page: Page, blocks: readonly Block[]): string[] {
  const files = blocks
    .filter(({ language }) => language === 'ts')
    .map(block => page.file(block, 'mts'))
  const program = ts.createProgram(files, {
    ...{ module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, strict: true },
    ...{ noEmit: true, skipLibCheck: true, types: ['node'] },
    typeRoots: [join(root, 'node_modules/@types')],
  })
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const at = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line + 1 : 0
    const text = ts.flattenDiagnosticMessageText(messageText, ' ')
    return `${file?.fileName.split('/').at(-1)}+${at}: ${text}`
  })
}

beforeAll(() => {
  if (!existsSync(join(root, 'dist/src/index.js')))
    throw new Error('nothing is built: npm run build first')
})

describe.each(pages())('%s', path => {
  const blocks = blocksOf(readFileSync(join(root, path), 'utf8'))
  const page = new Page(path)

  beforeAll(() => page.open(blocks))
  afterAll(() => page.close())

  test('marks every block as run or shown, and uses ports 74xx, 0 (any) or 1 (none)', () => {
    const known = ({ language }: Block) => RUN.has(language) || SHOWN.has(language)
    expect(blocks.filter(block => !known(block)).map(({ line }) => line)).toEqual([])
    const foreign = blocks.filter(({ text, language }) =>
      RUN.has(language) ? /(?:127\.0\.0\.1|localhost):(?!74\d\d\b|[01]\b)\d/.test(text) : false,
    )
    expect(foreign.map(({ line }) => line)).toEqual([])
    const infos = blocks.map(({ info }) => info).filter(info => info !== '')
    expect(infos.filter(info => info !== 'server')).toEqual([])
  })

  test('links to files that are there', () => {
    const text = readFileSync(join(root, path), 'utf8').replace(/^```[\s\S]*?^```/gm, '')
    const links = [...text.matchAll(/\]\((?!\w+:|#)([^)#]+)/g)].map(match => match[1])
    expect(links.filter(link => !existsSync(join(root, dirname(path), link)))).toEqual([])
  })

  test('holds ts blocks that compile', () => {
    expect(compile(page, blocks)).toEqual([])
  }, 60_000)

  for (const block of blocks.filter(({ language }) => RUN.has(language)))
    test(
      `runs line ${block.line}: ${block.text.trim().split('\n')[0]}`,
      async () => {
        await runBlock(page, block)
      },
      BLOCK_MS_MAX + 5_000,
    )
})

describe('the reader of pages', () => {
  test('finds fences, their language, info and line', () => {
    const page = 'a\n\n```ts server\nx()\n```\n\n```sh\ny\nz\n```\n'
    expect(blocksOf(page)).toEqual([
      { line: 3, language: 'ts', info: 'server', text: 'x()\n' },
      { line: 7, language: 'sh', info: '', text: 'y\nz\n' },
    ])
  })

  test('keeps npm lines from bash and names their scripts', () => {
    expect(split('npm ci && npm start\necho hi\nnpm run bench -- --json  # fast\n')).toEqual({
      run: 'echo hi\n',
      scripts: ['start', 'bench'],
    })
    expect(split('npm publish').scripts).toEqual(['npm publish'])
  })

  test('a failing block rejects with what it printed', async () => {
    const page = new Page('probe/README.md')
    await page.open([])
    try {
      const failing = page.run('bash', ['-c', 'echo seen; exit 3'], false)
      await expect(failing).rejects.toThrow(/exit code 3; it printed:\nseen/)
      await expect(page.run('bash', ['-c', 'echo up; sleep 60'], true)).resolves.toBeUndefined()
    } finally {
      page.close()
    }
  })
})
