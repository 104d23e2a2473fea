/**
 * W + P > N leaves no excuse. I4: whoever becomes master has every acknowledged write, and no
 * master of a higher epoch lacks one. I9: once a master of a higher epoch has acknowledged, none
 * of a lower one does; but an ack may have been on its way since before its sender promised, and
 * what it proves is then in the higher master's log (majority, seed 87).
 */
import type { Epoch, Receipt } from '../../contracts/types.js'
import { compareEpochs } from '../../core/epochs.js'
import type { Life } from '../life.js'
import { contains, epochName, type LogPoint, type WrittenEntry } from '../lineage.js'
import type { Call } from '../simulated-client.js'
import type { AckedWrites } from './acked-writes.js'
import type { World } from './checker.js'

interface Acked {
  readonly call: Call
  readonly entries: readonly WrittenEntry[]
}

interface Promotion {
  readonly life: Life
  readonly epoch: Epoch
  /** Its first batch. */
  readonly point: LogPoint
}

/**
 * `alone`: P = 1, so a node may lead without any other, acknowledge nothing and die; what is
 * acknowledged afterwards in a lower epoch is no loss (strict, seed 5008).
 */
export function nothingIsLost(world: World, alone = false): AckedWrites {
  return new NothingLost(world, alone)
}

class NothingLost implements AckedWrites {
  readonly name = 'nothing acknowledged is lost'
  acked = 0
  readonly lost = 0
  readonly #world: World
  readonly #alone: boolean
  readonly #writes: Acked[] = []
  readonly #promotions: Promotion[] = []
  #highest: { epoch: Epoch; life: Life } | undefined

  constructor(world: World, alone: boolean) {
    this.#world = world
    this.#alone = alone
  }

  onSettle(life: Life, id: number, { epoch, offset, copies }: Receipt): void {
    // The engine's own entries are answered to nobody.
    if (id <= 0) return
    const highest = this.#highest
    if (highest !== undefined && compareEpochs(epoch, highest.epoch) < 0) {
      if (contains(highest.life.tip, life.pointOf(offset))) return
      this.#world.fail(
        'I9',
        `${life} acknowledged in ${epochName(epoch)} with ${copies} copies, ` +
          `after ${highest.life} had in ${epochName(highest.epoch)}`,
      )
    }
    this.#highest = { epoch, life }
  }

  onPromotion(life: Life, epoch: Epoch, before: LogPoint): void {
    // Let go while it was cut off it leads nobody who belongs (strict, seed 177).
    if (!this.#world.belongs(life.node)) return
    // One that woke where another process had voted leads nobody, either, until it learns of that.
    if (this.#alone && life.replaced) return
    this.#promotions.push({ life, epoch, point: life.tip })
    for (const write of this.#writes) {
      // Promised long ago and led late, a lower epoch commits nothing (majority, seed 8087).
      if (write.entries.some(entry => compareEpochs(epochOf(entry), epoch) > 0)) continue
      if (!isIn(write, before))
        this.#world.fail('I4', `${life} leads ${epochName(epoch)} without ${nameOf(write)}`)
    }
  }

  onCallEnd(call: Call): void {
    const { reply } = call
    if (call.seq === 0 || reply?.kind !== 'written' || call.ack === 'none') return
    if (call.outcome !== 'ok') return
    const entries = this.#world.lineage.entriesOf(call.window, call.seq)
    const write: Acked = { call, entries }
    this.acked++
    this.#writes.push(write)
    for (const { life, epoch, point } of this.#promotions) {
      if (entries.some(entry => compareEpochs(epochOf(entry), epoch) >= 0)) continue
      if (this.#alone && !(life.alive && this.#world.belongs(life.node))) continue
      if (!isIn(write, point))
        this.#world.fail(
          'I4',
          `${nameOf(write)} was acknowledged and ${life}, master of ${epochName(epoch)}, lacks it`,
        )
    }
  }

  onQuiet(core: readonly string[]): void {
    for (const { life } of this.#world.live()) {
      if (!core.includes(life.node)) continue
      for (const write of this.#writes)
        if (!isIn(write, life.tip))
          this.#world.fail('I4', `${nameOf(write)} is not in the log of ${life} in the end`)
    }
  }
}

function isIn(write: Acked, tip: LogPoint): boolean {
  return write.entries.some(entry => contains(tip, entry.point))
}

function epochOf(entry: WrittenEntry): Epoch {
  return (entry.point.batch as NonNullable<LogPoint['batch']>).epoch
}

function nameOf({ call, entries }: Acked): string {
  const { kind, client, seq, ack = 'default' } = call
  return `${kind} ${client}#${seq} at ${entries[0]?.offset} (${ack}, ${call.reply?.copies} copies)`
}
