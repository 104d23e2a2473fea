/**
 * Plaintext, or no credentials, is for loopback only (SECURITY section 4): what a node that listens
 * elsewhere lacks, and its refusal to start so unless it was told to.
 */
import { GcacheError } from '../errors.js'

export interface Protection {
  /** Links prove who they are. */
  readonly auth: boolean
  /** Links are encrypted. */
  readonly tls: boolean
}

/** What is missing for listening there, as words: 'authentication', 'encryption'. */
export function lacking(listen: string, { auth, tls }: Protection): readonly string[] {
  const host = hostOf(listen)
  // An address that is no URL with a host, such as the memory transport's, is its own matter.
  if (host === undefined || isLoopback(host)) return []
  return [...(auth ? [] : ['authentication']), ...(tls ? [] : ['encryption'])]
}

/** INSECURE if something is lacking and `insecure` was not said; else what is. */
export function checkExposure(
  listen: string,
  protection: Protection,
  insecure: boolean,
): readonly string[] {
  const missing = lacking(listen, protection)
  if (missing.length === 0 || insecure) return missing
  const danger = protection.auth
    ? 'whoever sees the wire could read and change what travels'
    : 'anyone who reaches the port could read and write'
  throw new GcacheError(
    'INSECURE',
    `listening on ${listen} without ${missing.join(' and ')} is refused, because ${danger}: ` +
      'configure it, use a loopback address, or say insecure: true',
  )
}

/** Of media of others it is the port that tells a host from a name. */
const OURS = /^(?:tcp|ws|wss|tls|nats):\/\/(\[[^\]]*\]|[^:/]+)/
const OTHERS = /^[a-z][a-z0-9+.-]*:\/\/(\[[^\]]*\]|[^:/]+):\d/

/** The host of `scheme://host:port`; undefined for anything else. */
export function hostOf(address: string): string | undefined {
  const match = OURS.exec(address) ?? OTHERS.exec(address)
  return match?.[1].replace(/^\[|\]$/g, '')
}

/** 127.0.0.0/8, ::1 and localhost. */
export function isLoopback(host: string): boolean {
  return /^127(\.\d{1,3}){3}$/.test(host) || host === '::1' || host === 'localhost'
}
