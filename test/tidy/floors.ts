/**
 * The floors: imports point downwards only, and neighbours meet through contracts. The table is
 * HOUSE's; a folder that it does not name is a finding too, so that nothing stands outside.
 */

import type { House, Manifest, Source } from './sources.js'
import {
  type Finding,
  finding,
  type Import,
  importsOf,
  packageOf,
  resolveSource,
} from './sources.js'

interface Room {
  /** The room's name: files of one room may import each other. */
  readonly name: string
  readonly floor: number
  /** Rooms, besides its own, that it may import; `*` for anything below the roof. */
  readonly sees: readonly string[]
  /** Packages it may import; `node:` for the built-in ones, `*` for what package.json names. */
  readonly packages: readonly string[]
}

const GROUND = ['contracts', 'errors', 'config']
const FIRST = [...GROUND, 'core', 'wire']

/** Mediums: which library a transport is there for. */
const MEDIUMS: Record<string, readonly string[]> = {
  websocket: ['ws'],
  nats: ['nats', '@nats-io/'],
}

const SECOND: Record<string, readonly string[]> = {
  store: ['lru-cache'],
  cache: ['msgpackr', 'lru-cache'],
  discovery: ['node:'],
  security: ['node:'],
}

/** Which room the file at `path` is in; undefined: none that the table knows. */
export function roomOf(path: string): Room | undefined {
  const parts = path.split('/')
  const file = parts.at(-1)?.replace(/\.ts$/, '') ?? ''
  if (parts[0] === 'test' || parts[0] === 'benchmarks')
    return { name: parts[0], floor: 5, sees: ['*'], packages: ['node:', '*'] }
  if (parts[0] === 'transports') {
    const medium = parts.length > 2 ? parts[1] : file
    const name = `transports/${medium}`
    const sees = [...FIRST, 'transports/stream']
    return { name, floor: 2, sees, packages: ['node:', ...(MEDIUMS[medium] ?? [])] }
  }
  if (parts[0] === 'strategies') {
    // A partition is a group of that strategy; it knows nothing of being one.
    const below = parts[1] === 'partitioned' ? ['strategies/master-slave'] : []
    const sees = [...FIRST, ...below]
    return { name: `strategies/${parts[1]}`, floor: 2, sees, packages: [] }
  }
  const room = parts.length > 2 ? parts[1] : file
  return roomOfSrc(path, room, file)
}

function roomOfSrc(path: string, room: string, file: string): Room | undefined {
  if (GROUND.includes(room)) return { name: room, floor: 0, sees: GROUND, packages: [] }
  if (room === 'core') return { name: room, floor: 1, sees: GROUND, packages: [] }
  if (room === 'wire') {
    const own: Record<string, string> = {
      'src/wire/control.ts': 'msgpackr',
      'src/wire/checksum.ts': 'node:zlib',
    }
    return { name: room, floor: 1, sees: GROUND, packages: own[path] ? [own[path]] : [] }
  }
  if (SECOND[room]) {
    const disk = room === 'store' && /disk|snapshot-file/.test(file) ? ['node:'] : []
    return { name: room, floor: 2, sees: FIRST, packages: [...SECOND[room], ...disk] }
  }
  if (room === 'engine' || room === 'client') {
    // HOUSE names no library here; the emitter is DESIGN's own choice for both faces.
    const clock = path === 'src/engine/system-clock.ts' ? ['node:perf_hooks'] : []
    const packages = ['eventemitter3', ...clock]
    return { name: room, floor: 3, sees: [...FIRST, 'cache'], packages }
  }
  // Single files right under src, such as index and node, are the roof, but for the ground's two.
  if (path === `src/${file}.ts` || ['server', 'integrations', 'testing'].includes(room))
    return { name: 'roof', floor: 4, sees: ['*'], packages: ['node:', '*'] }
  return undefined
}

export function checkFloors({ sources, manifest }: House): Finding[] {
  return sources.flatMap(source => {
    const room = roomOf(source.path)
    if (room === undefined)
      return [
        finding(
          source,
          1,
          'the file is in no room of the house',
          'move it to a folder that the floors name, or give it a row in test/tidy/floors.ts',
        ),
      ]
    return importsOf(source).flatMap(item => judge(source, room, item, manifest))
  })
}

function judge(source: Source, room: Room, item: Import, manifest: Manifest): Finding[] {
  const { name, node } = item
  if (!name.startsWith('.')) {
    if (mayUse(room, item, manifest)) return []
    const allowed = room.packages.length > 0 ? room.packages.join(', ') : 'no package'
    const fact = `${room.name} imports ${name}`
    return [finding(source, node, fact, `it may import ${allowed}; ask through a contract`)]
  }
  const target = resolveSource(source.path, name)
  const other = roomOf(target)
  if (other?.name === room.name) return []
  if (other !== undefined && room.sees.includes(other.name)) return []
  if (other !== undefined && room.sees.includes('*') && other.floor < 5) return []
  if (room.floor === 5) return []
  const fact = `${room.name} (floor ${room.floor}) imports ${target}`
  const remedy = 'imports point downwards only: put the type into src/contracts or turn it round'
  return [finding(source, node, fact, remedy)]
}

function mayUse(room: Room, { name, typeOnly }: Import, manifest: Manifest): boolean {
  const owner = packageOf(name)
  for (const allowed of room.packages) {
    if (allowed === '*') {
      if (owner in manifest.dependencies || owner in (manifest.peerDependencies ?? {})) return true
      if (room.floor === 5 && owner in manifest.devDependencies) return true
      // Types of an optional host are written down by whoever uses it.
      if (typeOnly && `@types/${owner}` in manifest.devDependencies) return true
    } else if (name === allowed || owner === allowed) return true
    else if (/[:/]$/.test(allowed) && name.startsWith(allowed)) return true
  }
  return false
}
