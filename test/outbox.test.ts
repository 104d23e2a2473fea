import { describe, expect, test } from 'vitest'
import { Call } from '../src/client/call.js'
import { Outbox } from '../src/client/outbox.js'
import { WriteWindow } from '../src/client/write-window.js'
import { LIMITS } from '../src/config.js'
import type { SendResult } from '../src/contracts/transport.js'
import { seededRandom } from '../src/core/prng.js'
import { OP } from '../src/wire/command.js'
import { frameOf, set } from './harness/master.js'

/** An outbox, and the frames that left it. */
class Box {
  readonly outbox: Outbox
  readonly sent: Buffer[] = []
  answer: SendResult = 'sent'
  dropped: readonly Call[] = []

  constructor() {
    this.outbox = new Outbox({
      pending: () => 1,
      send: (_target, frame) => {
        this.sent.push(Buffer.from(frame))
        return this.answer
      },
      flush: () => {},
      onCongested: () => {},
      onDropped: calls => {
        this.dropped = calls
      },
    })
    this.outbox.route('a')
  }
}

function getOf(key: string, id: number): Call {
  const call = new Call(OP.get, 0, 'c', key)
  call.id = id
  return call
}

function setOf(key: string, value: string, id: number, window: WriteWindow): Call {
  const call = new Call(OP.set, 0, 'c', key)
  call.value = Buffer.from(value)
  call.id = id
  call.window = window
  call.seq = window.take()
  return call
}

describe('a frame', () => {
  test('says the lowest number of its first call, though that one ends before it leaves', () => {
    const { outbox, sent } = new Box()
    const window = new WriteWindow(seededRandom(1))
    const calls = [1, 2, 3].map(id => setOf(`k${id}`, 'v', id, window))
    for (const call of calls) outbox.write(call, window)
    window.answer(1)
    expect(window.lowest).toBe(2)
    outbox.finish()
    const asks = [1, 2, 3].map(id => set(`k${id}`, 'v'))
    expect(sent[0].equals(frameOf(asks, { id: window.id, lowest: 1 }))).toBe(true)
  })

  test('holds no more than the target takes, whatever the calls are', () => {
    const { outbox, sent } = new Box()
    outbox.frameBytesMax = LIMITS.valueBytesFloor + LIMITS.frameRoomBytes
    const window = new WriteWindow(seededRandom(2))
    const random = seededRandom(3)
    for (let id = 1; id <= 500; id++) {
      const bytes = Math.floor(random.next() * LIMITS.valueBytesFloor)
      outbox.write(setOf('ü'.repeat(300), 'v'.repeat(bytes), id, window), window)
    }
    outbox.finish()
    const largest = Math.max(...sent.map(frame => frame.length))
    expect(largest).toBeLessThanOrEqual(outbox.frameBytesMax)
    expect(sent.length).toBeLessThan(500)
  })

  test('that was refused gives its calls back, surely not sent', () => {
    const box = new Box()
    box.answer = 'dropped'
    const call = getOf('k', 1)
    expect(box.outbox.write(call, undefined)).toBe(true)
    expect(call).toMatchObject({ target: 'a', unsure: 1 })
    box.outbox.finish()
    expect(box.dropped).toEqual([call])
    expect(call).toMatchObject({ target: undefined, unsure: 0 })
    expect(box.outbox.open).toBe(false)
  })

  test('for another target takes its calls back first', () => {
    const { outbox, sent } = new Box()
    const call = getOf('k', 1)
    outbox.write(call, undefined)
    outbox.route('b')
    outbox.finish()
    expect(sent).toHaveLength(0)
    expect(call).toMatchObject({ target: undefined, unsure: 0 })
  })
})
