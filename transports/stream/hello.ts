/**
 * The first frames of a link, before any of the engine's. The dialler says hello, the acceptor says
 * hello or refused, the dialler says ready or refused:
 *
 *   u8 1 hello | u8 2 ready | u8 3 refused | u8 4 proof, then a msgpack map (wire/control.ts)
 *
 * Where an authenticator is at work, proofs go to and fro between the two hellos, the first of them
 * inside the dialler's.
 *
 * `life` and `dial` tell which of two links is the later one; see stream/transport.ts.
 */
import { PROTOCOL_VERSION } from '../../src/config.js'
import type { PeerId } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'
import { checkFields, packMessage, unpackMessage } from '../../src/wire/control.js'

const HELLO = 1
const READY = 2
const REFUSED = 3
const PROOF = 4

export interface Hello {
  kind: 'hello'
  version: number
  cluster: string
  from: PeerId
  /** Whom the speaker expects; an alias (`*...`) stands for anybody. */
  to: PeerId
  /** The largest frame that the speaker accepts on this link, bytes. */
  frameBytesMax: number
  /** New with every start of a transport. */
  life: string
  /** How often this life has dialled, this dial included. */
  dial: number
  /** What a node replicates by. */
  strategy?: string
  /** The first message of the dialler's proof, if it has one. */
  proof?: string
}

export interface Refused {
  kind: 'refused'
  reason: string
  /** Not an error: another link with the same peer goes before this one. */
  tie: boolean
  /** Of errors.ts, if it is another than REFUSED. */
  code?: string
}

/** One of the messages between the hellos. */
export interface ProofMessage {
  kind: 'proof'
  message: string
}

export type Greeting = Hello | Refused | ProofMessage | { kind: 'ready' }

const KINDS = { hello: HELLO, refused: REFUSED, proof: PROOF }

export function isAlias(peer: PeerId): boolean {
  return peer.startsWith('*')
}

export function isClient(peer: PeerId): boolean {
  return peer.startsWith('~')
}

export function encodeGreeting(greeting: Greeting): Uint8Array {
  if (greeting.kind === 'ready') return packMessage(READY, {})
  const { kind, ...fields } = greeting
  return packMessage(KINDS[kind], fields)
}

/** PROTOCOL_ERROR for anything that is none. A hello of another version has only its `version`. */
export function decodeGreeting(frame: Uint8Array): Greeting {
  const kind = frame[0]
  if (kind !== HELLO && kind !== READY && kind !== REFUSED && kind !== PROOF)
    throw new GcacheError('PROTOCOL_ERROR', `no greeting begins with byte ${kind}`)
  const message = unpackMessage(frame)
  if (kind === READY) return { kind: 'ready' }
  if (kind === REFUSED) {
    checkFields(message, { reason: 'text', tie: 'flag', code: 'text?' })
    const { reason, tie, code } = message as unknown as Refused
    return { kind: 'refused', reason, tie, ...(code === undefined ? {} : { code }) }
  }
  if (kind === PROOF) {
    checkFields(message, { message: 'text' })
    return { kind: 'proof', message: message.message as string }
  }
  checkFields(message, { version: 'whole' })
  if (message.version === PROTOCOL_VERSION)
    checkFields(message, {
      cluster: 'text',
      from: 'text',
      to: 'text',
      frameBytesMax: 'whole',
      life: 'text',
      dial: 'whole',
      strategy: 'text?',
      proof: 'text?',
    })
  return { ...message, kind: 'hello' } as Hello
}

/** Who listens to a hello: what it is checked against. */
export interface Listener {
  readonly self: PeerId
  readonly cluster: string
  readonly admit?: (peer: PeerId) => string | undefined
}

const ID = /^~?[A-Za-z0-9_-]{1,128}$/

/**
 * Why the speaker of `hello` is refused, or undefined. `expected` is whom we dialled, an alias if
 * anybody will do.
 */
export function refusal(hello: Hello, own: Listener, expected: PeerId): string | undefined {
  if (hello.version !== PROTOCOL_VERSION)
    return `protocol version ${hello.version}, ${own.self} speaks ${PROTOCOL_VERSION}`
  if (hello.cluster !== own.cluster)
    return `cluster ${clip(hello.cluster)}, ${own.self} belongs to ${clip(own.cluster)}`
  if (!ID.test(hello.from)) return `${clip(hello.from)} is no id`
  if (hello.from === own.self) return `${own.self} has dialled itself`
  if (!isAlias(hello.to) && hello.to !== own.self)
    return `${clip(hello.to)} expected, ${own.self} answers here`
  if (!isAlias(expected) && hello.from !== expected)
    return `${expected} expected, ${hello.from} answers there`
  return own.admit?.(hello.from)
}

/** A name, if it may be one; else as clip(). */
export function plain(name: string): string {
  return /^[A-Za-z0-9_-]{1,80}$/.test(name) ? name : clip(name)
}

/** Strangers' text, cut for messages and logs. */
export function clip(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}
