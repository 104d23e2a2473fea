/** I5: the same log applied gives the same state. I12: when all is quiet, all are equal. */
import type { LogPoint } from '../lineage.js'
import type { Checker, LiveNode, World } from './checker.js'

const EVERY_TICKS = 5

interface Seen {
  readonly node: LiveNode
  digest: string | undefined
}

export function digestsAgree(world: World): Checker {
  let ticks = 0
  return {
    name: 'digests agree',
    onTick() {
      if (ticks++ % EVERY_TICKS !== 0) return
      const byPoint = new Map<LogPoint, Seen>()
      for (const node of world.live()) {
        const { life } = node
        if (life.copying || life.tip.parent === undefined || node.applied() !== life.tip.next)
          continue
        const other = byPoint.get(life.tip)
        if (other === undefined) byPoint.set(life.tip, { node, digest: undefined })
        else compare(world, 'I5', other, node)
      }
    },
    onQuiet(core) {
      let first: Seen | undefined
      for (const node of world.live()) {
        const { life } = node
        if (!core.includes(life.node)) continue
        if (life.copying) world.fail('I12', `${life} is still copying after heal and quiet`)
        if (first === undefined) {
          first = { node, digest: undefined }
          continue
        }
        const other = first.node.life
        if (life.tip !== other.tip)
          world.fail(
            'I12',
            `after heal and quiet ${other} is at ${other.tip.next}, ${life} at ${life.tip.next}`,
          )
        compare(world, 'I12', first, node)
      }
    },
  }
}

/** `seen` is looked at once, whoever else is held against it at this instant. */
function compare(world: World, law: string, seen: Seen, b: LiveNode): void {
  const a = seen.node
  seen.digest ??= a.digest()
  const [one, two] = [seen.digest, b.digest()]
  if (one !== two)
    world.fail(
      law,
      `${a.life} and ${b.life} applied the same ${a.life.tip.next - 1} entries ` +
        `and differ: ${one} ${two}`,
    )
}
