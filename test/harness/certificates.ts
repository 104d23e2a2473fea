/**
 * Certificates for tests, made on the spot: X.509 v3 written by hand (RFC 5280) and signed with
 * ECDSA over P-256, so that no key is ever kept in the repository and no test needs openssl.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

export interface Certificate {
  /** PEM. */
  readonly cert: string
  /** PEM. */
  readonly key: string
}

export interface CertificateOptions {
  /** Names after the first, which is the subject's as well. */
  readonly names?: readonly string[]
  /** IPv4 addresses. */
  readonly hosts?: readonly string[]
  /** Default: both. */
  readonly uses?: readonly ('server' | 'client')[]
  /** Ended an hour ago. */
  readonly expired?: boolean
}

const HOUR_MS = 3_600_000
const BOOLEAN_TRUE = Buffer.from([0x01, 0x01, 0xff])
const ECDSA_SHA256 = sequence(oid(1, 2, 840, 10045, 4, 3, 2))
const USES = { server: oid(1, 3, 6, 1, 5, 5, 7, 3, 1), client: oid(1, 3, 6, 1, 5, 5, 7, 3, 2) }

/** One that signs others. */
export class Authority {
  readonly cert: string
  readonly #name: string
  readonly #key: KeyObject

  constructor(name = 'authority of a test') {
    const { publicKey, privateKey } = newKey()
    this.#name = name
    this.#key = privateKey
    const constraints = extension(oid(2, 5, 29, 19), sequence(BOOLEAN_TRUE), true)
    // keyCertSign and cRLSign: bits 5 and 6.
    const usage = extension(oid(2, 5, 29, 15), der(0x03, Buffer.from([1, 0x06])), true)
    this.cert = this.#certify(name, publicKey, [constraints, usage])
  }

  /** A certificate whose subjectAltName is `name`, and what `options` adds. */
  issue(name: string, options: CertificateOptions = {}): Certificate {
    const { names = [], hosts = [], uses = ['server', 'client'], expired = false } = options
    const { publicKey, privateKey } = newKey()
    const alternatives = [
      ...[name, ...names].map(each => der(0x82, Buffer.from(each))),
      ...hosts.map(host => der(0x87, Buffer.from(host.split('.').map(Number)))),
    ]
    const extensions = [
      extension(oid(2, 5, 29, 17), sequence(...alternatives)),
      extension(oid(2, 5, 29, 37), sequence(...uses.map(use => USES[use]))),
    ]
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    return { cert: this.#certify(name, publicKey, extensions, expired), key }
  }

  #certify(name: string, key: KeyObject, extensions: Buffer[], expired = false): string {
    const now = Date.now()
    const until = expired ? now - HOUR_MS : now + 24 * HOUR_MS
    const signed = sequence(
      der(0xa0, der(0x02, Buffer.from([2]))),
      der(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(15)])),
      ECDSA_SHA256,
      named(this.#name),
      sequence(time(now - 24 * HOUR_MS), time(until)),
      named(name),
      key.export({ type: 'spki', format: 'der' }),
      der(0xa3, sequence(...extensions)),
    )
    const signature = sign('sha256', signed, this.#key)
    const bits = der(0x03, Buffer.concat([Buffer.from([0]), signature]))
    const base64 = sequence(signed, ECDSA_SHA256, bits).toString('base64')
    const lines = base64.match(/.{1,64}/g)?.join('\n')
    return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
  }
}

function newKey() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  const { length } = body
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), body])
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), body])
}

function sequence(...parts: Uint8Array[]): Buffer {
  return der(0x30, ...parts)
}

function oid(first: number, second: number, ...rest: number[]): Buffer {
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const groups = [arc & 0x7f]
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80)
    bytes.push(...groups)
  }
  return der(0x06, Buffer.from(bytes))
}

/** A distinguished name of one common name. */
function named(text: string): Buffer {
  return sequence(der(0x31, sequence(oid(2, 5, 4, 3), der(0x0c, Buffer.from(text)))))
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)
  return der(0x17, Buffer.from(`${digits}Z`))
}

function extension(id: Buffer, value: Buffer, critical = false): Buffer {
  return sequence(id, ...(critical ? [BOOLEAN_TRUE] : []), der(0x04, value))
}
