/**
 * One session of a link: frames of a turn gather in a buffer, which is written at the turn's end,
 * when it is full, or on flush(). Its queue is that buffer and what the connection has not sent:
 *
 *   0 ..... 1/4 ............ 1/2 ............ queueBytesMax
 *           | writable again  | 'congested'    | 'dropped'
 *
 * A frame larger than the whole queue is let through alone, when nothing waits before it; what
 * follows it has the queue for itself.
 */
import type { Identity } from '../../src/contracts/authentication.js'
import type { LinkLoss, SendResult } from '../../src/contracts/transport.js'
import type { PeerId, Session } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'
import { FRAME_HEAD_BYTES, type FrameDecoder, writeFrameHead } from '../../src/wire/frame.js'
import { OUT_BUFFER_BYTES, type OutBuffers } from './buffers.js'
import type { StreamConnection, StreamEvents } from './layer.js'
import type { Paced } from './pace.js'

/** The transport, as its links see it. */
export interface LinkOwner {
  readonly buffers: OutBuffers
  /** Calls link.settle() when the turn ends. */
  wake(link: Link): void
  frameArrived(link: Link, frame: Uint8Array): void
  becameWritable(link: Link): void
  /** From an event: the link is over, tell the handler. */
  lost(link: Link, loss: LinkLoss, cause?: Error): void
  /** From inside send(): the link is over, tell the handler later. */
  lostLater(link: Link, loss: LinkLoss, cause?: Error): void
  /** A client's link has more unsent than before, or less. May end it. */
  count(link: Link): void
  /** Something may be held up on this link. */
  watch(link: Link): void
}

export interface LinkFacts {
  readonly peer: PeerId
  /** The other side's own id: differs from `peer` if that is an alias. */
  readonly remote: PeerId
  readonly session: Session
  /** Who the other side has proved to be. */
  readonly identity: Identity | undefined
  /** The other side's life and last dial, as its hello said. */
  readonly life: string
  readonly dial: number
  /** The largest frame that the other side accepts. */
  readonly sendBytesMax: number
  readonly queueBytesMax: number
  /** Stop reading while congested: only towards a client, since two peers could deadlock. */
  readonly pausesReading: boolean
}

export class Link implements StreamEvents, Paced {
  /** The handler was told that it is up, so it must hear that it is down. */
  announced = false
  /** In the owner's list of links to settle. */
  awake = false
  over = false
  /** Its pace is judged (pace.ts). */
  watched = false
  readonly facts: LinkFacts
  readonly #owner: LinkOwner
  readonly #connection: StreamConnection
  readonly #decoder: FrameDecoder
  readonly #queueBytesMax: number
  #buffer: Buffer | undefined
  #filled = 0
  /** Buffers that the connection still writes from. */
  readonly #lent: Buffer[] = []
  /** The sender was told to pause and waits for onWritable. */
  #waiting = false
  /** The largest frame refused meanwhile: told to go on without room for it, its sender would only
   *  be refused again, turn after turn, and the connection never get to write. */
  #refused = 0
  /** The handler wants no frames for now. */
  #onHold = false
  /** Bytes given to the connection. */
  #written = 0
  /** The frame larger than the whole queue that is on its way. */
  #alone = 0

  constructor(
    owner: LinkOwner,
    connection: StreamConnection,
    decoder: FrameDecoder,
    facts: LinkFacts,
  ) {
    this.#owner = owner
    this.#connection = connection
    this.#decoder = decoder
    this.#queueBytesMax = facts.queueBytesMax
    this.facts = facts
    connection.events = this
    decoder.sink = this
  }

  send(frame: Uint8Array): SendResult {
    const size = frame.length + FRAME_HEAD_BYTES
    if (frame.length > this.facts.sendBytesMax) return this.#tooBig(frame.length)
    if (!this.awake) this.#owner.wake(this)
    if (this.unsentBytes + size > this.#queueBytesMax) {
      this.flush()
      if (this.over) return 'dropped'
      const unsent = this.unsentBytes
      if (unsent === 0) this.#alone = size > this.#queueBytesMax ? size : 0
      else if (unsent + size > this.#queueBytesMax + this.#alone) {
        this.#wait()
        this.#refused = Math.max(this.#refused, size)
        return 'dropped'
      }
    }
    if (size > OUT_BUFFER_BYTES - this.#filled) this.#write()
    if (this.over) return 'dropped'
    if (size > OUT_BUFFER_BYTES) this.#writeLarge(frame, size)
    else {
      const buffer = this.#buffer ?? this.#takeBuffer()
      const at = this.#filled
      writeFrameHead(buffer, at, frame.length)
      buffer.set(frame, at + FRAME_HEAD_BYTES)
      this.#filled = at + size
    }
    if (this.unsentBytes * 2 <= this.#queueBytesMax) return 'sent'
    this.flush()
    if (this.over) return 'dropped'
    if (this.unsentBytes * 2 <= this.#queueBytesMax) return 'sent'
    this.#wait()
    return 'congested'
  }

  /** Writes what has gathered, if the connection has taken what came before: what it has not taken
   *  would keep a whole buffer for each turn, 64 KiB for a few bytes. */
  flush(): void {
    if (this.#connection.unsentBytes === 0) this.#write()
    else this.#count()
  }

  #write(): void {
    if (this.#filled === 0) return
    const buffer = this.#buffer as Buffer
    const bytes = buffer.subarray(0, this.#filled)
    this.#filled = 0
    this.#written += bytes.length
    if (!this.#connection.write(bytes)) {
      this.#lent.push(buffer)
      this.#buffer = undefined
    }
    this.#count()
  }

  /** Sends `words`, as far as the queue takes them, and all that waits: the link ends, or is over
   *  by then. */
  close(words?: Uint8Array): void {
    if (words !== undefined) this.send(words)
    this.#write()
  }

  /** The turn's end: writes, and tells a waiting sender if everything went out at once. */
  settle(): void {
    if (this.over) return
    this.#writeOn()
    if (!this.watched && this.mustTake && this.unsentBytes > 0) this.#owner.watch(this)
  }

  /** No frames until hold(false); what has been read already may still come. */
  hold(onHold: boolean): void {
    if (this.over || this.#onHold === onHold) return
    this.#onHold = onHold
    this.#readOrNot()
  }

  // For pace.ts.

  get name(): string {
    return this.facts.remote
  }

  /** Known while the connection stands. */
  get host(): string | undefined {
    return this.#connection.host
  }

  get heldBytes(): number {
    return this.#decoder.heldBytes + (this.#connection.partBytes ?? 0)
  }

  get begun(): number {
    const { heldBytes, begun } = this.#decoder
    return heldBytes > 0 ? begun : -(this.#connection.partsBegun ?? 0)
  }

  get reading(): boolean {
    return !this.#onHold && !(this.#waiting && this.facts.pausesReading)
  }

  get unsentBytes(): number {
    return this.#filled + this.#connection.unsentBytes
  }

  get departure(): number {
    return this.#written - (this.#connection.heldBytes ?? 0) - this.#connection.unsentBytes
  }

  get mustTake(): boolean {
    return this.facts.pausesReading
  }

  lost(loss: LinkLoss, cause: GcacheError): void {
    this.#owner.lost(this, loss, cause)
  }

  /** Nothing is sent or delivered any more. The connection is the caller's to end. */
  end(): StreamConnection {
    this.over = true
    this.#decoder.stop()
    this.#filled = 0
    this.#buffer = undefined
    return this.#connection
  }

  onFrame(frame: Uint8Array): void {
    this.#owner.frameArrived(this, frame)
  }

  onOpen(): void {}

  onData(chunk: Uint8Array): void {
    try {
      this.#decoder.push(chunk)
    } catch (error) {
      if (!isProtocolError(error)) throw error
      this.#owner.lost(this, 'protocol', located(error, this.#decoder))
      return
    }
    if (!this.watched && this.heldBytes > 0) this.#owner.watch(this)
  }

  onDrain(): void {
    if (this.#connection.unsentBytes === 0) {
      this.#alone = 0
      for (let buffer = this.#lent.pop(); buffer !== undefined; buffer = this.#lent.pop())
        this.#owner.buffers.give(buffer)
    }
    this.#writeOn()
  }

  onClose(loss: LinkLoss, cause?: Error): void {
    this.#owner.lost(this, loss, cause)
  }

  /** Writes what it may, gives an empty buffer back, and tells a sender that it may go on. */
  #writeOn(): void {
    this.flush()
    if (this.#buffer !== undefined && this.#filled === 0) {
      this.#owner.buffers.give(this.#buffer)
      this.#buffer = undefined
    }
    this.#tellWritable()
  }

  #takeBuffer(): Buffer {
    this.#buffer = this.#owner.buffers.take()
    return this.#buffer
  }

  /** The frame is the caller's again after this turn, the kernel may need it longer: one copy. */
  #writeLarge(frame: Uint8Array, size: number): void {
    const { buffers } = this.#owner
    const buffer = buffers.takeLarge(size)
    writeFrameHead(buffer, 0, frame.length)
    buffer.set(frame, FRAME_HEAD_BYTES)
    this.#written += size
    if (this.#connection.write(buffer.subarray(0, size))) buffers.giveLarge(buffer)
    if (this.#connection.unsentBytes === 0) this.#alone = 0
    this.#count()
  }

  #count(): void {
    if (this.facts.pausesReading && !this.over) this.#owner.count(this)
  }

  #wait(): void {
    if (this.#waiting) return
    this.#waiting = true
    this.#readOrNot()
  }

  #readOrNot(): void {
    if (this.reading) this.#connection.resume()
    else this.#connection.pause()
  }

  #tellWritable(): void {
    if (!this.#waiting) return
    const queued = this.unsentBytes
    if (queued * 4 > this.#queueBytesMax) return
    if (queued > 0 && queued + this.#refused > this.#queueBytesMax) return
    this.#waiting = false
    this.#refused = 0
    this.#readOrNot()
    this.#owner.becameWritable(this)
  }

  /** Sending it would end the link anyway, with less to be seen: say it here. */
  #tooBig(length: number): SendResult {
    const { remote, sendBytesMax } = this.facts
    const cause = new GcacheError(
      'FRAME_TOO_BIG',
      `frame of ${length} bytes exceeds frameBytesMax ${sendBytesMax} of ${remote}: raise it there`,
    )
    this.#owner.lostLater(this, 'protocol', cause)
    return 'dropped'
  }
}

export function isProtocolError(error: unknown): error is GcacheError {
  return (
    error instanceof GcacheError &&
    (error.code === 'PROTOCOL_ERROR' ||
      error.code === 'FRAME_TOO_BIG' ||
      error.code === 'PREAUTH_LIMIT')
  )
}

/** `error` with its place in the stream that `decoder` has failed on. */
export function located(error: GcacheError, decoder: FrameDecoder): GcacheError {
  const { failedAt } = decoder
  const inFrame = error.offset === undefined ? 0 : FRAME_HEAD_BYTES + error.offset
  const text = `${error.message}, in the frame at byte ${failedAt} of the stream`
  return new GcacheError(error.code, text, { cause: error, offset: failedAt + inFrame })
}
