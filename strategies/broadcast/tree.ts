/** The hash tree over the 1,024 leaves of a store: 32 nodes over 32 leaves each, and a root. */

const LEAVES = 1_024
const NODES = 32
export const LEAVES_OF_NODE_BYTES = (LEAVES / NODES) * 8

/** 32 nodes of 8 bytes. */
export function nodesOf(leaves: Uint8Array): Uint8Array {
  const nodes = new Uint8Array(NODES * 8)
  for (let node = 0; node < NODES; node++) {
    const start = node * LEAVES_OF_NODE_BYTES
    nodes.set(hashOf(leaves.subarray(start, start + LEAVES_OF_NODE_BYTES)), node * 8)
  }
  return nodes
}

/** 8 bytes. */
export function rootOf(leaves: Uint8Array): Uint8Array {
  return hashOf(nodesOf(leaves))
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** The leaves that differ from those of the nodes in `mask`, which `theirs` holds in order. */
export function differing(leaves: Uint8Array, mask: number, theirs: Uint8Array): number[] {
  const found: number[] = []
  let at = 0
  for (let node = 0; node < NODES; node++) {
    if ((mask & (1 << node)) === 0) continue
    for (let i = 0; i < LEAVES / NODES; i++, at += 8) {
      const leaf = node * (LEAVES / NODES) + i
      const own = leaves.subarray(leaf * 8, leaf * 8 + 8)
      if (!equal(own, theirs.subarray(at, at + 8))) found.push(leaf)
    }
  }
  return found
}

/** A bit for each leaf. */
export function bitmapOf(leaves: readonly number[]): Uint8Array {
  const bitmap = new Uint8Array(LEAVES / 8)
  for (const leaf of leaves) bitmap[leaf >> 3] |= 1 << (leaf & 7)
  return bitmap
}

/** 64 bits in two lanes (FNV-1a, and a multiplicative one). */
function hashOf(bytes: Uint8Array): Uint8Array {
  let [a, b] = [0x811c9dc5, 0x9747b28c]
  for (const byte of bytes) {
    a = Math.imul(a ^ byte, 0x01000193)
    b = Math.imul(b ^ byte, 0x5bd1e995)
    b ^= b >>> 15
  }
  return new Uint8Array(Uint32Array.of(a >>> 0, b >>> 0).buffer)
}
