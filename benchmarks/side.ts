/** One side of a comparison: nodes as a user starts them, and the client that loads them. */
import { Cluster, type ClusterOptions, Load, type RunOptions, type RunResult } from './harness.js'
import { median, roundRatio } from './statistics.js'

export interface SideOptions extends Partial<ClusterOptions> {
  readonly keys: number
  readonly valueBytes: number
  /** The authority of the nodes' certificates, PEM; without it links are plain. */
  readonly ca?: string
}

export class Side {
  readonly cluster: Cluster
  readonly #load: Load

  private constructor(cluster: Cluster, load: Load) {
    this.cluster = cluster
    this.#load = load
  }

  /** By itself one node over TCP. Resolves when every key has a value. */
  static async open({ keys, valueBytes, ca, ...how }: SideOptions): Promise<Side> {
    const cluster = await Cluster.start({
      ...{ nodes: 1, transport: 'tcp', strategy: 'master-slave', ...how },
    })
    const { name, servers } = cluster
    const encrypted = ca === undefined ? {} : { ca }
    const target = { kind: 'gcache', cluster: name, servers, codec: 'bytes', ...encrypted } as const
    return new Side(cluster, await Load.open({ target, keys, valueBytes }))
  }

  run(run: RunOptions): Promise<RunResult> {
    return this.#load.run(run)
  }

  async close(): Promise<void> {
    this.#load.close()
    await this.cluster.stop()
  }
}

/** Two sides for as long as `use` takes. */
export async function withSides<T>(
  hows: readonly [SideOptions, SideOptions],
  use: (one: Side, other: Side) => Promise<T>,
): Promise<T> {
  const sides: Side[] = []
  try {
    for (const how of hows) sides.push(await Side.open(how))
    return await use(sides[0], sides[1])
  } finally {
    for (const side of sides) await side.close()
  }
}

export interface Compared {
  /** Calls a second, medians. */
  readonly one: number
  readonly other: number
  /** The median of the pairs', one to the other. */
  readonly ratio: number
}

/** Two sides do the same in turn, after a warm-up of `warmMs` each. */
export async function compared(
  one: { run(run: RunOptions): Promise<RunResult> },
  other: { run(run: RunOptions): Promise<RunResult> },
  run: RunOptions,
  count: number,
  warmMs = run.ms / 2,
): Promise<Compared> {
  const figures: (readonly [number, number])[] = []
  for (let pair = -1; pair < count; pair++) {
    const now = pair < 0 ? { ...run, ms: warmMs } : run
    const first = (await one.run(now)).opsPerSec
    const second = (await other.run(now)).opsPerSec
    if (pair >= 0) figures.push([first, second])
  }
  const [first, second] = [0, 1].map(side => Math.round(median(figures.map(pair => pair[side]))))
  const ratio = roundRatio(median(figures.map(([mine, its]) => mine / its)))
  return { one: first, other: second, ratio }
}
