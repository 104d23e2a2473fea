/** I5: the same log applied gives the same state. I12: when all is quiet, all are equal. */
import type { LogPoint } from '../lineage.js'
import type { Checker, LiveNode, World } from './checker.js'

const EVERY_TICKS = 5

export function digestsAgree(world: World): Checker {
  let ticks = 0
  return {
    name: 'digests agree',
    onTick() {
      if (ticks++ % EVERY_TICKS !== 0) return
      const byPoint = new Map<LogPoint, LiveNode>()
      for (const node of world.live()) {
        const { life } = node
        if (life.copying || life.tip.parent === undefined || node.applied() !== life.tip.next)
          continue
        const other = byPoint.get(life.tip)
        if (other === undefined) byPoint.set(life.tip, node)
        else compare(world, 'I5', other, node)
      }
    },
    onQuiet(core) {
      let first: LiveNode | undefined
      for (const node of world.live()) {
        const { life } = node
        if (!core.includes(life.node)) continue
        if (life.copying) world.fail('I12', `${life} is still copying after heal and quiet`)
        if (first === undefined) {
          first = node
          continue
        }
        if (life.tip !== first.life.tip)
          world.fail(
            'I12',
            `after heal and quiet ${first.life} is at ${first.life.tip.next}, ` +
              `${life} at ${life.tip.next}`,
          )
        compare(world, 'I12', first, node)
      }
    },
  }
}

function compare(world: World, law: string, a: LiveNode, b: LiveNode): void {
  const [one, two] = [a.digest(), b.digest()]
  if (one !== two)
    world.fail(
      law,
      `${a.life} and ${b.life} applied the same ${a.life.tip.next - 1} entries ` +
        `and differ: ${one} ${two}`,
    )
}
