/**
 * A dialler's keys, derived from its password once for every salt: PBKDF2 is made to be slow, and a
 * redial after a failover must not be.
 */
import { AUTH } from '../config.js'
import { base64, type ClientKeys, deriveKeys } from './scram.js'
import type { Secret } from './secret.js'

export type Use = (keys: ClientKeys | undefined) => void

export class Keychain {
  readonly #password: Secret
  readonly #known = new Map<string, ClientKeys>()
  readonly #waiting = new Map<string, Use[]>()

  constructor(password: Secret) {
    this.#password = password
  }

  /** Calls `use` at once for a salt that was met before, else in an event, without keys if they
   *  cannot be had: too many salts are being worked on. */
  keys(salt: Uint8Array, iterations: number, use: Use): void {
    const name = `${iterations}:${base64(salt)}`
    const known = this.#known.get(name)
    const waiting = this.#waiting.get(name)
    if (known !== undefined) use(known)
    else if (waiting !== undefined) waiting.push(use)
    else if (this.#waiting.size >= AUTH.derivationsMax) use(undefined)
    else this.#derive(name, salt, iterations, use)
  }

  #derive(name: string, salt: Uint8Array, iterations: number, use: Use): void {
    this.#waiting.set(name, [use])
    this.#password.expose(bytes =>
      deriveKeys(bytes, salt, iterations, (_error, keys) => {
        const waiting = this.#waiting.get(name) ?? []
        this.#waiting.delete(name)
        if (keys !== undefined) this.#keep(name, keys)
        for (const each of waiting) each(keys)
      }),
    )
  }

  #keep(name: string, keys: ClientKeys): void {
    this.#known.set(name, keys)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= AUTH.keysMax) return
      this.#known.get(oldest)?.clientKey.fill(0)
      this.#known.delete(oldest)
    }
  }
}
