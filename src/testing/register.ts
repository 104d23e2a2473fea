/**
 * The object that recorded histories speak of: a register with read, write, compare-and-swap and
 * delete. Values are texts; the empty text is the register without a value.
 */
import type { Model } from './linearizability.js'

export const ABSENT = ''

export type RegisterOperation =
  | { readonly kind: 'read'; readonly result: string }
  | { readonly kind: 'write'; readonly value: string }
  | {
      readonly kind: 'cas'
      readonly expected: string
      readonly value: string
      /** False: the register was not as expected. Undefined: nobody knows. */
      readonly done: boolean | undefined
    }
  | {
      readonly kind: 'delete'
      /** Whether there was a value. Undefined: nobody knows. */
      readonly found: boolean | undefined
    }

/** A register that is absent at first. */
export const register: Model<string, RegisterOperation> = {
  initial: ABSENT,
  apply(state, operation) {
    switch (operation.kind) {
      case 'read':
        return operation.result === state ? state : undefined
      case 'write':
        return operation.value
      case 'cas': {
        const { expected, value, done } = operation
        const matches = state === expected
        if (done !== undefined && done !== matches) return undefined
        return matches ? value : state
      }
      case 'delete':
        if (operation.found === (state === ABSENT)) return undefined
        return ABSENT
    }
  },
  likeness: operation => JSON.stringify(operation),
}
