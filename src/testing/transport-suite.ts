/**
 * The laws of a transport, T1-T13, as tests for any runner (in the manner of abstract-level): one
 * factory, one call. Every test runs on a fresh medium, in real or virtual time, and every node in
 * it is watched throughout for T2 and T8. A law's test goes red when the law is broken.
 *
 *   transportSuite({ test, name: 'tcp', streams: true, medium: () => ({ ...realTime(), ... }) })
 */
import assert from 'node:assert/strict'
import type { StreamLayer } from '../../transports/stream/layer.js'
import type { Clock, Random } from '../contracts/environment.js'
import type { Transport, TransportEnv } from '../contracts/transport.js'
import type { PeerId } from '../contracts/types.js'
import { systemClock } from '../engine/system-clock.js'
import { Bench } from './transport-bench.js'
import { FLOW_LAWS } from './transport-laws-flow.js'
import { LINK_LAWS } from './transport-laws-links.js'
import { RAW_LAWS } from './transport-laws-raw.js'
import type { VirtualClock } from './virtual-clock.js'

/** How a suite waits: by real events, or by moving a virtual clock. */
export interface SuiteTime {
  readonly clock: Clock
  /** True as soon as `condition` holds; false after `msMax` without it. */
  until(condition: () => boolean, msMax: number): Promise<boolean>
}

/** A fresh medium for one test. */
export interface SuiteMedium extends SuiteTime {
  /** Makes the transport of one node; several on one medium must be able to meet. */
  transport(env: TransportEnv): Transport
  /** Where the node `id` shall listen. */
  listen(id: PeerId): string
  /** A well-formed address at which nobody answers. */
  readonly nowhere: string
  readonly random: Random
  /** Connect and hello together, as the transports were made, ms. */
  readonly handshakeMs: number
  /** What the medium itself may swallow within one turn, above the transport's queue, bytes. */
  readonly mediumBytesMax: number
  /** For transports over stream/: bare streams of the same medium, in the name of node `id`. */
  layer?(id: PeerId): StreamLayer
  close(): Promise<void>
}

export interface TransportSuiteOptions {
  /** `test` of vitest, `it` of mocha, `test` of node:test. */
  test(name: string, body: () => Promise<void>): unknown
  /** Begins every test's name. */
  name: string
  /** The transport is made of a StreamLayer: raw bytes are sent at it too. */
  streams: boolean
  medium(): SuiteMedium
}

export interface Law {
  readonly name: string
  run(bench: Bench): Promise<void>
}

/** Registers one test a law (some laws have several). */
export function transportSuite({ test, name, streams, medium }: TransportSuiteOptions): void {
  const laws = [...LINK_LAWS, ...FLOW_LAWS, ...(streams ? RAW_LAWS : [])]
  for (const law of laws)
    test(`${name}: ${law.name}`, async () => {
      const bench = new Bench(medium())
      try {
        await law.run(bench)
        assert.deepEqual(bench.violations, [], 'laws T2 and T8, watched in every test')
      } finally {
        await bench.close()
      }
    })
}

/** Time for transports on a real medium. */
export function realTime(): SuiteTime {
  return {
    clock: systemClock,
    async until(condition, msMax) {
      const endMs = systemClock.now() + msMax
      while (!condition()) {
        if (systemClock.now() >= endMs) return false
        await new Promise(resolve => setImmediate(resolve))
      }
      return true
    },
  }
}

/** Time for transports on a medium that is simulated under `clock`. */
export function virtualTime(clock: VirtualClock): SuiteTime {
  return { clock, until: async (condition, msMax) => clock.advanceUntil(condition, msMax) }
}
