/** Two concurrent writes to one key, of which strategy broadcast keeps one. */

export interface ConflictSide {
  /** As it was written: the cache's codec decodes it. The function's own copy. */
  readonly value: Uint8Array
  /** What getEntry() tells: the later one has the higher. */
  readonly version: number
}

/**
 * Told of each write of this node that a concurrent one of another node has replaced; so of each
 * conflict once, on one node of the cluster. 'mine' is lost, 'theirs' stands; undefined: that side
 * deleted, or cleared the cache. Bytes that it returns become a new write, unless the key has
 * changed again by then; undefined leaves it as it is. Called synchronously, after the step. What
 * it throws is logged.
 */
export type ConflictFunction = (
  cache: string,
  key: string,
  mine: ConflictSide | undefined,
  theirs: ConflictSide | undefined,
) => Uint8Array | undefined
