/**
 * Exchanges of proofs in which one of the four messages is another: a mutant of the right one, or
 * what was right in an exchange before. Whoever gets it, and whoever speaks after it, must never
 * believe the other side; what is left as it was must be believed.
 */
import type { Exchange, Surroundings } from '../../src/contracts/authentication.js'
import type { SeededRandom } from '../../src/core/prng.js'
import { SILENCE } from '../../src/core/silence.js'
import { GcacheError } from '../../src/errors.js'
import { createAuthenticator } from '../../src/security/authenticator.js'
import {
  CredentialStore,
  makeCredential,
  SECRET_USER,
  storedOf,
} from '../../src/security/credentials.js'
import { Keychain, type Use } from '../../src/security/keychain.js'
import { Secret } from '../../src/security/secret.js'
import { VirtualClock } from '../../src/testing/virtual-clock.js'
import { found } from './corpus.js'
import { promise, type Target, type Trial } from './target.js'

const ITERATIONS = 4_096
/** Right messages of earlier exchanges that are said again. */
const HEARD_MAX = 24
const SALT = Buffer.alloc(16, 3)
const secret = new Secret('a secret of the whole cluster: 32 bytes or more')
const password = new Secret('pencil-of-ann')
const stored = await storedOf(secret, SALT, ITERATIONS)
const ann = await makeCredential('ann', 'client', password, ITERATIONS)
const users = new CredentialStore(new Map([['ann', ann]]), Buffer.alloc(32, 4))

/** Derives nothing for a salt that somebody made up, as if it had too many to work on. */
class Known extends Keychain {
  readonly #salt: Buffer

  constructor(password: Secret, salt: Uint8Array) {
    super(password)
    this.#salt = Buffer.from(salt)
  }

  override keys(salt: Uint8Array, iterations: number, use: Use): void {
    if (iterations === ITERATIONS && this.#salt.equals(salt)) super.keys(salt, iterations, use)
    else use(undefined)
  }
}

async function known(password: Secret, salt: Uint8Array): Promise<Keychain> {
  const chain = new Known(password, salt)
  await new Promise(resolve => chain.keys(salt, ITERATIONS, resolve))
  return chain
}

const DIALLERS = [
  { user: SECRET_USER, from: 'b', keychain: await known(secret, SALT) },
  { user: SECRET_USER, from: '~admin', keychain: await known(secret, SALT) },
  { user: 'ann', from: '~ann', keychain: await known(password, ann.salt) },
] as const

/** One exchange, up to the message that will be another. */
class Meeting {
  /** Said so far: client-first, server-first, client-final, server-final. */
  readonly said: string[] = []
  /** 'client' believes the server, 'server' the client. */
  readonly believed = new Set<'client' | 'server'>()
  refusal: Error | undefined
  readonly #client: Exchange
  #server: Exchange | undefined
  readonly #examine: (first: string) => Exchange

  constructor(random: SeededRandom, count: number) {
    const clock = new VirtualClock()
    let nonces = 0
    const nonce = () => `${count}-${nonces++}-${random.below(2 ** 30)}`
    const dials = random.pick(DIALLERS)
    const world = { clock, logger: SILENCE, nonce, dials }
    const dialler = createAuthenticator(world)
    const acceptor = createAuthenticator({ ...world, accepts: { secret: stored, users } })
    const life = 'l'
    const limits = { version: 1, frameBytesMax: 4_096, life, dial: 1 + random.below(3) }
    const claims = { ...limits, cluster: 'shop', from: dials.from, to: 'a' }
    const around: Surroundings = {
      host: '10.0.0.1',
      ...(random.chance(0.5) ? { binding: Buffer.alloc(32, 7) } : {}),
    }
    const events = (who: 'client' | 'server') => ({
      say: (message: string) => void this.said.push(message),
      proved: () => void this.believed.add(who),
      failed: (error: Error) => {
        this.refusal = error
      },
    })
    const proof = dialler.prove(claims, around, events('client'))
    this.said.push(proof.first)
    this.#client = proof
    this.#examine = first => acceptor.examine('a', claims, first, around, events('server'))
  }

  /** Somebody hears message `step`, 1 to 4, as `text`. */
  hear(step: number, text: string): void {
    if (step === 1) this.#server = this.#examine(text)
    else if (step === 3) this.#server?.receive(text)
    else this.#client.receive(text)
  }

  /** All that is said from message `step` on is heard as it is said. */
  goOn(step: number): void {
    for (let at = step; at <= 4 && this.said.length >= at; at++) this.hear(at, this.said[at - 1])
  }
}

class Proofs implements Trial {
  readonly #random: SeededRandom
  readonly #heard: Buffer[] = []
  #meeting: Meeting
  #step = 1
  #count = 0

  constructor(random: SeededRandom) {
    this.#random = random
    this.#meeting = this.#begin()
  }

  get seeds(): readonly Uint8Array[] {
    const right = Buffer.from(this.#right)
    return this.#random.chance(0.8) ? [right] : [right, ...this.#heard, ...FOUND]
  }

  take(input: Buffer): string {
    const meeting = this.#meeting
    const [step, right] = [this.#step, this.#right]
    const text = input.toString('utf8')
    meeting.hear(step, text)
    meeting.goOn(step + 1)
    this.#heard.push(Buffer.from(right))
    if (this.#heard.length > HEARD_MAX) this.#heard.shift()
    this.#meeting = this.#begin()
    const believed = [...meeting.believed].join(' and ')
    // The server has seen its proof before it says the last message.
    const expected = text === right ? 'server and client' : step === 4 ? 'server' : ''
    promise(believed === expected, `message ${step}: ${believed} believed, ${expected} should`)
    if (meeting.refusal !== undefined) throw meeting.refusal
    if (text !== right && step !== 4) throw new GcacheError('AUTH_FAILED', 'nothing was said')
    return `message ${step}, ${believed} believed`
  }

  get #right(): string {
    return this.#meeting.said[this.#step - 1]
  }

  #begin(): Meeting {
    const meeting = new Meeting(this.#random, this.#count++)
    this.#step = 1 + this.#random.below(4)
    for (let at = 1; at < this.#step; at++) meeting.hear(at, meeting.said[at - 1])
    promise(meeting.said.length === this.#step, `message ${this.#step} was never said`)
    return meeting
  }
}

const FOUND = found('proofs')

export const PROOF_TARGET: Target = {
  name: 'proofs',
  weight: 5,
  pure: false,
  open: random => new Proofs(random),
}
