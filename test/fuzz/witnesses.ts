/**
 * A witness that begins from a note which is none of its own: it says so, or goes on from it as a
 * witness does, and hears every recorded message after that.
 */
import type { Effects } from '../../src/contracts/strategy.js'
import { seededRandom } from '../../src/core/prng.js'
import { MemoryLog } from '../../src/store/memory-log.js'
import {
  type MasterSlaveMessage as Message,
  masterSlave,
} from '../../strategies/master-slave/index.js'
import { messageCodec } from '../../strategies/master-slave/message-codec.js'
import { edgePacked, golden } from './corpus.js'
import { again, pure } from './decoders.js'
import { promise, type Target } from './target.js'

const codec = messageCodec()

const written = notes()
/** Mostly what a witness writes: else nearly all would be refused. */
const SEEDS = [...written, ...written, ...written, ...written, ...edgePacked(1)]

/** What a witness finds on its disk: a note of its own, or nothing that it goes on from. */
export const NOTE_TARGET: Target = pure('note', 3, SEEDS, input => {
  const sent: Message[] = []
  const persisted: (Uint8Array | undefined)[] = []
  const witness = started(input, sent, persisted)
  for (const heard of golden('master-slave-')) witness(codec.decode(heard))
  promise(sent.length > 0, 'a witness says what it is')
  for (const each of sent) again(each, codec.encode, codec.decode)
  // What it has written down meanwhile the next process understands.
  for (const each of persisted) witnessOf(each, [], [])
  return JSON.stringify(sent[0])
})

/** CONFIG is what an operator understands: whoever starts a node hears of no other code. */
function started(kept: Uint8Array, sent: Message[], persisted: (Uint8Array | undefined)[]) {
  try {
    return witnessOf(kept, sent, persisted)
  } catch (error) {
    const { code } = error as { code?: string }
    promise(code === undefined || code === 'CONFIG', `a wrong note is ${code}`)
    throw error
  }
}

function witnessOf(
  kept: Uint8Array | undefined,
  sent: Message[],
  persisted: (Uint8Array | undefined)[],
) {
  const log = new MemoryLog()
  const incarnation = 'a'.repeat(16)
  const ids = ['a', 'b', 'w']
  const members = ids.map((id, ordinal) => {
    const member = { id, ordinal, address: `memory://${id}` }
    return id === 'w' ? { ...member, witness: true } : member
  })
  const strategy = masterSlave({ profile: 'majority' })({
    ...{ self: 'w', incarnation, random: seededRandom(1), frameBytesMax: 2 ** 20, members },
    ...{ durability: 'memory', log: () => log },
    ...(kept === undefined ? {} : { note: kept }),
  })
  const acts: Partial<Effects<Message>> = {
    send: (_peer, said) => void sent.push(said),
    persist: (_group, _epoch, bytes) => void persisted.push(bytes),
  }
  const effects = new Proxy(acts as Effects<Message>, {
    get: (target, name) => Reflect.get(target, name) ?? (() => {}),
  })
  strategy.step({ kind: 'view', view: 1, members }, effects)
  strategy.step({ kind: 'tick', now: 9_000, wall: 1.7e12, lateMs: 0 }, effects)
  strategy.step({ kind: 'link-up', peer: 'b', session: 1 }, effects)
  return (heard: Message) =>
    strategy.step({ kind: 'message', peer: 'b', session: 1, message: heard }, effects)
}

/** Those of a witness that was admitted, promised and noted. */
function notes(): Buffer[] {
  const persisted: (Uint8Array | undefined)[] = []
  const witness = witnessOf(undefined, [], persisted)
  for (const bytes of golden('master-slave-state.', 'master-slave-admit', 'master-slave-'))
    witness(codec.decode(bytes))
  promise(persisted.length > 0, 'no recorded message makes a witness write')
  return persisted.filter(bytes => bytes !== undefined).map(bytes => Buffer.from(bytes))
}
