/**
 * TLS as a node or a client is told of it. Which bytes make a certificate stands here; who must
 * show one, and whom it must name, is transports/stream/tls.ts's rule (SECURITY 4).
 */

/** PEM texts; the private key must not be encrypted. */
export interface TlsPems {
  /** Own certificate, then those between it and its authority. Not needed by a client that only
   *  dials, unless the nodes demand one. */
  cert?: string | Buffer
  /** The private key of `cert`: one comes with the other. */
  key?: string | Buffer
  /** The authorities that may vouch for the other side. Default: those that Node.js trusts. */
  ca?: string | Buffer | readonly (string | Buffer)[]
}

export interface TlsOptions extends TlsPems {
  /** Default 'TLSv1.3'. */
  minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /**
   * Of whom a node demands a certificate that its `ca` vouches for. 'peers' (default): of nodes;
   * one of its subjectAltNames must be the node's id, on whichever side dialled. 'all': of clients
   * too. 'none': of nobody; then nodes are known, as to clients, by their host or id alone.
   */
  demand?: 'peers' | 'all' | 'none'
  /** The TLS handshake alone, ms, on both sides; default 5,000. `handshakeMs` spans it. */
  handshakeTimeoutMs?: number
}

/** TlsOptions whose certificates may be exchanged while links stand; one may serve many nodes. */
export interface TlsCredentials {
  /**
   * From now on new links show and trust `pems`, all three of them; links that stand live on.
   * CONFIG, and nothing has changed, if they do not fit each other.
   */
  replace(pems: TlsPems): void
}
