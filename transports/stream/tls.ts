/**
 * What media of byte streams share of TLS: its options, and certificates that can be exchanged
 * under way, as node:tls takes them. TLS 1.3 unless told otherwise; no pskCallback, no ALPNCallback
 * (Node CVE-2026-21637), no renegotiation.
 */
import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import { TIMES } from '../../src/config.js'
import type { TlsCredentials, TlsOptions, TlsPems } from '../../src/contracts/tls.js'
import { suggestion } from '../../src/core/suggest.js'
import { GcacheError } from '../../src/errors.js'
import type { Demand } from './tls-identity.js'

const NAMES = ['cert', 'key', 'ca', 'minVersion', 'demand', 'handshakeTimeoutMs']
const VERSIONS = ['TLSv1.3', 'TLSv1.2'] as const
const DEMANDS: readonly Demand[] = ['peers', 'all', 'none']
const NUMBER_MAX = 2 ** 31 - 1

/** One for as many transports as like. CONFIG for what cannot be used. */
export function tlsCredentials(options: TlsOptions): TlsCredentials {
  return new Credentials(options)
}

/** `tls` of a transport's options, judged; undefined for plain bytes. */
export function credentialsOf(tls: TlsOptions | TlsCredentials | undefined, whose: string) {
  if (tls === undefined || tls instanceof Credentials) return tls
  return new Credentials(tls as TlsOptions, whose)
}

export class Credentials implements TlsCredentials {
  readonly demand: Demand
  readonly handshakeTimeoutMs: number
  readonly #minVersion: (typeof VERSIONS)[number]
  readonly #whose: string
  readonly #onReplaced = new Set<() => void>()
  #pems: TlsPems
  #context: SecureContext

  constructor(options: TlsOptions, whose = 'tls') {
    this.#whose = whose
    if (typeof options !== 'object' || options === null || Array.isArray(options))
      throw this.#refusal('takes an object such as { cert, key, ca }')
    for (const name of Object.keys(options))
      if (!NAMES.includes(name))
        throw this.#refusal(`unknown option ${name}: ${suggestion(name, NAMES)}`)
    const { minVersion = 'TLSv1.3', demand = 'peers' } = options
    const { handshakeTimeoutMs = TIMES.tlsHandshakeMs } = options
    if (!VERSIONS.includes(minVersion))
      throw this.#refusal(`option minVersion must be one of ${VERSIONS.join(', ')}`)
    if (!DEMANDS.includes(demand))
      throw this.#refusal(`option demand must be one of ${DEMANDS.join(', ')}`)
    const ms = handshakeTimeoutMs
    if (!Number.isInteger(ms) || ms < 1 || ms > NUMBER_MAX)
      throw this.#refusal(
        `option handshakeTimeoutMs must be a whole number within 1..${NUMBER_MAX}`,
      )
    this.#minVersion = minVersion
    this.demand = demand
    this.handshakeTimeoutMs = handshakeTimeoutMs
    this.#pems = pick(options)
    this.#context = this.#contextOf(this.#pems)
  }

  /** For dialling, now. */
  get context(): SecureContext {
    return this.#context
  }

  /** For a listener, now. */
  get contextOptions(): SecureContextOptions {
    return this.#optionsOf(this.#pems)
  }

  /** CONFIG for a listener without a certificate of its own. */
  assertListens(): void {
    if (this.#pems.cert === undefined)
      throw this.#refusal('a node that listens needs cert and key; only a client goes without')
  }

  replace(pems: TlsPems): void {
    const picked = pick(pems)
    if (this.#pems.cert !== undefined && picked.cert === undefined)
      throw this.#refusal('the new certificates lack cert and key')
    this.#context = this.#contextOf(picked)
    this.#pems = picked
    for (const replaced of this.#onReplaced) replaced()
  }

  /** Calls `replaced` after each replace(), until the returned function is called. */
  follow(replaced: () => void): () => void {
    this.#onReplaced.add(replaced)
    return () => this.#onReplaced.delete(replaced)
  }

  #contextOf(pems: TlsPems): SecureContext {
    if ((pems.cert === undefined) !== (pems.key === undefined))
      throw this.#refusal('options cert and key come together')
    if (this.demand === 'all' && pems.ca === undefined)
      throw this.#refusal("demand 'all' needs ca: else any certificate of a public one would do")
    try {
      return createSecureContext(this.#optionsOf(pems))
    } catch (cause) {
      const { message } = cause as Error
      throw new GcacheError('CONFIG', `${this.#whose}: cert, key or ca: ${message}`, { cause })
    }
  }

  #optionsOf({ cert, key, ca }: TlsPems): SecureContextOptions {
    return {
      ...(cert === undefined ? {} : { cert, key }),
      ...(ca === undefined ? {} : { ca: typeof ca === 'string' ? ca : (ca as Buffer) }),
      minVersion: this.#minVersion,
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    }
  }

  #refusal(text: string): GcacheError {
    return new GcacheError('CONFIG', `${this.#whose}: ${text}`)
  }
}

function pick({ cert, key, ca }: TlsPems): TlsPems {
  return { cert, key, ca }
}
