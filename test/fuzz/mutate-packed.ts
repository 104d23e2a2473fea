/**
 * Mutants of packed messages that are still messages: a field is gone, of another kind, or of a
 * value at some bound. Changed bytes alone rarely get past msgpack to the checks behind it.
 */
import type { SeededRandom } from '../../src/core/prng.js'
import { packMessage, unpackMessage } from '../../src/wire/control.js'

type Parent = Record<string, unknown> | unknown[]

const VALUES: readonly unknown[] = [
  ...[null, undefined, true, false, 0, -1, 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY],
  ...[2 ** 32, 2 ** 53, Number.MAX_SAFE_INTEGER, -(2 ** 53), 256, 65_536, 1e308],
  ...['', 'a', '~', '*', '__proto__', 'toString', 'status', 'x'.repeat(300), '\0', '\ud800'],
  ...['0011223344556677', '00112233445566FF', 'tcp://127.0.0.1:1', 'NOT_MASTER', '\u{1f511}'],
  ...[[], [[]], [0, '0011223344556677'], [null], {}, { type: 'x' }, { a: [] }, Buffer.of(26, 0, 0)],
  ...[Buffer.alloc(0), Array(300).fill('a'), Array(9).fill([1, '0011223344556677', 1])],
]

/** Kinds of frames whose rest is a packed map: greetings, control, and the strategy's. */
const KINDS: readonly number[] = [1, 2, 3, 0x50]

/** Undefined for a seed that is no packed message. */
export function mutatePacked(random: SeededRandom, seed: Uint8Array): Buffer | undefined {
  if (!KINDS.includes(seed[0])) return undefined
  try {
    const message = unpackMessage(seed)
    do change(random, message)
    while (random.chance(0.3))
    return Buffer.from(packMessage(seed[0], message))
  } catch {
    return undefined
  }
}

/** Goes down some fields, and changes the one where it ends. */
function change(random: SeededRandom, message: Record<string, unknown>): void {
  let parent: Parent = message
  for (;;) {
    const names: string[] = Object.keys(parent)
    const name: string = names.length > 0 ? random.pick(names) : 'x'
    const value: unknown = (parent as Record<string, unknown>)[name]
    if (isParent(value) && random.chance(0.7)) {
      parent = value
      continue
    }
    const fields = parent as Record<string, unknown>
    const drawn = random.below(10)
    if (drawn === 0) delete fields[name]
    else if (drawn < 3) fields[name] = own(message[random.pick(Object.keys(message))])
    else if (drawn < 5 && typeof value === 'number') fields[name] = value + random.below(5) - 2
    else if (drawn === 5 && Array.isArray(parent)) parent.push(...parent.slice(0, 300))
    else fields[name] = own(random.pick(VALUES))
    return
  }
}

/** A value that stands in two places would be changed in both, and might hold itself. */
function own(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(own)
  if (!isParent(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, own(item)]))
}

function isParent(value: unknown): value is Parent {
  return typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)
}
