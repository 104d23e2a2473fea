/**
 * What an application asks, as calls: one object each, with everything needed to ask it again. How
 * they travel and settle is the business of whoever extends this (calls.ts).
 */
import { LIMITS } from '../config.js'
import type {
  DeleteOptions,
  RawEntry,
  RawPage,
  ReadHow,
  SetOptions,
  TouchOptions,
  WriteOptions,
  WriteReceipt,
} from '../contracts/cache.js'
import type { Clock } from '../contracts/environment.js'
import type { GroupId } from '../contracts/types.js'
import { type ErrorCode, GcacheError } from '../errors.js'
import { FIRST_WRITE_OP, OP } from '../wire/command.js'
import { ackCode } from '../wire/requests.js'
import { Call, type ReadValue } from './call.js'
import { CallHow } from './read-how.js'

export abstract class CallMaker {
  readonly #timeoutMs: number
  readonly #cluster: string
  readonly #clock: Clock
  /** One value, as whoever serves has said. */
  protected valueBytesMax: number = LIMITS.valueBytesMax

  /** `timeoutMs`: of writes that name none. Tokens of another cluster are refused. */
  constructor(timeoutMs: number, cluster: string, clock: Clock) {
    this.#timeoutMs = timeoutMs
    this.#cluster = cluster
    this.#clock = clock
  }

  now(): number {
    return this.#clock.now()
  }

  /** The group whose log answers calls with this key. */
  protected abstract groupOf(key: string): GroupId

  /** Takes the call on; its promise settles within `timeoutMs`. */
  protected abstract submit(call: Call, timeoutMs: number): Promise<unknown>

  get(cache: string, key: string, timeoutMs: number, how?: ReadHow): Promise<RawEntry | undefined> {
    const call = new Call(OP.get, 0, cache, key)
    if (how !== undefined) call.how = this.#how(how, call.key)
    return this.submit(call, timeoutMs) as Promise<RawEntry | undefined>
  }

  getValue<V>(
    cache: string,
    key: string,
    timeoutMs: number,
    decode: (bytes: Uint8Array) => V,
    how?: ReadHow,
  ): Promise<V | undefined> {
    const call = new Call(OP.get, 0, cache, key)
    if (how !== undefined) call.how = this.#how(how, call.key)
    call.decode = decode as ReadValue
    return this.submit(call, timeoutMs) as Promise<V | undefined>
  }

  has(cache: string, key: string, timeoutMs: number, how?: ReadHow): Promise<boolean> {
    const call = new Call(OP.has, 0, cache, key)
    if (how !== undefined) call.how = this.#how(how, call.key)
    return this.submit(call, timeoutMs) as Promise<boolean>
  }

  size(cache: string, timeoutMs: number, how?: ReadHow): Promise<number> {
    const call = new Call(OP.size, 0, cache, '')
    if (how !== undefined) call.how = this.#how(how, call.key)
    return this.submit(call, timeoutMs) as Promise<number>
  }

  scan(
    cache: string,
    prefix: string,
    cursor: number,
    limit: number,
    timeoutMs: number,
    how?: ReadHow,
  ): Promise<RawPage> {
    const call = new Call(OP.scan, 0, cache, prefix)
    if (how !== undefined) call.how = this.#how(how, call.key)
    call.cursor = cursor
    call.limit = limit
    return this.submit(call, timeoutMs) as Promise<RawPage>
  }

  /** `value` must not change before the promise settles: it may be sent again. */
  set(cache: string, key: string, value: Uint8Array, options: SetOptions): Promise<WriteReceipt> {
    const call = new Call(OP.set, ackCode(options.ack), cache, key)
    call.value = value
    if (value.length > this.valueBytesMax) return this.refuse(call, 'LIMIT', this.tooLarge(call))
    return this.#submitWrite(call, options)
  }

  delete(cache: string, key: string, options: DeleteOptions): Promise<WriteReceipt> {
    return this.#submitWrite(new Call(OP.delete, ackCode(options.ack), cache, key), options)
  }

  touch(cache: string, key: string, options: TouchOptions): Promise<WriteReceipt> {
    return this.#submitWrite(new Call(OP.touch, ackCode(options.ack), cache, key), options)
  }

  clear(cache: string, options: WriteOptions): Promise<WriteReceipt> {
    return this.#submitWrite(new Call(OP.clear, ackCode(options.ack), cache, ''), options)
  }

  #how(how: ReadHow, key: string): CallHow {
    return new CallHow(how, this.#cluster, this.groupOf(key))
  }

  #submitWrite(call: Call, options: SetOptions): Promise<WriteReceipt> {
    call.options = options
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs
    return this.submit(call, timeoutMs) as Promise<WriteReceipt>
  }

  protected tooLarge({ value }: Call): string {
    return `value of ${value.length} bytes exceeds valueBytesMax ${this.valueBytesMax}`
  }

  protected refuse<T>(call: Call, code: ErrorCode, message: string): Promise<T> {
    const outcome = call.op >= FIRST_WRITE_OP ? 'rejected' : undefined
    call.reject(new GcacheError(code, message, { outcome }))
    return call.promise as Promise<T>
  }
}
