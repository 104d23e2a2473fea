/**
 * Whether the certificate that the other side of a TLSSocket shows is that of the id which its
 * hello claims (SECURITY 4), what binds a proof to this connection, and TLS's errors in our words.
 */
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { TlsOptions } from '../../src/contracts/tls.js'
import type { PeerId } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'
import { isClient } from './hello.js'
import type { Secured } from './layer.js'

export type Demand = NonNullable<TlsOptions['demand']>

/** Which side of the handshake we are, and what the host's name was found to be. */
export interface Standpoint {
  readonly self: PeerId
  readonly dialled: boolean
  readonly demand: Demand
  /** A dialled side's certificate is not that of the host. */
  hostError: Error | undefined
}

export class SecuredSocket implements Secured {
  readonly #socket: TLSSocket
  readonly #from: Standpoint

  constructor(socket: TLSSocket, from: Standpoint) {
    this.#socket = socket
    this.#from = from
  }

  /** RFC 9266: 32 bytes, no context. */
  get binding(): Uint8Array {
    return this.#socket.exportKeyingMaterial(32, LABEL, Buffer.alloc(0))
  }

  refusal(remote: PeerId): string | undefined {
    const certificate = this.#socket.getPeerX509Certificate()
    if (this.#from.dialled) return this.#refusalOfDialled(remote, certificate)
    const demanded = DEMANDED[this.#from.demand]
    if (certificate === undefined)
      return demanded(remote) ? `${remote} shows no certificate` : undefined
    if (!this.#socket.authorized)
      return `the certificate of ${remote} is not trusted: ${this.#socket.authorizationError}`
    if (isClient(remote) || names(certificate, remote)) return undefined
    return `the certificate is not that of ${remote}`
  }

  /** Who was dialled shows one in any case; a node, and whoever looks for one by its id, knows the
   *  id; a client looks for hosts as well. */
  #refusalOfDialled(remote: PeerId, certificate: X509Certificate | undefined): string | undefined {
    if (certificate === undefined || !this.#socket.authorized)
      return `the certificate of ${remote} is not trusted`
    if (names(certificate, remote)) return undefined
    const { self, demand, hostError } = this.#from
    const byHost = isClient(self) || demand === 'none'
    if (!byHost) return `the certificate is not that of ${remote}`
    return hostError === undefined
      ? undefined
      : `the certificate is neither that of ${remote} nor of its host`
  }
}

const LABEL = 'EXPORTER-Channel-Binding' // tidy: allow channel - RFC 9266's own word

const DEMANDED: Record<Demand, (remote: PeerId) => boolean> = {
  all: () => true,
  peers: remote => !isClient(remote),
  none: () => false,
}

/** A subjectAltName is exactly `id`: no wildcard, no common name, no other case. */
function names(certificate: X509Certificate, id: PeerId): boolean {
  const how = { subject: 'never', wildcards: false, partialWildcards: false } as const
  return certificate.checkHost(id, how) === id
}

const FAILURES = [
  /^(ERR_SSL|ERR_TLS|ERR_OSSL|UNABLE_TO|CERT|CRL|DEPTH_ZERO|SELF_SIGNED|ERROR_IN|INVALID|PATH)_/,
  /^EPROTO$/,
]

/** TLS's own trouble, certificates included: TLS_FAILED or TIMEOUT; undefined for others'. */
export function tlsFailure(cause: NodeJS.ErrnoException): GcacheError | undefined {
  const { code = '' } = cause
  if (cause instanceof GcacheError || !FAILURES.some(form => form.test(code))) return undefined
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT')
    return new GcacheError('TIMEOUT', 'the TLS handshake took too long', { cause })
  const text = cause.message.replace(/\s+/g, ' ').slice(0, 200)
  return new GcacheError('TLS_FAILED', `no TLS with the other side: ${text} (${code})`, { cause })
}
