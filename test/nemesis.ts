/**
 * `npm run nemesis -- --minutes N [--profile ordinal|strict|majority] [--nodes 3|5] [--ack LEVEL]
 * [--seed S] [--histories DIR] [--faults kill,stop,split,one-way,handover,restart-all] [--json]`:
 * real `gcache serve` processes, every link through a TCP proxy, clients that never pause, and one
 * fault after the other (TESTING.md section 8). What was acknowledged is read back at the end.
 *
 * kill         kill -9, 60 % the master, sometimes while another node is stopped; then a restart
 * stop         SIGSTOP for 0.2-20 s
 * split        one node, a minority or a pair cut off for 2-10 s: bytes vanish or stall, or resets
 * one-way      what a node says is lost, or what it should hear
 * handover     `gcache handover` where the version has it, and SIGTERM to the master
 * restart-all  all nodes one after the other, by SIGTERM or SIGKILL
 *
 * Nodes hold data in memory, so the next fault waits until all are in sync again. Closes with one
 * line of JSON; exits 1 on violations: acknowledged writes lost (beyond those of `lostAllowed`, for
 * the reasons in nemesis/allowed.ts), writes done twice or done though refused, masters that
 * overlap, nodes that end by themselves or do not converge. The seed fixes the order of the faults
 * and all choices, not the time at which processes run: a red run keeps its logs and its schedule.
 */
import { fileURLToPath } from 'node:url'
import { parsedOrExit } from './flags.js'
import { commandOf, type NemesisOptions, parseOptions } from './nemesis/options.js'
import { type NemesisResult, runNemesis } from './nemesis/run.js'

/** The closing line. Times in ms. */
export function closing(options: NemesisOptions, result: NemesisResult): Record<string, unknown> {
  const { profile, recorder, schedule, verdict } = result
  return {
    nemesis: true,
    profile,
    nodes: options.nodes,
    minutes: Math.round(result.seconds / 6) / 10,
    seed: options.seed,
    ack: options.ack ?? 'default',
    faults: schedule.counts,
    skipped: schedule.skipped,
    calls: recorder.calls,
    acked: recorder.acked,
    unknown: recorder.unknown,
    rejected: recorder.rejected,
    codes: Object.fromEntries(recorder.codes),
    lost: verdict.lost,
    lostAllowed: verdict.lostAllowed,
    duplicated: verdict.duplicated,
    phantoms: verdict.phantoms,
    shortOfCopies: verdict.shortOfCopies,
    overlaps: verdict.overlaps,
    overlapsAllowed: verdict.overlapsAllowed,
    longestCallMs: Math.round(recorder.longestCallMs),
    unavailableMs: result.unavailableMs,
    violations: result.violations,
  }
}

async function main(): Promise<void> {
  const options = parsedOrExit('nemesis', parseOptions)
  // Children die with this process: an exit handler kills them.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(130))
  const beganMs = performance.now()
  const say = (line: string) => {
    const text = `${((performance.now() - beganMs) / 1_000).toFixed(1).padStart(7)} s  ${line}`
    if (options.json) console.error(text)
    else console.log(text)
  }
  say(commandOf(options))
  const result = await runNemesis(options, say)
  for (const [reason, times] of result.verdict.reasons) say(`${times} allowed: ${reason}`)
  for (const skipped of result.schedule.skipped) say(`left out: ${skipped}`)
  for (const finding of result.findings.slice(0, 50)) say(`VIOLATION ${finding}`)
  if (result.folder !== undefined) say(`logs, findings and schedule: ${result.folder}`)
  if (result.violations > 0) say(`seed ${options.seed}, again: ${commandOf(options)}`)
  console.log(JSON.stringify(closing(options, result)))
  process.exitCode = result.violations > 0 ? 1 : 0
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main().catch((error: Error) => {
    console.error(`nemesis: ${error.message}`)
    process.exitCode = 1
  })
