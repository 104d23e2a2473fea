/**
 * One word, one meaning. The words of DESIGN are used in code and comments, their rivals are not.
 * A word counts whole or as a part of a camelCase name; `tidy: allow word - reason` on its line or
 * alone on the line above excuses it, where the word belongs to somebody else.
 */
import { type Finding, finding, type House, type Source } from './sources.js'

interface Rule {
  /** Each a word, or words that follow each other. */
  readonly words: readonly string[]
  readonly instead: string
  /** Folders where the word is at home. */
  readonly except?: RegExp
}

const forms = (...words: string[]) => words.flatMap(word => [word, `${word}s`])

const RULES: readonly Rule[] = [
  { words: [...forms('leader'), 'primary', 'primaries'], instead: 'master' },
  {
    words: [...forms('replica', 'follower'), 'secondary', 'secondaries'],
    instead: 'slave',
  },
  { words: forms('term', 'generation'), instead: 'epoch' },
  { words: forms('journal'), instead: 'log' },
  { words: ['log index', 'log indices', 'log indexes', ...forms('seqno')], instead: 'offset' },
  { words: [...forms('confirm'), 'confirmed', 'confirming', 'confirmation'], instead: 'ack' },
  {
    words: [...forms('shard', 'bucket'), 'sharded', 'sharding'],
    instead: 'partition or group',
  },
  { words: forms('switchover', 'handoff'), instead: 'handover' },
  { words: forms('migration'), instead: 'rebalance' },
  { words: forms('packet'), instead: 'frame' },
  { words: forms('channel'), instead: 'link' },
  {
    words: forms('connection'),
    instead: 'link',
    except: /^(transports|benchmarks)\/|^(test|src\/testing)\/transport/,
  },
  { words: ['network partition', 'network partitions', 'split brain'], instead: 'network split' },
]

/** The checker and its tests have to name what they look for. */
const EXEMPT = /^test\/tidy(\.test|\/words)\.ts$/
const ALLOW = /tidy: allow ([\w ,-]+?) - \S/
const ALLOW_ANY = /tidy: allow/

interface Token {
  readonly text: string
  readonly start: number
  readonly end: number
}

/** Words of a line: letters only, camelCase and UPPER_CASE names in their parts. */
export function tokensOf(line: string): Token[] {
  const parts = line.matchAll(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+/g)
  return [...parts].map(match => ({
    text: match[0].toLowerCase(),
    start: match.index,
    end: match.index + match[0].length,
  }))
}

function contains(line: string, tokens: readonly Token[], words: string): boolean {
  const wanted = words.split(' ')
  return tokens.some((_, first) =>
    wanted.every((word, i) => {
      const token = tokens[first + i]
      if (token?.text !== word) return false
      return i === 0 || /^[\s_-]*$/.test(line.slice(tokens[first + i - 1].end, token.start))
    }),
  )
}

export function checkWords({ sources }: House): Finding[] {
  return sources.filter(({ path }) => !EXEMPT.test(path)).flatMap(checkSource)
}

function checkSource(source: Source): Finding[] {
  const found: Finding[] = []
  const rules = RULES.filter(({ except }) => !except?.test(source.path))
  let above: string[] = []
  for (const [index, line] of source.lines.entries()) {
    const own = allowed(line)
    const text = line.replace(/(\/\/|\*)?\s*tidy: allow.*$/, '')
    const tokens = tokensOf(text)
    const alone = tokens.length === 0
    const excuses = new Set([...own, ...above])
    const met = new Set<string>()
    for (const { words, instead } of rules)
      for (const word of words) {
        if (!contains(text, tokens, word)) continue
        const singular = word.replace(/s$/, '')
        for (const form of [word, singular]) met.add(form)
        if (excuses.has(word) || excuses.has(singular)) continue
        const remedy = `write ${instead}, or end the line with // tidy: allow ${word} - reason`
        found.push(finding(source, index + 1, `the word "${word}"`, remedy))
      }
    if (ALLOW_ANY.test(line) && own.length === 0)
      found.push(finding(source, index + 1, 'an exception without a reason', 'say why, after -'))
    for (const word of alone ? above : excuses)
      if (!met.has(word))
        found.push(finding(source, index + 1, `nothing to allow for "${word}"`, 'remove it'))
    above = alone ? own : []
  }
  return found
}

function allowed(line: string): string[] {
  const match = ALLOW.exec(line)
  return match ? match[1].split(',').map(word => word.trim().toLowerCase()) : []
}
