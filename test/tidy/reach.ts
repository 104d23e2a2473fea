/**
 * Dead files: what no export, binary, script, test or benchmark reaches by imports, nor by a text
 * that names the file (workers, child processes and the tests' set-up are started so).
 */
import ts from 'typescript'
import { type Finding, finding, type House, importsOf, resolveSource, walk } from './sources.js'

/** `./dist/src/x.js` as it is called in package.json is `src/x.ts`. */
const sourceOf = (built: string) =>
  built
    .replace(/^\.\//, '')
    .replace(/^dist\//, '')
    .replace(/(\.d\.ts|\.js)$/, '.ts')

export function checkReach({ sources, manifest }: House): Finding[] {
  const byPath = new Map(sources.map(source => [source.path, source]))
  const open = sources
    .map(({ path }) => path)
    .filter(path => /^test\/.*(\.test|\.config)\.ts$/.test(path))
  for (const entry of Object.values(manifest.exports))
    open.push(...(typeof entry === 'string' ? [entry] : Object.values(entry)).map(sourceOf))
  open.push(...Object.values(manifest.bin).map(sourceOf))
  for (const script of Object.values(manifest.scripts))
    for (const [built] of script.matchAll(/dist\/\S+\.js/g)) open.push(sourceOf(built))
  const reached = new Set<string>()
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const source = byPath.get(path)
    if (source === undefined || reached.has(path)) continue
    reached.add(path)
    for (const { name } of importsOf(source)) open.push(resolveSource(path, name))
    walk(source.tree, node => {
      if (!ts.isStringLiteralLike(node) || !/^[\w./-]+\.[jt]s$/.test(node.text)) return
      const built = node.text.replace(/\.ts$/, '.js')
      open.push(resolveSource(source.path, built), sourceOf(built))
    })
  }
  return sources
    .filter(({ path }) => !reached.has(path))
    .map(source => finding(source, 1, 'a dead file', 'import it, export it, or delete it'))
}
