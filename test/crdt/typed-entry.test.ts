import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { foldEntries, packEntry, unpackEntry, withPosition } from '../../crdt/index.ts'

interface Vector {
  readonly name: string
  readonly hex: string
  /** The fold of the entry alone, or why it is refused. */
  readonly reads?: { readonly type: string; readonly exists: boolean; readonly value: unknown }
  readonly refusal?: string
}

const file: { readonly core: string; readonly seq: number; readonly entries: readonly Vector[] } =
  JSON.parse(readFileSync(new URL('../vectors/typed-entry.json', import.meta.url), 'utf8'))
const CORE = b4a.from(file.core, 'hex')
const SEQ = file.seq

for (const { name, hex, reads, refusal } of file.entries) {
  test(`typed entry vector: ${name}`, () => {
    const unpacked = unpackEntry(b4a.from(hex, 'hex'), CORE, SEQ)
    if (!unpacked.ok) return assert.is(unpacked.reason, refusal)
    assert.is(refusal, undefined)
    const said = { core: CORE, entry: unpacked.entry }
    const { type, exists, value } = foldEntries([said], () => SEQ + 1)
    assert.equal({ type, exists, value }, reads)
    assert.is(b4a.toString(packEntry(unpacked.entry, CORE, SEQ), 'hex'), hex)
  })
}

const valid = file.entries.filter(({ reads }) => reads !== undefined)

/** Never throws; and what is taken can be folded, and says the same when it is written again. */
function check(given: Uint8Array): boolean {
  const unpacked = unpackEntry(b4a.from(given), CORE, SEQ)
  if (!unpacked.ok) return false
  const { entry } = unpacked
  foldEntries([{ core: CORE, entry }], () => SEQ + 1)
  assert.equal(unpackEntry(packEntry(entry, CORE, SEQ), CORE, SEQ), unpacked)
  return true
}

test('typed entry: every change of one byte is taken or refused', () => {
  for (const { hex } of file.entries) {
    const whole = b4a.from(hex, 'hex')
    for (let i = 0; i < whole.byteLength; i++) {
      for (const by of [1, 2, 4, 8, 64, 128, 255]) {
        const changed = new Uint8Array(whole)
        changed[i] = (changed[i] ?? 0) ^ by
        check(changed)
      }
    }
  }
})

test('typed entry: every truncation is refused, but of what nobody here can read', () => {
  for (const { hex, reads } of valid) {
    if (reads?.type.includes('/') === true) continue
    const whole = b4a.from(hex, 'hex')
    for (let length = 0; length < whole.byteLength; length++) {
      assert.not(check(whole.subarray(0, length)), `${hex}, ${length} bytes`)
    }
    assert.not(check(b4a.concat([whole, b4a.from([0])])))
  }
})

test('typed entry: any bytes are taken or refused', () => {
  const start = fc.constantFrom(...[1, 2, 3, 4, 5, 6, 7, 9].map((type) => [1, type]))
  const head = [0, 0, 0, 0, 0, 0, 0, 0, 0]
  fc.assert(
    fc.property(start, fc.boolean(), fc.uint8Array({ maxLength: 60 }), (prefix, hasHead, rest) => {
      check(Uint8Array.from([...prefix, ...(hasHead ? head : []), ...rest]))
    }),
    { numRuns: 5000 }
  )
})

test('typed entry: one that is carried on keeps its positions, those of its parts, too', () => {
  for (const { hex } of valid) {
    const bytes = b4a.from(hex, 'hex')
    const carried = withPosition(bytes, SEQ)
    assert.ok(carried)
    const [before, after] = [unpackEntry(bytes, CORE, SEQ), unpackEntry(carried, CORE, SEQ + 9)]
    assert.equal(after, before)
  }
})

test('typed entry: a position ahead of its block, or in a foreign core, is refused', () => {
  const [vector] = valid
  assert.ok(vector)
  const carried = withPosition(b4a.from(vector.hex, 'hex'), SEQ + 1)
  assert.ok(carried)
  assert.equal(unpackEntry(carried, CORE, SEQ), { ok: false, reason: 'position-invalid' })
})

test.run()
