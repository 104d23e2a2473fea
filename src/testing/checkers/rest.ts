/** How long nobody has led: cluster time rests then, and each node's own clock goes on alone. */
import type { Life } from '../life.js'
import type { World } from './checker.js'

export class Rest {
  readonly #world: World
  readonly #leading = new Set<Life>()
  #rested = 0
  #since: number

  constructor(world: World) {
    this.#world = world
    this.#since = world.now()
  }

  /** In all until now. */
  get ms(): number {
    return this.#rested + (this.#leading.size === 0 ? this.#world.now() - this.#since : 0)
  }

  /** `leads`: it serves as master, from now on. */
  lead(life: Life, leads: boolean): void {
    if (this.#leading.has(life) === leads) return
    this.#rested = this.ms
    this.#since = this.#world.now()
    if (leads) this.#leading.add(life)
    else this.#leading.delete(life)
  }
}
