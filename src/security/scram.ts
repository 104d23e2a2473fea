/**
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): both sides' messages as plain
 * functions of their inputs, without sockets, chance or time.
 *
 *   client-first   n,,n=user,r=CNONCE,EXTENSIONS        p=tls-exporter,,n=... where bound
 *   server-first   r=CNONCE SNONCE,s=SALT,i=COUNT,EXTENSIONS
 *   client-final   c=HEADER AND BINDING,r=NONCE,p=PROOF
 *   server-final   v=SIGNATURE
 *
 * Proof and signature cover all that was said before, extensions included.
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'

/** What a server keeps of a password: enough to judge a proof, too little to make one. */
export interface StoredKeys {
  readonly salt: Uint8Array
  readonly iterations: number
  readonly storedKey: Uint8Array
  readonly serverKey: Uint8Array
}

/** What a client derives from its password; ClientKey makes proofs, so it is a secret. */
export interface ClientKeys {
  readonly clientKey: Uint8Array
  readonly serverKey: Uint8Array
}

export interface ClientFirst {
  readonly message: string
  /** `n,,` or `p=tls-exporter,,`. */
  readonly header: string
  /** The message without its header. */
  readonly bare: string
  readonly user: string
  readonly nonce: string
  /** `a=value,b=value`, as it was said; '' for none. */
  readonly extensions: string
}

export interface ServerFirst {
  readonly message: string
  /** The client's part and the server's. */
  readonly nonce: string
  readonly salt: Uint8Array
  readonly iterations: number
  readonly extensions: string
}

const UNBOUND = 'n,,'
const BOUND = 'p=tls-exporter,,'
const KEY_BYTES = 32
const NONCE = /^[\x21-\x2b\x2d-\x7e]{1,256}$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const COUNT = /^[1-9]\d{0,9}$/

/** `binding` makes it SCRAM-SHA-256-PLUS: then every message is bound to the link's encryption. */
export function clientFirst(
  user: string,
  nonce: string,
  extensions = '',
  binding?: Uint8Array,
): ClientFirst {
  const header = binding === undefined ? UNBOUND : BOUND
  const bare = `n=${escaped(user)},r=${nonce}${extensions === '' ? '' : `,${extensions}`}`
  return { message: header + bare, header, bare, user, nonce, extensions }
}

/**
 * Undefined for what is none, and for a downgrade: where the link has a `binding`, only the bound
 * form is understood (also `y`, "you seem to have none", is refused); where it has none, only `n`.
 */
export function readClientFirst(message: string, binding?: Uint8Array): ClientFirst | undefined {
  const header = binding === undefined ? UNBOUND : BOUND
  if (!message.startsWith(header)) return undefined
  const bare = message.slice(header.length)
  const [name = '', nonce = '', ...rest] = bare.split(',')
  if (!name.startsWith('n=') || !nonce.startsWith('r=') || !NONCE.test(nonce.slice(2)))
    return undefined
  const user = unescaped(name.slice(2))
  if (user === undefined || user === '') return undefined
  return { message, header, bare, user, nonce: nonce.slice(2), extensions: rest.join(',') }
}

/** `nonce` is the server's own part, new for every exchange. */
export function serverFirst(
  first: ClientFirst,
  nonce: string,
  stored: Pick<StoredKeys, 'salt' | 'iterations'>,
  extensions = '',
): ServerFirst {
  const { salt, iterations } = stored
  const both = first.nonce + nonce
  const tail = extensions === '' ? '' : `,${extensions}`
  const message = `r=${both},s=${base64(salt)},i=${iterations}${tail}`
  return { message, nonce: both, salt, iterations, extensions }
}

/** Undefined for what is none, or is no answer to `first`. */
export function readServerFirst(message: string, first: ClientFirst): ServerFirst | undefined {
  const [r = '', s = '', i = '', ...rest] = message.split(',')
  if (!r.startsWith(`r=${first.nonce}`) || !s.startsWith('s=') || !i.startsWith('i='))
    return undefined
  const nonce = r.slice(2)
  const salt = bytesOf(s.slice(2))
  if (nonce.length === first.nonce.length || !NONCE.test(nonce) || !COUNT.test(i.slice(2)))
    return undefined
  if (salt === undefined || salt.length === 0) return undefined
  return { message, nonce, salt, iterations: Number(i.slice(2)), extensions: rest.join(',') }
}

/** The client's proof, and the signature by which it will know the server. */
export function clientFinal(
  first: ClientFirst,
  answer: ServerFirst,
  keys: ClientKeys,
  binding?: Uint8Array,
): { readonly message: string; readonly signature: Uint8Array } {
  const bare = finalBare(first, answer, binding)
  const covered = `${first.bare},${answer.message},${bare}`
  const proof = xor(keys.clientKey, hmac(sha256(keys.clientKey), covered))
  const signature = hmac(keys.serverKey, covered)
  return { message: `${bare},p=${base64(proof)}`, signature }
}

/** The server's answer to a good proof, undefined for any other. Takes the same time for both. */
export function serverFinal(
  first: ClientFirst,
  answer: ServerFirst,
  message: string,
  stored: StoredKeys,
  binding?: Uint8Array,
): string | undefined {
  const bare = finalBare(first, answer, binding)
  const at = message.lastIndexOf(',p=')
  const proof = at < 0 ? undefined : bytesOf(message.slice(at + 3))
  const wellFormed = proof?.length === KEY_BYTES && same(message.slice(0, at), bare)
  const covered = `${first.bare},${answer.message},${bare}`
  const key = xor(wellFormed ? proof : new Uint8Array(KEY_BYTES), hmac(stored.storedKey, covered))
  const good = same(sha256(key), stored.storedKey)
  const signature = hmac(stored.serverKey, covered)
  return wellFormed && good ? `v=${base64(signature)}` : undefined
}

/** True if the server has proved that it knows the keys as well. */
export function isServerFinal(message: string, signature: Uint8Array): boolean {
  return same(message, `v=${base64(signature)}`)
}

/** 32 bytes that both sides know after this exchange, and nobody who has heard it. */
export function linkKey(
  first: ClientFirst,
  answer: ServerFirst,
  serverKey: Uint8Array,
  binding?: Uint8Array,
): Uint8Array {
  const bare = finalBare(first, answer, binding)
  // Signatures are made of words that begin with n=: none of them is this.
  return hmac(serverKey, `link,${first.bare},${answer.message},${bare}`)
}

/** PBKDF2 on a thread of its own; `done` hears of it in an event. `password` is only read. */
export function deriveKeys(
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  done: (error: Error | null, keys?: ClientKeys) => void,
): void {
  pbkdf2(password, salt, iterations, KEY_BYTES, 'sha256', (error, salted) => {
    if (error !== null) return done(error)
    const keys = { clientKey: hmac(salted, 'Client Key'), serverKey: hmac(salted, 'Server Key') }
    salted.fill(0)
    done(null, keys)
  })
}

export function storedKeys(keys: ClientKeys, salt: Uint8Array, iterations: number): StoredKeys {
  return { salt, iterations, storedKey: sha256(keys.clientKey), serverKey: keys.serverKey }
}

export function hmac(key: Uint8Array, text: string | Uint8Array): Uint8Array {
  return createHmac('sha256', key).update(text).digest()
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

/** Undefined for what is no base64 in its one form. */
export function bytesOf(text: string): Uint8Array | undefined {
  if (!BASE64.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64')
  // The last character may hold bits that belong to no byte.
  return base64(bytes) === text ? bytes : undefined
}

/** A saslname: without commas and equals signs. */
export function escaped(text: string): string {
  return text.replaceAll('=', '=3D').replaceAll(',', '=2C')
}

export function unescaped(text: string): string | undefined {
  if (/=(?!2C|3D)/.test(text) || text.includes('\0')) return undefined
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=')
}

/** Both under a key that nobody can know, so that time tells nothing about either. */
export function same(a: string | Uint8Array, b: string | Uint8Array): boolean {
  return timingSafeEqual(hmac(COMPARING, a), hmac(COMPARING, b))
}

const COMPARING = randomBytes(KEY_BYTES)

function finalBare(first: ClientFirst, answer: ServerFirst, binding?: Uint8Array): string {
  const header = Buffer.from(first.header)
  const bound = binding === undefined ? header : Buffer.concat([header, binding])
  return `c=${bound.toString('base64')},r=${answer.nonce}`
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, i) => byte ^ b[i])
}
