/**
 * What a load generator calls: Gcache through its client, redis through ioredis. Both get keys
 * that are ready-made strings and one value of the same length, bytes for the one and text for the
 * other, which is what either takes without conversion.
 */
import { Redis } from 'ioredis'
import { connect as connectBroker } from 'nats'
import { connect } from '../src/index.js'
import { openEmbedded } from './embedded.js'
import type { TargetOptions, Work } from './harness.js'

/** One call on one key. */
export type Call = (key: string) => Promise<unknown>

export interface Target {
  call(work: Work): Call
}

export function openTarget(options: TargetOptions, valueBytes: number): Promise<Target> {
  if (options.kind === 'redis') return openRedis(options, valueBytes)
  return options.kind === 'nats' ? openNats(options, valueBytes) : openGcache(options, valueBytes)
}

async function openGcache(
  options: Extract<TargetOptions, { kind: 'gcache' | 'embedded' }>,
  valueBytes: number,
): Promise<Target> {
  const client =
    options.kind === 'embedded'
      ? await openEmbedded(options)
      : await connect({
          cluster: options.cluster,
          servers: [...options.servers],
          ...(options.ca === undefined ? {} : { tls: { ca: options.ca } }),
        })
  const text = 'v'.repeat(valueBytes)
  const bytes = new TextEncoder().encode(text)
  const cache = client.cache<unknown>('bench', { codec: options.codec })
  const value = options.codec === 'bytes' ? bytes : text
  const master = { ack: 'master' } as const
  const slave = { ack: 'slaves:1' } as const
  return {
    call(work) {
      if (work === 'get') return key => cache.get(key)
      if (work === 'set') return key => cache.set(key, value, master)
      return key => cache.set(key, value, slave)
    },
  }
}

/** The broker's own request and reply, with somebody who answers as fast as can be. */
async function openNats(
  { server, subject }: TargetOptions & { kind: 'nats' },
  valueBytes: number,
): Promise<Target> {
  const broker = await connectBroker({ servers: server, noAsyncTraces: true })
  const value = new TextEncoder().encode('v'.repeat(valueBytes))
  const ask = () => broker.request(subject, value, { timeout: 5_000 }).then(reply => reply.data)
  return { call: () => ask }
}

async function openRedis(
  options: TargetOptions & { kind: 'redis' },
  valueBytes: number,
): Promise<Target> {
  const redis = new Redis(options.port, { enableAutoPipelining: options.autoPipelining })
  const value = 'v'.repeat(valueBytes)
  let shared: Promise<number> | undefined
  const sharedWait = () => {
    shared ??= new Promise(resolve => setImmediate(resolve)).then(() => {
      shared = undefined
      return redis.wait(1, 0)
    })
    return shared
  }
  const calls: Record<Work, Call> = {
    get: key => redis.get(key),
    set: key => redis.set(key, value),
    // Both are written together: one journey to the server for a write and its acknowledgement.
    'set-slave': key => Promise.all([redis.set(key, value), redis.wait(1, 0)]),
    // The WAITs of many writes meet at the server, and one answer of the slave serves them all.
    'set-then-wait': key => redis.set(key, value).then(() => redis.wait(1, 0)),
    // One WAIT for all writes answered in a turn: what an application would have to build.
    'set-shared-wait': key => redis.set(key, value).then(sharedWait),
  }
  return { call: work => calls[work] }
}
