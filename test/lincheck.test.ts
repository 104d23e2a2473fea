/**
 * Recorded histories as text: what both formats say, what is damaged, and what the command prints
 * and exits with.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { parseHistory } from '../src/testing/histories.js'
import { checkByKey } from '../src/testing/linearizability.js'
import { register } from '../src/testing/register.js'
import { lincheck } from './lincheck.js'

/** `0 :invoke :write 1`, and so on. */
function log(...lines: string[]): string {
  return lines.map(line => `INFO  jepsen.util - ${line.replace(/ /g, '\t')}\n`).join('')
}

function jsonLines(...calls: Record<string, unknown>[]): string {
  return calls.map(call => `${JSON.stringify(call)}\n`).join('')
}

function verdict(text: string): string {
  const history = parseHistory(text)
  return history.kind === 'history' ? checkByKey(history.keys, register).verdict : history.kind
}

describe('a log of one register', () => {
  const one = ['0 :invoke :write 1', '0 :ok :write 1']

  test.each<[string, string, string[]]>([
    ['linearizable', 'nil at first', ['0 :invoke :read nil', '0 :ok :read nil']],
    ['linearizable', 'read what was written', [...one, '1 :invoke :read nil', '1 :ok :read 1']],
    ['violated', 'nil after a write', [...one, '1 :invoke :read nil', '1 :ok :read nil']],
    [
      'violated',
      'a failed write is surely not done',
      ['0 :invoke :write 1', '0 :fail :write 1', '1 :invoke :read nil', '1 :ok :read 1'],
    ],
    ['linearizable', 'a cas that matched', [...one, '1 :invoke :cas [1 2]', '1 :ok :cas [1 2]']],
    ['violated', 'a cas that could not match', ['1 :invoke :cas [1 2]', '1 :ok :cas [1 2]']],
    ['violated', 'a cas that had to match', [...one, '1 :invoke :cas [1 2]', '1 :fail :cas [1 2]']],
    [
      'linearizable',
      'a write that timed out takes effect late, its client going on',
      [
        '0 :invoke :write 1',
        '0 :info :write :timed-out',
        '0 :invoke :read nil',
        '0 :ok :read nil',
        '0 :invoke :read nil',
        '0 :ok :read 1',
      ],
    ],
    [
      'linearizable',
      'a failed cas that timed out is as unknown',
      [...one, '1 :invoke :cas [1 2]', '1 :fail :cas :timed-out', ...one],
    ],
    [
      'violated',
      'one that timed out takes effect once',
      [
        '0 :invoke :write 1',
        '0 :info :write :timed-out',
        '1 :invoke :read nil',
        '1 :ok :read 1',
        '1 :invoke :write 2',
        '1 :ok :write 2',
        '1 :invoke :read nil',
        '1 :ok :read 1',
      ],
    ],
    [
      'linearizable',
      'a read that timed out says nothing, nor does one without an end',
      [...one, '1 :invoke :read nil', '1 :fail :read :timed-out', '1 :invoke :read nil'],
    ],
    ['damaged', 'an end without a start', ['0 :ok :write 1']],
    ['damaged', 'an end of something else', ['0 :invoke :write 1', '0 :ok :read 1']],
    ['damaged', 'two starts of one client', ['0 :invoke :write 1', '0 :invoke :write 2']],
    ['damaged', 'an unknown operation', ['0 :invoke :append 1']],
    ['damaged', 'an unknown end', ['0 :invoke :write 1', '0 :gone :write 1']],
    ['damaged', 'a cas of one value', ['0 :invoke :cas 1']],
    ['none', 'a log of something else', [':nemesis :info :start nil']],
    ['none', 'nothing', []],
  ])('%s: %s', (expected, _, lines) => {
    expect(verdict(log(...lines))).toBe(expected)
  })

  test('other lines are passed over, and a damaged one is numbered', () => {
    const text = `WARN something\n${log('0 :invoke :write 1')}\n${log('0 :ok :cas [1 2]')}`
    expect(parseHistory(text)).toMatchObject({ kind: 'damaged', line: 4 })
  })
})

describe('our own lines', () => {
  const call = (startMs: number, endMs: number, more: object) => ({
    client: 'c',
    key: 'k',
    startMs,
    endMs,
    outcome: 'ok',
    ...more,
  })
  const write = call(0, 1, { kind: 'write', value: 'x' })
  const object = { user: 7 }

  test.each<[string, string, Record<string, unknown>[]]>([
    ['linearizable', 'absent at first', [call(0, 1, { kind: 'read', result: null })]],
    ['linearizable', 'any order', [call(2, 3, { kind: 'read', result: 'x' }), write]],
    ['violated', 'another value', [write, call(2, 3, { kind: 'read', result: 'y' })]],
    ['violated', 'a text is no number', [write, call(2, 3, { kind: 'read', result: 1 })]],
    ['violated', 'absent after a write', [write, call(2, 3, { kind: 'read' })]],
    ['linearizable', 'another key', [write, call(2, 3, { kind: 'read', key: 'other' })]],
    [
      'linearizable',
      'objects by their text',
      [
        call(0, 1, { kind: 'write', value: object }),
        call(2, 3, { kind: 'read', result: { ...object } }),
      ],
    ],
    [
      'violated',
      'two cas make one record',
      [
        call(0, 9, { kind: 'cas', value: 1, expected: null }),
        call(0, 9, { kind: 'cas', value: 2 }),
      ],
    ],
    [
      'linearizable',
      'one of them is told no',
      [
        call(0, 9, { kind: 'cas', value: 1, expected: null, result: true }),
        call(0, 9, { kind: 'cas', value: 2, result: false }),
      ],
    ],
    ['violated', 'a delete finds nothing', [write, call(2, 3, { kind: 'delete', result: false })]],
    ['linearizable', 'a delete of whatever', [write, call(2, 3, { kind: 'delete' })]],
    [
      'linearizable',
      'failed: not done, and no word about why',
      [write, call(2, 3, { kind: 'cas', expected: 'x', value: 'y', outcome: 'fail' })],
    ],
    [
      'violated',
      'failed: its value is not read',
      [{ ...write, outcome: 'fail' }, call(2, 3, { kind: 'read', result: 'x' })],
    ],
    [
      'linearizable',
      'unknown: open to the end, whatever endMs says',
      [
        { ...write, outcome: 'unknown' },
        call(2, 3, { kind: 'read' }),
        call(4, 5, { kind: 'read', result: 'x' }),
        call(6, 7, { kind: 'read', outcome: 'unknown' }),
      ],
    ],
    ['damaged', 'no kind', [write, call(0, 1, {})]],
    ['damaged', 'no value', [write, call(0, 1, { kind: 'write', value: null })]],
    ['damaged', 'no such outcome', [write, { ...write, outcome: 'info' }]],
    ['damaged', 'an end before its start', [write, call(2, 1, { kind: 'read' })]],
    ['damaged', 'no end', [write, { ...write, endMs: undefined }]],
    ['damaged', 'no start', [write, { ...write, startMs: '0' }]],
    ['damaged', 'a key that is no text', [write, { ...write, key: 1 }]],
    ['damaged', 'a result that is no verdict', [write, call(2, 3, { kind: 'delete', result: 1 })]],
    ['damaged', 'a first line of something else', [{ bench: 'get' }, write]],
    ['none', 'another file of JSON lines', [{ bench: 'get' }, { bench: 'set', key: 1 }]],
  ])('%s: %s', (expected, _, calls) => {
    expect(verdict(jsonLines(...calls))).toBe(expected)
  })

  test('a line cut short is damage', () => {
    const text = jsonLines(write, write)
    expect(parseHistory(text.slice(0, -9))).toMatchObject({ kind: 'damaged', line: 2 })
  })
})

describe('a history whose first line is bad', () => {
  const call = { key: 'k', kind: 'read', startMs: 0, endMs: 1, outcome: 'ok' }
  const { outcome, ...misspelt } = call
  const good = jsonLines(call, call)

  test.each<[string, string, string]>([
    ['a misspelt member', jsonLines({ ...misspelt, outcom: 'ok' }, call), 'no such outcome'],
    ['misspelt in every line', jsonLines({ ...misspelt, outcom: 'ok' }), 'no such outcome'],
    ['a line cut short', `{"key":"k","kind\n${good}`, 'no JSON object'],
    ['a byte order mark', `\uFEFF${good}`, 'a byte order mark before the first call'],
    ['an array', JSON.stringify([call]), 'no JSON object'],
    ['an array over many lines', JSON.stringify([call], null, 1), 'no JSON object'],
    ['an array, then calls', `[]\n${good}`, 'no JSON object'],
    ['a log behind a mark', `\uFEFF${log('0 :invoke :write 1')}`, 'a byte order mark'],
  ])('%s: damaged at line 1, whatever the file is called', (_, text, reason) => {
    const damaged = { kind: 'damaged', line: 1, reason: expect.stringContaining(reason) }
    expect(parseHistory(text)).toEqual(damaged)
    expect(parseHistory(text, true)).toEqual(damaged)
  })

  test.each<[string, string, number]>([
    ['nothing', '', 1],
    ['an array of texts', '["a"]', 1],
    ['an object with one known member', '\n{"kind":"read","at":3}', 2],
    ['no JSON', 'key,kind,startMs\n', 1],
  ])('%s: none, but damaged in a file that is named as ours', (_, text, line) => {
    expect(parseHistory(text).kind).toBe('none')
    expect(parseHistory(text, true)).toMatchObject({ kind: 'damaged', line })
  })

  test.each([
    ['verdicts', jsonLines({ file: 'a.log', linearizable: true }), 'none'],
    ['a log', log('0 :invoke :write 1'), 'history'],
  ])('%s in a file that is named as ours: what it is', (_, text, kind) => {
    expect(parseHistory(text, true).kind).toBe(kind)
  })
})

describe('npm run lincheck', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gcache-lincheck-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  /** The exit code, then what was printed. */
  function run(args: string[], stepsMax = 1_000): [number, string[], string[]] {
    const [out, err]: [string[], string[]] = [[], []]
    const lines = { out: (line: string) => out.push(line), err: (line: string) => err.push(line) }
    const code = lincheck(args, lines, { stepsMax, cacheBytesMax: 2 ** 20 })
    return [code, out, err]
  }

  function fill(name: string, files: Record<string, string>): string {
    const at = join(folder, name)
    mkdirSync(at)
    for (const [file, text] of Object.entries(files)) writeFileSync(join(at, file), text)
    return at
  }

  const good = log('0 :invoke :write 1', '0 :ok :write 1')
  const stale = log('0 :invoke :read nil', '0 :ok :read 1')
  const own = { key: 'k', kind: 'read', result: 'x', startMs: 0, endMs: 1, outcome: 'ok' }

  test('prints a line for each history in the order of names, and skips what is none', () => {
    const files = {
      'b.log': stale,
      'a.log': good,
      'c.jsonl': jsonLines(own),
      'verdicts.json': '[{"file":"a.log","linearizable":true}]',
      'verdicts.jsonl': '{"file":"a.log","linearizable":true}',
      'README.md': '# Histories',
      'notes.json': '{}',
    }
    const at = fill('mixed', files)
    mkdirSync(join(at, 'more'))
    expect(run([at])).toEqual([
      0,
      [
        '{"file":"a.log","linearizable":true}',
        '{"file":"b.log","linearizable":false}',
        '{"file":"c.jsonl","linearizable":false}',
      ],
      ['README.md', 'notes.json', 'verdicts.json', 'verdicts.jsonl'].map(
        file => `lincheck: ${file} is skipped: no history`,
      ),
    ])
  })

  test('a folder without a history is told, and exits 2', () => {
    const empty = fill('empty', {})
    expect(run([empty])).toEqual([2, [], [`lincheck: no history in ${empty}: 0 files`]])
    const other = fill('other', { 'README.md': '# Nothing', 'verdicts.json': '[]' })
    const [code, out, err] = run([other])
    expect([code, out, err.at(-1)]).toEqual([2, [], `lincheck: no history in ${other}: 2 files`])
  })

  test.each([
    ['mark', `\uFEFF${jsonLines(own)}`, 'a byte order mark before the first call'],
    ['array', JSON.stringify([own]), 'no JSON object'],
    ['misspelt', jsonLines({ ...own, startMs: undefined, startms: 0 }), 'startMs is no number'],
    ['nothing', '', 'no call'],
  ])('a bad first line is told with its number and exits 1: %s', (name, text, reason) => {
    expect(run([fill(name, { 'a.log': good, 'b.jsonl': text })])).toEqual([
      1,
      ['{"file":"a.log","linearizable":true}', '{"file":"b.jsonl","linearizable":null}'],
      [`lincheck: b.jsonl:1: unreadable: ${reason}`],
    ])
  })

  test('what cannot be decided is null, and exits 1', () => {
    const at = fill('hard', { 'a.log': good, 'b.log': `${good}${log('0 :ok :write 1')}` })
    const [code, out, err] = run([at])
    expect([code, out[1]]).toEqual([1, '{"file":"b.log","linearizable":null}'])
    expect(err).toHaveLength(1)
    const [hasty, undecided] = run([fill('long', { 'a.log': stale })], 0)
    expect([hasty, undecided]).toEqual([1, ['{"file":"a.log","linearizable":null}']])
  })

  test('a folder that is none, or not one folder, is one clear line and exits 2', () => {
    for (const args of [[join(folder, 'nowhere')], [], ['--help'], [folder, folder]]) {
      const [code, out, err] = run(args)
      expect([code, out, err.length]).toEqual([2, [], 1])
    }
  })

  test('runs as a process', () => {
    const program = fileURLToPath(new URL('../dist/test/lincheck.js', import.meta.url))
    const judge = (at: string) =>
      spawnSync(process.execPath, [program, at], { encoding: 'utf8', timeout: 30_000 })
    const { status, stdout } = judge(fill('process', { 'a.log': good }))
    expect([status, stdout]).toEqual([0, '{"file":"a.log","linearizable":true}\n'])
    const nowhere = judge(join(folder, 'nowhere'))
    expect([nowhere.status, nowhere.stdout]).toEqual([2, ''])
    expect(nowhere.stderr.split('\n')).toHaveLength(2)
    const empty = judge(fill('process-empty', {}))
    expect([empty.status, empty.stdout]).toEqual([2, ''])
  })
})
