/** The file of `gcache serve --config` says who may come in, and may hold a broker's password. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { AUTH } from '../src/config.js'
import { readConfig } from '../src/server/config-file.js'

const folder = mkdtempSync(join(tmpdir(), 'gcache-config-'))
const file = join(folder, 'node.json')

afterAll(() => rmSync(folder, { recursive: true }))

/** What is read of `content`, and what the log is told. */
function read(content: string, mode: number) {
  writeFileSync(file, content)
  chmodSync(file, mode)
  const told: string[] = []
  const warn = (fields: object, text?: string) => told.push(`${text} ${JSON.stringify(fields)}`)
  return { value: readConfig(file, { warn } as never), told }
}

const broker = { servers: 'nats://broker:4222', broker: { user: 'me', pass: 'tell nobody' } }
const withSecret = JSON.stringify({ id: 'a', strategy: { election: { name: 'nats', ...broker } } })

describe('the file of --config', () => {
  test('that others may read is told of if it holds a secret, which is not told', () => {
    const { value, told } = read(withSecret, 0o644)
    expect(value).toEqual(JSON.parse(withSecret))
    expect(told).toHaveLength(1)
    expect(told[0]).toContain('others may read this file')
    expect(told[0]).toContain('chmod 600')
    expect(told[0]).not.toContain('tell nobody')
    expect(read(withSecret, 0o600).told).toEqual([])
    const withKey = '{"strategy":{"election":{"broker":{"tls":{"passphrase":"tell nobody"}}}}}'
    expect(read(withKey, 0o644).told).toHaveLength(1)
    expect(read('{"id":"a","auth":{"secretFile":"/run/secret"}}', 0o644).told).toEqual([])
  })

  test('that anybody may write is refused, whatever it holds', () => {
    expect(() => read('{"id":"a"}', 0o646)).toThrow(/anybody may write .*chmod 600 it/)
  })

  test('that is no object of bounded size is refused by its name, and is not quoted', () => {
    expect(() => read('{"pass":"tell nobody",}', 0o600)).toThrow(/node.json: is no JSON/)
    expect(() => read('{"pass":"tell nobody",}', 0o600)).not.toThrow(/tell nobody/)
    expect(() => read('[]', 0o600)).toThrow(/must hold one JSON object/)
    const large = JSON.stringify({ id: 'a'.repeat(AUTH.configFileBytesMax) })
    expect(() => read(large, 0o600)).toThrow(/has more than 1048576 bytes/)
  })
})
