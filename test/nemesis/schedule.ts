/**
 * What was done to the cluster, and when: the other half of a verdict. A loss is judged by the
 * faults that were under way, and a figure counts from the moment of its fault.
 */

export const FAULTS = ['kill', 'stop', 'split', 'one-way', 'handover', 'restart-all'] as const
export type FaultKind = (typeof FAULTS)[number]

/** A moment from which the next acknowledged write is timed: `kill master`, `stop slave` ... */
export interface Mark {
  readonly name: string
  readonly atMs: number
}

/** Nodes that could not talk to each other, from the cut to the heal. */
export interface Separation {
  readonly fromMs: number
  untilMs: number
  /** True if bytes pass both ways between two nodes. */
  readonly linked: (one: string, other: string) => boolean
}

/** A node that lost its memory, or stood still. */
export interface Ailment {
  readonly node: string
  readonly kind: 'killed' | 'stopped'
  readonly fromMs: number
  untilMs: number
}

export class Schedule {
  /** How often each fault was injected. */
  readonly counts: Record<string, number> = {}
  readonly marks: Mark[] = []
  readonly separations: Separation[] = []
  readonly ailments: Ailment[] = []
  /** Faults left out, with the reason. */
  readonly skipped: string[] = []

  count(kind: FaultKind): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1
  }

  mark(name: string): void {
    this.marks.push({ name, atMs: performance.now() })
  }

  separate(linked: Separation['linked']): Separation {
    const separation = { fromMs: performance.now(), untilMs: Number.POSITIVE_INFINITY, linked }
    this.separations.push(separation)
    return separation
  }

  ail(node: string, kind: Ailment['kind']): Ailment {
    const ailment = { node, kind, fromMs: performance.now(), untilMs: Number.POSITIVE_INFINITY }
    this.ailments.push(ailment)
    return ailment
  }
}
