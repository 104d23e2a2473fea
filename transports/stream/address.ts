/** Addresses of media that dial a host and a port: `tcp://host:port`, `tcp://[::1]:7400`. */
import { GcacheError } from '../../src/errors.js'

export interface HostPort {
  readonly host: string
  readonly port: number
}

const FORM = /^([a-z]+):\/\/(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^\s:/[\]]+)):(\d{1,5})$/

/** ADDRESS_INVALID unless `address` is `scheme://host:port` with a port of 0..65535. */
export function parseAddress(scheme: string, address: string): HostPort {
  const match = FORM.exec(address)
  const port = Number(match?.[4])
  if (match === null || match[1] !== scheme || port > 65_535)
    throw new GcacheError(
      'ADDRESS_INVALID',
      `address ${JSON.stringify(address)} is not of the form ${scheme}://host:port`,
    )
  return { host: match[2] ?? match[3], port }
}

export function formatAddress(scheme: string, { host, port }: HostPort): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
}
