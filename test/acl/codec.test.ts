import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeRecord, encodeRecord, MAX_RECORD_BYTES, type AclRecord } from '../../acl/index.ts'
import { seededRandom } from '../support/random.ts'

interface Vector {
  readonly name: string
  readonly record: AclRecord
  readonly bytes: string
}

/** Byte arrays stand as `hex:…` in the file. */
const vectors = JSON.parse(
  readFileSync(new URL('../vectors/membership.json', import.meta.url), 'utf8'),
  (_, value: unknown) =>
    typeof value === 'string' && value.startsWith('hex:')
      ? new Uint8Array(Buffer.from(value.slice(4), 'hex'))
      : value
) as readonly Vector[]

const bytesOf = ({ bytes }: Vector): Uint8Array => new Uint8Array(Buffer.from(bytes, 'hex'))

test('membership: there is a golden vector of each kind', () => {
  const kinds = new Set(vectors.map(({ record }) => record.kind))
  assert.is(kinds.size, 14)
})

for (const vector of vectors) {
  test(`membership: golden vector, ${vector.name}`, () => {
    assert.is(Buffer.from(encodeRecord(vector.record)).toString('hex'), vector.bytes)
    assert.equal(decodeRecord(bytesOf(vector)), vector.record)
  })
}

test('membership: a record of another version or kind is unsupported, not malformed', () => {
  const [vector] = vectors
  const bytes = vector === undefined ? new Uint8Array() : bytesOf(vector)
  assert.is(decodeRecord(bytes.with(0, 2)), 'unsupported')
  assert.is(decodeRecord(bytes.with(1, 99)), 'unsupported')
  assert.is(decodeRecord(new Uint8Array()), 'malformed')
  assert.is(decodeRecord(new Uint8Array([1])), 'malformed')
})

test('membership: what is cut short, or longer than it says, or too large, is malformed', () => {
  for (const vector of vectors) {
    const bytes = bytesOf(vector)
    for (let length = 2; length < bytes.byteLength; length++) {
      assert.is(decodeRecord(bytes.subarray(0, length)), 'malformed', `${vector.name} at ${length}`)
    }
    assert.is(decodeRecord(new Uint8Array([...bytes, 0])), 'malformed')
  }
  assert.is(decodeRecord(new Uint8Array(MAX_RECORD_BYTES + 1).fill(1)), 'malformed')
})

test('membership: there is one way to write a record', () => {
  const head = (core: string, length: number) => ({
    core: core.repeat(32),
    length,
    treeHash: '00'.repeat(32)
  })
  const up = [head('01', 1), head('02', 300)]
  const record: AclRecord = { kind: 'seal', heads: up, cuts: [...up].reverse() }
  assert.equal(encodeRecord(record), encodeRecord({ ...record, cuts: up }))
  const bytes = encodeRecord({ kind: 'leave', heads: [], cuts: [] })
  assert.equal([...bytes], [1, 10, 0, 0])
  // The same numbers in a longer form.
  assert.is(decodeRecord(new Uint8Array([1, 10, 0xfd, 0, 0, 0])), 'malformed')
})

test('membership: only a writer has prefixes', () => {
  const grant = vectors.find(({ record }) => record.kind === 'grant')?.record
  assert.ok(grant?.kind === 'grant' && grant.prefixes !== null)
  assert.is(decodeRecord(encodeRecord({ ...grant, role: 'admin' })), 'malformed')
})

test('membership: no bytes make reading throw, and what is read is written the same', () => {
  const random = seededRandom(6)
  let read = 0
  for (let round = 0; round < 20_000; round++) {
    const vector = vectors[random.below(vectors.length)]
    if (vector === undefined) continue
    const bytes = bytesOf(vector)
    for (let i = random.below(4); i >= 0; i--) bytes[random.below(bytes.length)] = random.below(256)
    if (random.below(4) === 0) bytes[0] = 1
    const record = decodeRecord(bytes)
    if (typeof record === 'string') continue
    read++
    assert.equal(encodeRecord(record), bytes, `round ${round}`)
  }
  assert.ok(read > 1000, `only ${read} were records`)
})

test.run()
