/**
 * Measures what DESIGN asks for and writes it, with the machine, between the marks in README.md of
 * this folder: figures that nobody copies by hand are figures that are true.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { options } from './arguments.js'
import { benchFailover } from './failover.js'
import { printer, type Row } from './output.js'
import { benchPeers } from './peers.js'

/** From dist/benchmarks, where this runs. */
const PAGE = fileURLToPath(new URL('../../benchmarks/README.md', import.meta.url))
const BEGIN = '<!-- measured: begin -->'
const END = '<!-- measured: end -->'

const grouped = (value: unknown) => Number(value).toLocaleString('en-US')

function machine(): string {
  const processors = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  const redis = /v=([\d.]+)/.exec(execFileSync('redis-server', ['--version']).toString())?.[1]
  const client = new URL('../../node_modules/ioredis/package.json', import.meta.url)
  const { version } = JSON.parse(readFileSync(client, 'utf8')) as { version: string }
  return (
    `${processors.length} x ${processors[0].model}, ${memory} GiB, ${process.platform}; ` +
    `Node.js ${process.version}, redis-server ${redis}, ioredis ${version}.`
  )
}

function peersLine(row: Row, goal: number): string {
  const wanted = goal === 0 ? '' : row.inFlight === 1 ? `<= ${goal}` : `>= ${goal}`
  const ours =
    row.gcacheP50Ms === undefined ? grouped(row.gcacheOpsPerSec) : `${row.gcacheP50Ms} ms`
  const theirs = row.peerP50Ms === undefined ? grouped(row.peerOpsPerSec) : `${row.peerP50Ms} ms`
  const cells = [row.work, row.inFlight, ours, row.peer, theirs, row.ratio, wanted]
  return `| ${cells.join(' | ')} |`
}

function failoverLine({ kills, p50Ms, p99Ms, maxMs, acknowledged, lost }: Row): string {
  const times = [p50Ms, p99Ms, maxMs].map(ms => `${Math.round(Number(ms))} ms`)
  return `| ${[kills, ...times, grouped(acknowledged), lost].join(' | ')} |`
}

export async function main(args: string[]): Promise<void> {
  const numbers = { kills: 50, pairs: 7, ms: 1_000 }
  const { kills, pairs, ms } = options(args, numbers)
  const print = printer(true)
  const lines = [machine(), '']
  const peers = { pairs, ms, valueBytes: 100, keys: 1_000, codec: 'bytes', only: '' } as const
  lines.push('| work | in flight | Gcache | beside | there | ratio | goal |')
  lines.push('|---|---|---|---|---|---|---|')
  await benchPeers({ ...peers, variants: true }, (row, goal) => {
    print(row)
    lines.push(peersLine(row, goal))
  })
  const cluster = { transport: 'tcp', strategy: 'master-slave', nodes: 3, verbose: false }
  const failover = await benchFailover({ ...cluster, kills, how: 'kill' })
  print(failover)
  lines.push('', '| kills | p50 | p99 | longest | acknowledged writes | lost |')
  lines.push('|---|---|---|---|---|---|', failoverLine(failover))
  const page = readFileSync(PAGE, 'utf8')
  const before = page.slice(0, page.indexOf(BEGIN) + BEGIN.length)
  const after = page.slice(page.indexOf(END))
  writeFileSync(PAGE, `${before}\n${lines.join('\n')}\n${after}`)
}
