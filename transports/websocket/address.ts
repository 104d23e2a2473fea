/** Addresses of WebSockets: `ws://host:port/path`, `wss://[::1]:7500`; the path may be left out. */
import { GcacheError } from '../../src/errors.js'
import { formatAddress, type HostPort, parseAddress } from '../stream/address.js'

export interface WebAddress extends HostPort {
  /** `wss`: encrypted from here on. */
  readonly scheme: 'ws' | 'wss'
  /** Begins with `/`; may end with a query. */
  readonly path: string
}

const FORM = /^(wss?):\/\/([^\s/?#@]+)(\/[\x21-\x7e]*)?$/
/** What RFC 6455 gives to an address without a port. */
const PORTS = { ws: 80, wss: 443 }

/** ADDRESS_INVALID unless `address` is `ws://host:port/path` or `wss://...`. */
export function parseWebAddress(address: string): WebAddress {
  const match = FORM.exec(address)
  const [, scheme, place = '', path = '/'] = match ?? []
  if ((scheme !== 'ws' && scheme !== 'wss') || path.includes('#'))
    throw new GcacheError(
      'ADDRESS_INVALID',
      `address ${JSON.stringify(address)} is not of the form ws://host:port/path`,
    )
  const whole = /:\d+$/.test(place) ? place : `${place}:${PORTS[scheme]}`
  return { scheme, path, ...parseAddress(scheme, `${scheme}://${whole}`) }
}

export function formatWebAddress({ scheme, path, ...to }: WebAddress): string {
  return `${formatAddress(scheme, to)}${path === '/' ? '' : path}`
}

/** The path of an address or of a request, without its query. */
export function pathOf(target: string): string {
  return target.split('?', 1)[0]
}
