/**
 * What must not be written: clocks, timers, chance and promises where a strategy or a pure building
 * block is a function of its inputs; timers below the roof outside the one clock; leftovers of
 * debugging anywhere.
 */
import ts from 'typescript'
import { roomOf } from './floors.js'
import { type Finding, finding, type House, importsOf, walk } from './sources.js'

const TIMERS = ['setTimeout', 'setInterval']
const IMPURE = new Set([
  ...TIMERS,
  'Date',
  'performance',
  'setImmediate',
  'queueMicrotask',
  'Promise',
  'process',
  'crypto',
  'globalThis',
])
const PURE_REMEDY = 'take time from `tick`, chance from the seeded generator, answer by an effect'

function isPure(path: string): boolean {
  return path.startsWith('strategies/') || path.startsWith('src/core/')
}

/** True where the identifier stands for the thing itself, not for a member or key of that name. */
function isReference(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node
  if (ts.isQualifiedName(parent)) return parent.left === node
  if (ts.isShorthandPropertyAssignment(parent)) return true
  if (ts.isBindingElement(parent)) return parent.name !== node && parent.propertyName !== node
  return !('name' in parent && parent.name === node)
}

export function checkPure({ sources }: House): Finding[] {
  const found: Finding[] = []
  for (const source of sources.filter(({ path }) => isPure(path))) {
    const blame = (node: ts.Node, what: string) =>
      found.push(finding(source, node, `${what} in a pure folder`, PURE_REMEDY))
    for (const { name, node } of importsOf(source)) if (name.startsWith('node:')) blame(node, name)
    walk(source.tree, node => {
      if (ts.isIdentifier(node) && IMPURE.has(node.text) && isReference(node))
        blame(node, node.text)
      else if (node.kind === ts.SyntaxKind.AsyncKeyword) blame(node, 'async')
      else if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier))
        blame(node, 'await')
      else if (ts.isPropertyAccessExpression(node) && node.getText(source.tree) === 'Math.random')
        blame(node, 'Math.random')
    })
  }
  return found
}

/** Below the roof time comes from the Clock that is handed in, so that it can be virtual. */
export function checkTimers({ sources }: House): Finding[] {
  const found: Finding[] = []
  for (const source of sources) {
    if ((roomOf(source.path)?.floor ?? 0) > 3 || isPure(source.path)) continue
    if (source.path === 'src/engine/system-clock.ts') continue
    walk(source.tree, node => {
      if (ts.isIdentifier(node) && TIMERS.includes(node.text) && isReference(node))
        found.push(
          finding(source, node, `${node.text} below the roof`, 'use the Clock that is handed in'),
        )
    })
  }
  return found
}

const SUITES = /^(test|it|describe|bench|suite)$/

/** `debugger` and `.only` anywhere, the console below the roof, default exports in shipped code. */
export function checkLeftovers({ sources }: House): Finding[] {
  return sources.flatMap(source => {
    const found: Finding[] = []
    const below = (roomOf(source.path)?.floor ?? 0) < 4
    walk(source.tree, node => {
      if (ts.isDebuggerStatement(node))
        found.push(finding(source, node, 'debugger', 'remove the statement'))
      else if (isOnly(node)) found.push(finding(source, node, '.only', 'run all tests again'))
      else if (below && isConsole(node))
        found.push(finding(source, node, 'console below the roof', 'use the Logger handed in'))
      else if (ts.isExportAssignment(node) && !source.path.endsWith('.config.ts'))
        found.push(finding(source, node, 'a default export', 'export it by its name'))
    })
    return found
  })
}

function isOnly(node: ts.Node): boolean {
  if (!ts.isPropertyAccessExpression(node) || node.name.text !== 'only') return false
  let root: ts.Expression = node.expression
  while (ts.isPropertyAccessExpression(root) || ts.isCallExpression(root)) root = root.expression
  return ts.isIdentifier(root) && SUITES.test(root.text)
}

function isConsole(node: ts.Node): boolean {
  return (
    ts.isPropertyAccessExpression(node) &&
    ts.isIdentifier(node.expression) &&
    node.expression.text === 'console'
  )
}
