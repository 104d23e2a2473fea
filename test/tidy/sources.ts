/**
 * What every rule of the house reads: the parsed sources, and findings that say where, what and
 * what to do instead. A rule is a pure function from these to findings, so bad snippets test it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

export interface Source {
  /** From the root of the project, with forward slashes. */
  readonly path: string
  readonly lines: readonly string[]
  readonly tree: ts.SourceFile
}

export interface Finding {
  readonly path: string
  /** From 1. */
  readonly line: number
  readonly fact: string
  readonly remedy: string
}

/** The part of package.json that rules look at. */
export interface Manifest {
  readonly exports: Record<string, string | Record<string, string>>
  readonly bin: Record<string, string>
  readonly scripts: Record<string, string>
  readonly dependencies: Record<string, string>
  readonly devDependencies: Record<string, string>
  readonly peerDependencies?: Record<string, string>
}

export interface House {
  readonly sources: readonly Source[]
  readonly manifest: Manifest
}

/** Where code lives; nothing else is read. */
const FOLDERS = ['src', 'transports', 'strategies', 'test', 'benchmarks']

export function parse(path: string, text: string): Source {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true)
  return { path, lines: text.split('\n'), tree }
}

/** Reads every TypeScript file under `root`. */
export function readHouse(root: string): House {
  const sources: Source[] = []
  for (const folder of FOLDERS) {
    if (!existsSync(join(root, folder))) continue
    for (const entry of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      const path = `${folder}/${entry.replaceAll('\\', '/')}`
      if (!path.endsWith('.ts') || path.includes('node_modules')) continue
      sources.push(parse(path, readFileSync(join(root, path), 'utf8')))
    }
  }
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
  return { sources, manifest }
}

export function finding(
  source: Source,
  where: ts.Node | number,
  fact: string,
  remedy: string,
): Finding {
  const line =
    typeof where === 'number'
      ? where
      : source.tree.getLineAndCharacterOfPosition(where.getStart(source.tree)).line + 1
  return { path: source.path, line, fact, remedy }
}

export function print({ path, line, fact, remedy }: Finding): string {
  return `${path}:${line}: ${fact}: ${remedy}`
}

/** Visits `node` and all below it, parents first. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node)
  ts.forEachChild(node, child => walk(child, visit))
}

/** A module name that the file imports, exports from, or loads by `import()`. */
export interface Import {
  readonly name: string
  readonly node: ts.Node
  readonly typeOnly: boolean
}

export function importsOf(source: Source): Import[] {
  const found: Import[] = []
  walk(source.tree, node => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const typeOnly = node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword
      found.push({ name: node.moduleSpecifier.text, node, typeOnly })
    } else if (
      ts.isExportDeclaration(node) &&
      node.moduleSpecifier !== undefined &&
      ts.isStringLiteral(node.moduleSpecifier)
    ) {
      found.push({ name: node.moduleSpecifier.text, node, typeOnly: node.isTypeOnly })
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      const { literal } = node.argument
      if (ts.isStringLiteral(literal)) found.push({ name: literal.text, node, typeOnly: true })
    } else if (
      ts.isCallExpression(node) &&
      node.expression.kind === ts.SyntaxKind.ImportKeyword &&
      node.arguments.length > 0 &&
      ts.isStringLiteral(node.arguments[0])
    ) {
      found.push({ name: node.arguments[0].text, node, typeOnly: false })
    }
  })
  return found
}

/** `./x.js` seen from `from` as the path of its source, such as `src/core/x.ts`. */
export function resolveSource(from: string, name: string): string {
  const parts = from.split('/').slice(0, -1)
  for (const part of name.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.' && part !== '') parts.push(part)
  }
  return parts.join('/').replace(/\.js$/, '.ts')
}

/** The package that a module name belongs to: `@a/b/c` gives `@a/b`. */
export function packageOf(name: string): string {
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/')
}
