/** The table of codes tells the truth: what is thrown has a row, and each row is thrown. */
import ts from 'typescript'
import { type Finding, finding, type House, type Source, walk } from './sources.js'

const TABLE = 'src/errors.ts'
/** Calls that carry a code as one of their arguments. */
const CARRIERS = new Set(['GcacheError', 'reject', 'disconnect', 'writeError'])
const CODE = /^[A-Z][A-Z]+(_[A-Z]+)*$/

interface Row {
  readonly code: string
  readonly node: ts.Node
}

export function checkCodes({ sources }: House): Finding[] {
  const table = sources.find(({ path }) => path === TABLE)
  if (table === undefined) return []
  const rows = rowsOf(table)
  const codes = new Set(rows.map(({ code }) => code))
  const used = new Set<string>()
  const found: Finding[] = []
  for (const source of sources) {
    if (source.path === TABLE || /^(test|benchmarks)\//.test(source.path)) continue
    walk(source.tree, node => {
      if (ts.isStringLiteralLike(node)) used.add(node.text)
      if (ts.isIdentifier(node) && ts.isPropertyAccessExpression(node.parent)) used.add(node.text)
      for (const literal of carried(node))
        if (CODE.test(literal.text) && !codes.has(literal.text))
          found.push(
            finding(source, literal, `code ${literal.text} has no row`, `add it to ${TABLE}`),
          )
    })
  }
  for (const { code, node } of rows)
    if (!used.has(code))
      found.push(finding(table, node, `code ${code} is never thrown`, 'remove its row'))
  return found
}

function rowsOf(table: Source): Row[] {
  const rows: Row[] = []
  walk(table.tree, node => {
    if (!ts.isVariableDeclaration(node) || node.name.getText(table.tree) !== 'ERROR_CODES') return
    walk(node, inner => {
      if (ts.isPropertyAssignment(inner) && CODE.test(inner.name.getText(table.tree)))
        rows.push({ code: inner.name.getText(table.tree), node: inner })
    })
  })
  return rows
}

/** The literals among the arguments of a call that carries a code, either side of a `? :` too. */
function carried(node: ts.Node): ts.StringLiteralLike[] {
  if (!ts.isCallExpression(node) && !ts.isNewExpression(node)) return []
  const callee = node.expression
  const name = ts.isPropertyAccessExpression(callee)
    ? callee.name.text
    : ts.isIdentifier(callee)
      ? callee.text
      : ''
  if (!CARRIERS.has(name)) return []
  return (node.arguments ?? []).flatMap(literals)
}

function literals(argument: ts.Expression): ts.StringLiteralLike[] {
  if (ts.isStringLiteralLike(argument)) return [argument]
  if (ts.isConditionalExpression(argument))
    return [...literals(argument.whenTrue), ...literals(argument.whenFalse)]
  return []
}
