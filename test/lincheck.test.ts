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
    ['none', 'another file of JSON lines', [{ bench: 'get' }, write]],
  ])('%s: %s', (expected, _, calls) => {
    expect(verdict(jsonLines(...calls))).toBe(expected)
  })

  test('a line cut short is damage', () => {
    const text = jsonLines(write, write)
    expect(parseHistory(text.slice(0, -9))).toMatchObject({ kind: 'damaged', line: 2 })
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
      'verdicts.json': '[]',
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
      [
        'lincheck: notes.json is skipped: no history',
        'lincheck: verdicts.json is skipped: no history',
      ],
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
  })
})
