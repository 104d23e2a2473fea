/**
 * Subjects of a cluster on its broker. A broker's permissions can be given by them: a node
 * subscribes to its own `n` and `i` and to all `m`, it publishes to all `n` and `i` and to its own
 * `m`; a client subscribes to its own `i` and publishes to all `n` and `i`.
 *
 *   <prefix>.<cluster>.n.<name>              who wants a stream with the node that listens there
 *   <prefix>.<cluster>.i.<id>.<life>.<n>     what is for stream n of one life of `id`
 *   <prefix>.<cluster>.m.<id>.<life>         what that life of `id` says to many nodes at once
 */
import type { PeerId } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'

/** Where a stream of somebody is reached. */
export interface Inbox {
  readonly id: PeerId
  readonly stream: number
  /** Where the same life of it speaks to many. */
  readonly many: string
}

const PREFIX = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/
const PREFIX_CHARS_MAX = 64
const REST = /^([~A-Za-z0-9_-]{1,80})\.([a-z0-9]{1,32})\.([a-z0-9]{1,7})$/

/** CONFIG unless it is words with dots between them. */
export function checkPrefix(prefix: unknown): string {
  if (typeof prefix === 'string' && PREFIX.test(prefix) && prefix.length <= PREFIX_CHARS_MAX)
    return prefix
  throw new GcacheError(
    'CONFIG',
    `nats: option prefix must be words of A-Z a-z 0-9 _ - with dots between them, at most ` +
      `${PREFIX_CHARS_MAX} characters`,
  )
}

export class Subjects {
  readonly #nodes: string
  readonly #inboxes: string
  readonly #own: string
  readonly #manies: string
  /** Where we speak to many. */
  readonly many: string

  /** `life` tells this start from others of the same id. */
  constructor(prefix: string, cluster: string, self: PeerId, life: string) {
    this.#nodes = `${prefix}.${word(cluster)}.n.`
    this.#inboxes = `${prefix}.${word(cluster)}.i.`
    this.#own = `${this.#inboxes}${self}.${life}.`
    this.#manies = `${prefix}.${word(cluster)}.m.`
    this.many = `${this.#manies}${self}.${life}`
  }

  node(name: string): string {
    return this.#nodes + name
  }

  /** All our streams. */
  get inboxes(): string {
    return `${this.#own}*`
  }

  inbox(stream: number): string {
    return this.#own + stream.toString(36)
  }

  /** Undefined for a subject that is no inbox of this cluster. */
  parse(subject: string): Inbox | undefined {
    if (!subject.startsWith(this.#inboxes)) return undefined
    const match = REST.exec(subject.slice(this.#inboxes.length))
    if (match === null) return undefined
    const [, id, life, stream] = match
    return { id, stream: Number.parseInt(stream, 36), many: `${this.#manies}${id}.${life}` }
  }
}

/** A cluster's name as one word of a subject; those of nodes are such words already. */
export function word(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, char => `=${char.codePointAt(0)?.toString(16)}=`)
}
