/**
 * Addresses by a broker: `nats://host:port/<name>` says which broker and under which name a node
 * listens there; `nats:///<name>` leaves the broker to whoever made the transport. The name is any
 * word that the cluster agrees on, by custom the node's id; nobody takes an id from it.
 */
import { GcacheError } from '../../src/errors.js'

export interface NatsAddress {
  /** `host:port`; '' for the broker that the transport was given. */
  readonly broker: string
  readonly name: string
}

const FORM = /^nats:\/\/(|(?:\[[0-9A-Fa-f:.]+\]|[^\s:/@[\]]+):\d{1,5})\/([~A-Za-z0-9_-]{1,80})$/

/** ADDRESS_INVALID for anything else: a broker's password has no place in an address either. */
export function parseNatsAddress(address: string): NatsAddress {
  const match = FORM.exec(address)
  if (match === null || Number(/:(\d+)$/.exec(match[1])?.[1] ?? 1) > 65_535)
    throw new GcacheError(
      'ADDRESS_INVALID',
      `address ${JSON.stringify(address)} is not of the form nats://host:port/<name> or ` +
        'nats:///<name>',
    )
  return { broker: match[1], name: match[2] }
}
