/** One file, one idea, on one screen or three: bounds on files, functions and lines. */
import ts from 'typescript'
import { type Finding, finding, type House, type Source, walk } from './sources.js'

const FILE_LINES_MAX = 500
const FUNCTION_LINES_MAX = 70
const COLUMNS_MAX = 100

export function checkSizes({ sources }: House): Finding[] {
  return sources.flatMap(source => [
    ...checkFile(source),
    ...checkFunctions(source),
    ...checkColumns(source),
  ])
}

function checkFile(source: Source): Finding[] {
  const lines = source.lines.at(-1) === '' ? source.lines.length - 1 : source.lines.length
  if (lines <= FILE_LINES_MAX) return []
  const fact = `a file of ${lines} lines exceeds ${FILE_LINES_MAX}`
  return [finding(source, FILE_LINES_MAX + 1, fact, 'cut it where a second idea begins')]
}

function checkFunctions(source: Source): Finding[] {
  const found: Finding[] = []
  walk(source.tree, node => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return
    if (isSuite(node)) return
    const start = source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree)).line
    const lines = source.tree.getLineAndCharacterOfPosition(node.end).line - start + 1
    if (lines <= FUNCTION_LINES_MAX) return
    const fact = `a function of ${lines} lines exceeds ${FUNCTION_LINES_MAX}`
    found.push(finding(source, node, fact, 'give its parts names of their own'))
  })
  return found
}

/** The callback of `describe` only groups tests; each of these is judged by itself. */
function isSuite(node: ts.Node): boolean {
  const { parent } = node
  if (!ts.isCallExpression(parent) || !parent.arguments.some(argument => argument === node))
    return false
  let callee: ts.Expression = parent.expression
  while (ts.isPropertyAccessExpression(callee) || ts.isCallExpression(callee))
    callee = callee.expression
  return ts.isIdentifier(callee) && callee.text === 'describe'
}

function checkColumns(source: Source): Finding[] {
  return source.lines.flatMap((text, index) => {
    const columns = [...text].length
    if (columns <= COLUMNS_MAX) return []
    const fact = `a line of ${columns} columns exceeds ${COLUMNS_MAX}`
    return [finding(source, index + 1, fact, 'break it')]
  })
}
