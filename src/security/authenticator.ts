/**
 * The Authenticator of the house: SCRAM exchanges for dialled and arriving links. The dialler's
 * claims (version, cluster, role, ids and the rest of its hello) travel as extensions of the first
 * message and the acceptor's id as one of its answer, so both proofs cover who speaks with whom.
 */
import { randomBytes } from 'node:crypto'
import { AUTH } from '../config.js'
import type {
  Authenticator,
  Claims,
  Exchange,
  ExchangeEvents,
  Identity,
  Surroundings,
} from '../contracts/authentication.js'
import type { Clock, Logger } from '../contracts/environment.js'
import type { PeerId } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import { type Credential, type CredentialStore, SECRET_USER } from './credentials.js'
import { Guard } from './guard.js'
import type { Keychain } from './keychain.js'
import {
  type ClientFirst,
  type ClientKeys,
  clientFinal,
  clientFirst,
  escaped,
  isServerFinal,
  linkKey,
  readClientFirst,
  readServerFirst,
  type ServerFirst,
  type StoredKeys,
  serverFinal,
  serverFirst,
  unescaped,
} from './scram.js'

export interface AuthenticatorOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** As whom we dial. */
  readonly dials: { readonly user: string; readonly keychain: Keychain }
  /** Whom we let in; undefined for who only dials: nobody. */
  readonly accepts?: { readonly secret: StoredKeys; readonly users: CredentialStore }
  /** Unguessable, new at each call: printable, without commas. */
  readonly nonce?: () => string
}

const NONCE_BYTES = 18
const REFUSAL = 'authentication failed'

/** An Authenticator that knows whom it has let in. */
export interface KnowingAuthenticator extends Authenticator {
  /** Attempts of others that have failed so far. */
  readonly failed: number
  /** May who has proved to be `identity` still come in so: neither gone from the users nor changed
   *  among them? */
  isCurrent(identity: Identity): boolean
}

export function createAuthenticator(options: AuthenticatorOptions): KnowingAuthenticator {
  const nonce = options.nonce ?? (() => randomBytes(NONCE_BYTES).toString('base64'))
  const guard = new Guard(options.clock, options.logger)
  const { accepts } = options
  /** The users that identities were made of; the secret's are none. */
  const proved = new WeakMap<Identity, Credential>()
  return {
    get failed() {
      return guard.failed
    },
    isCurrent(identity) {
      const credential = proved.get(identity)
      return credential === undefined || accepts?.users.isCurrent(credential) === true
    },
    prove: (claims, around, events) => new Proof(options.dials, nonce(), claims, around, events),
    examine(self, claims, first, around, events) {
      const examination = new Examination(accepts, guard, {
        ...{ self, claims, around, events, proved },
      })
      examination.begin(first, nonce())
      return examination
    },
  }
}

/** The dialler's side: said first -> answered, deriving -> said final -> proved. */
class Proof implements Exchange {
  readonly first: string
  readonly #first: ClientFirst
  readonly #keychain: Keychain
  readonly #claims: Claims
  readonly #binding: Uint8Array | undefined
  readonly #events: ExchangeEvents
  #phase: 'first' | 'deriving' | 'final' | 'over' = 'first'
  #speaker: PeerId | undefined
  #signature: Uint8Array | undefined
  #key: Uint8Array | undefined

  constructor(
    { user, keychain }: AuthenticatorOptions['dials'],
    nonce: string,
    claims: Claims,
    { binding }: Surroundings,
    events: ExchangeEvents,
  ) {
    this.#first = clientFirst(user, nonce, extensionsOf(claims), binding)
    this.first = this.#first.message
    this.#keychain = keychain
    this.#claims = claims
    this.#binding = binding
    this.#events = events
  }

  receive(message: string): void {
    if (this.#phase === 'first') this.#derive(message)
    else if (this.#phase === 'final') this.#judge(message)
    else if (this.#phase === 'deriving') this.#fail()
  }

  stop(): void {
    this.#phase = 'over'
  }

  #derive(message: string): void {
    const answer = readServerFirst(message, this.#first)
    const speaker = answer === undefined ? undefined : speakerOf(answer.extensions)
    // Our own id: somebody has sent our own words back to us.
    if (answer === undefined || speaker === undefined || speaker === this.#claims.from) this.#fail()
    else if (!isCountAllowed(answer.iterations)) this.#fail()
    else {
      this.#speaker = speaker
      this.#phase = 'deriving'
      this.#keychain.keys(answer.salt, answer.iterations, keys => this.#prove(answer, keys))
    }
  }

  #prove(answer: ServerFirst, keys: ClientKeys | undefined): void {
    if (this.#phase !== 'deriving') return
    if (keys === undefined) {
      this.#fail()
      return
    }
    const { message, signature } = clientFinal(this.#first, answer, keys, this.#binding)
    this.#signature = signature
    this.#key = linkKey(this.#first, answer, keys.serverKey, this.#binding)
    this.#phase = 'final'
    this.#events.say(message)
  }

  #judge(message: string): void {
    if (!isServerFinal(message, this.#signature as Uint8Array)) {
      this.#fail()
      return
    }
    this.#phase = 'over'
    this.#events.proved({ user: SECRET_USER, role: 'peer' }, this.#speaker, this.#key)
  }

  #fail(): void {
    this.#phase = 'over'
    this.#events.failed(refusal(), 0)
  }
}

interface Meeting {
  readonly self: PeerId
  readonly claims: Claims
  readonly around: Surroundings
  readonly events: ExchangeEvents
  readonly proved: WeakMap<Identity, Credential>
}

/** The acceptor's side: heard first, answered -> heard final -> proved. */
class Examination implements Exchange {
  readonly #accepts: AuthenticatorOptions['accepts']
  readonly #guard: Guard
  readonly #meeting: Meeting
  #user = ''
  #exchange:
    | { first: ClientFirst; answer: ServerFirst; credential: Credential; known: boolean }
    | undefined
  #over = false

  constructor(accepts: AuthenticatorOptions['accepts'], guard: Guard, meeting: Meeting) {
    this.#accepts = accepts
    this.#guard = guard
    this.#meeting = meeting
  }

  begin(message: string | undefined, nonce: string): void {
    const { self, claims, around, events } = this.#meeting
    const first = message === undefined ? undefined : readClientFirst(message, around.binding)
    if (first !== undefined) this.#user = first.user
    const good =
      first !== undefined && first.extensions === extensionsOf(claims) && claims.from !== self
    if (!good || this.#accepts === undefined) {
      this.#fail()
      return
    }
    const { secret, users } = this.#accepts
    const bySecret = first.user === SECRET_USER
    const ofSecret = { ...secret, user: SECRET_USER, role: 'peer', grants: [] } as const
    const { credential, known } = bySecret
      ? { credential: ofSecret, known: true }
      : users.find(first.user)
    const answer = serverFirst(first, nonce, credential, `f=${escaped(self)}`)
    this.#exchange = { first, answer, credential, known }
    events.say(answer.message)
  }

  receive(message: string): void {
    if (this.#over || this.#exchange === undefined) return
    const { first, answer, credential, known } = this.#exchange
    const { claims, around, events, proved } = this.#meeting
    const final = serverFinal(first, answer, message, credential, around.binding)
    const identity = identityOf(claims.from, credential)
    // Nobody guesses the secret, and whoever shares a node's address must not keep it out.
    const bySecret = this.#user === SECRET_USER
    const allowed = bySecret || this.#guard.allows(this.#host, this.#account)
    if (final === undefined || !known || identity === undefined || !allowed) {
      this.#fail()
      return
    }
    this.#over = true
    this.#guard.success(this.#host, this.#account)
    if (identity.user !== SECRET_USER) proved.set(identity, credential)
    events.say(final)
    const key = linkKey(first, answer, credential.serverKey, around.binding)
    events.proved(identity, undefined, key)
  }

  stop(): void {
    this.#over = true
  }

  get #host(): string {
    return this.#meeting.around.host ?? ''
  }

  /** Nodes share one secret, and one node that has a wrong one must not shut out the others. */
  get #account(): string {
    return this.#user === SECRET_USER ? `${SECRET_USER} ${this.#meeting.claims.from}` : this.#user
  }

  #fail(): void {
    this.#over = true
    const peer = this.#meeting.claims.from.slice(0, 80)
    const delayMs = this.#guard.failure(this.#host, this.#account, { peer })
    this.#meeting.events.failed(refusal(), delayMs)
  }
}

/** Who has the secret may be any node, or do anything as a client; a user is never a node. */
function identityOf(from: PeerId, { user, role, grants }: Credential): Identity | undefined {
  const isNode = !from.startsWith('~')
  if (user === SECRET_USER) return { user, role: isNode ? 'peer' : 'admin' }
  if (isNode) return undefined
  return role === 'client' ? { user, role, grants } : { user, role }
}

/** The letters are ours: RFC 5802 leaves those to extensions that it has not taken itself. */
function extensionsOf(claims: Claims): string {
  const { version, cluster, from, to, frameBytesMax, life, dial } = claims
  const role = from.startsWith('~') ? 'client' : 'peer'
  const fields = [
    ...[`g=${version}`, `k=${escaped(cluster)}`, `o=${role}`, `f=${escaped(from)}`],
    ...[`t=${escaped(to)}`, `b=${frameBytesMax}`, `l=${escaped(life)}`, `d=${dial}`],
  ]
  return fields.join(',')
}

function speakerOf(extensions: string): PeerId | undefined {
  return extensions.startsWith('f=') ? unescaped(extensions.slice(2)) : undefined
}

function isCountAllowed(iterations: number): boolean {
  return iterations >= AUTH.iterationsMin && iterations <= AUTH.iterationsMax
}

/** One text for every cause. */
function refusal(): GcacheError {
  return new GcacheError('AUTH_FAILED', REFUSAL)
}
