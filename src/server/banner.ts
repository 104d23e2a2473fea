/** What a server says first: who it is, where, what it promises, and which defaults are unsafe. */
import type { Node } from '../node.js'
import type { NodeOptions } from '../options.js'
import { paintFor } from './paint.js'
import { version } from './version.js'

export function banner(node: Node, options: NodeOptions): string {
  const paint = paintFor(process.stdout)
  const status = node.status()
  const peers = (options.members ?? []).filter(member => member.id !== node.id)
  const found = options.discovery === undefined ? 'none' : 'those that discovery finds'
  const unsafe = paint.yellow('unsafe')
  const missing = lacks(options)
  const lines = [
    `${paint.bold(`gcache ${version()}`)}  node ${paint.bold(node.id)} of cluster ${node.cluster}`,
    `  address    ${node.address}`,
    `  peers      ${peers.map(peer => `${peer.id} ${peer.address}`).join(', ') || found}`,
    `  strategy   ${status.strategy} / ${status.profile}`,
    `  guarantee  ${status.guarantee}`,
    `  ${unsafe}     data is in memory only: it lives as long as one of the nodes does`,
    ...(missing === '' ? [] : [`  ${unsafe}     ${missing}: ${reach(options)}`]),
  ]
  return `${lines.join('\n')}\n`
}

function lacks({ auth, tls }: NodeOptions): string {
  const missing = [...(auth ? [] : ['no authentication']), ...(tls ? [] : ['no encryption'])]
  return missing.join(' and ')
}

function reach(options: NodeOptions): string {
  if (!options.insecure)
    return `only this machine may connect${options.auth ? '' : ', and may do everything'}`
  return options.auth && !options.tls
    ? 'whoever sees the wire may read and change what travels (--insecure)'
    : 'whoever reaches the port may do everything (--insecure)'
}

/** `ready`, the address, then what else a script may want, as name=value. */
export function readyLine(node: Node): string {
  const { self, master, epoch } = node.status()
  const facts = `role=${self.role} master=${master ?? '-'} epoch=${epoch}`
  return `ready ${node.address} id=${node.id} ${facts}\n`
}
