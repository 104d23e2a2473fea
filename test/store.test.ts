import { expect, test } from 'vitest'
import type { Proposal } from '../src/contracts/strategy.js'
import { KeyValueStore } from '../src/store/key-value.js'
import { MemoryLog } from '../src/store/memory-log.js'
import { encodeBatch } from '../src/wire/batch.js'
import { Writer } from '../src/wire/bytes.js'
import { writeSet } from '../src/wire/command.js'

test('a set is read back with its offset as version', () => {
  const store = new KeyValueStore()
  const log = new MemoryLog()
  const out = new Writer()
  writeSet(out, 'c', 'k', Buffer.from('hello'), {})
  const bytes = out.copy()
  const proposal: Proposal = {
    id: 1,
    ack: 'master',
    client: null,
    seq: 0,
    bytes,
    start: 0,
    end: bytes.length,
  }
  const batch = encodeBatch({ number: 256, incarnation: '0'.repeat(16) }, 1, 5, 0, [proposal])
  log.append(batch)
  store.apply(batch)
  log.markApplied(2)
  expect(store.get('c', 'k', 5)).toEqual({ value: 'hello', version: 1, expiresAt: 0 })
  store.openSnapshot(1)
  const slice = store.readSnapshot(1, 1000)
  expect(slice.state).toBe('done')
  const other = new KeyValueStore()
  other.install(2, slice.slice, true)
  expect(other.digest()).toBe(store.digest())
})
