/** The walks of the store that copies to slaves go by. */
import type { Clock } from '../contracts/environment.js'
import type { StateMachine } from '../contracts/store.js'
import type { Input } from '../contracts/strategy.js'
import type { GroupId } from '../contracts/types.js'

export class Snapshots {
  readonly #store: StateMachine
  readonly #clock: Clock
  readonly #feed: (input: Extract<Input<never>, { kind: 'snapshot' }>) => void
  readonly #open = new Set<number>()

  /** `feed`: passed over once the engine has stopped. */
  constructor(
    store: StateMachine,
    clock: Clock,
    feed: (input: Extract<Input<never>, { kind: 'snapshot' }>) => void,
  ) {
    this.#store = store
    this.#clock = clock
    this.#feed = feed
  }

  open(id: number, what: Uint8Array | undefined): void {
    this.#open.add(id)
    this.#store.openSnapshot(id, what)
  }

  /** In a turn of its own, so that a copy never holds up the calls of clients. */
  read(group: GroupId, id: number, bytesMax: number): void {
    this.#clock.after(0, () => {
      if (!this.#open.has(id)) return
      const { slice, next, state } = this.#store.readSnapshot(id, bytesMax)
      this.#feed({ kind: 'snapshot', group, id, next, slice, state })
    })
  }

  close(id: number): void {
    this.#open.delete(id)
    this.#store.closeSnapshot(id)
  }

  /** Nothing is read any more. */
  stop(): void {
    this.#open.clear()
  }
}
