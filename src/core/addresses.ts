/**
 * When two addresses may be one: `localhost` and `127.0.0.1`, hosts in other letters, numbers that
 * are written otherwise. Nobody is asked for a name, so two names of one machine stay two.
 */

const FORM = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/s
const HOST_PORT = /^(?:\[[^\]]*\]|[^:/[\]@?#]+):(\d{1,5})$/
/** What `localhost` may be, besides itself. */
const LOOPBACK = ['127.0.0.1', '[::1]']

/** True if whoever dials `left` may reach who listens at `right`, by what is written. */
export function mayBeSame(left: string, right: string): boolean {
  const places = placesOf(left)
  return placesOf(right).some(place => places.includes(place))
}

/**
 * One text for each place that `address` may be, 1 to 3; addresses that may be one share a text.
 * What has no host and port has its own letters, but for the scheme.
 */
export function placesOf(address: string): string[] {
  const [, scheme, rest] = FORM.exec(address) ?? []
  if (scheme === undefined) return [address]
  const port = HOST_PORT.exec(rest)?.[1]
  const host = port === undefined ? undefined : hostOf(rest)
  const begin = `${scheme.toLowerCase()}://`
  if (host === undefined) return [begin + rest]
  const hosts = host === 'localhost' ? [host, ...LOOPBACK] : [host]
  return hosts.map(each => `${begin}${each}:${Number(port)}`)
}

/** As the standard of URLs writes it: small letters, four numbers, the shortest of IPv6. */
function hostOf(hostPort: string): string | undefined {
  const written = `http://${hostPort.slice(0, hostPort.lastIndexOf(':'))}`
  return URL.canParse(written) ? new URL(written).hostname : undefined
}
