import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodePath, encodePath, rangeOf } from '../../../adapters/automerge-repo/keys.ts'

const name = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 5 }),
  fc.constantFrom('', '\0', '\0\0', 'a', 'ab', 'a\0', 'a\0b', 'ÿ', '\u{10ffff}')
)
const path = fc.array(name, { maxLength: 4 })

function isIn(range: ReturnType<typeof rangeOf>, bytes: Uint8Array): boolean {
  return Buffer.compare(range.gte, bytes) <= 0 && Buffer.compare(bytes, range.lt) < 0
}

test('a path reads back as it was written, whatever characters its names have', () => {
  fc.assert(fc.property(path, (each) => assert.equal(decodePath(encodePath(each)), each)))
})

test('a range holds a path and what lies below it, name by name, and nothing else', () => {
  fc.assert(
    fc.property(path, path, (prefix, other) => {
      const isBelow = prefix.every((each, i) => each === other[i])
      assert.is(isIn(rangeOf(prefix), encodePath(other)), isBelow)
      assert.ok(isIn(rangeOf(prefix), encodePath([...prefix, ...other])))
    })
  )
  assert.not.ok(isIn(rangeOf(['a']), encodePath(['ab'])))
})

test('bytes that no path has are told, and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
      const decoded = decodePath(bytes)
      if (decoded !== null) assert.equal(encodePath(decoded), bytes)
    })
  )
  for (const bytes of [[0x61], [0xff], [0x61, 0xff, 0], [0xc3, 0]]) {
    assert.is(decodePath(new Uint8Array(bytes)), null)
  }
})

test('a lone surrogate is refused: it would come back as another name', () => {
  assert.throws(() => encodePath(['\ud800']), /well-formed/)
})

test.run()
