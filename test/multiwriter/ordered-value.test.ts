/** Scalars as bytes: their order is the order of the values, and none is the start of another. */
import b4a from 'b4a'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeOrdered, isIndexable, orderedLength } from '../../multiwriter/ordered-value.ts'
import { compareSlowly } from '../oracle/secondary.ts'

const awkward = fc.constantFrom(
  0,
  -0,
  5e-324,
  -5e-324,
  1.5,
  -1.5,
  2 ** 53,
  -(2 ** 53),
  Infinity,
  -Infinity,
  Number.MAX_VALUE,
  '',
  '\0',
  '\0\0',
  'a',
  'a\0',
  'a\0\x01',
  'a\0\xff',
  'a\x01',
  'ab',
  '\uffff',
  '\u{10000}',
  '\u{10ffff}'
)
const bytes = fc
  .uint8Array({ maxLength: 4 })
  .map((each) => each.map((byte) => (byte % 5 === 0 ? 0 : byte)))
const value = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.double({ noNaN: true }),
  fc.integer(),
  fc.string({ unit: 'binary', maxLength: 4 }),
  fc.string({ unit: fc.constantFrom('\0', '\x01', 'a', '\u{10000}'), maxLength: 5 }),
  bytes,
  awkward
)

test('the order of the bytes is the order of the values', () => {
  fc.assert(
    fc.property(value, value, (a, b) => {
      const order = Math.sign(b4a.compare(encodeOrdered(a), encodeOrdered(b)))
      assert.is(order, Math.sign(compareSlowly(a, b)))
    }),
    { numRuns: 5000 }
  )
})

test('what stands behind a value never changes the order of two that differ', () => {
  fc.assert(
    fc.property(value, value, bytes, bytes, (a, b, behindA, behindB) => {
      fc.pre(compareSlowly(a, b) !== 0)
      const one = b4a.concat([encodeOrdered(a), behindA])
      const other = b4a.concat([encodeOrdered(b), behindB])
      assert.is(Math.sign(b4a.compare(one, other)), Math.sign(compareSlowly(a, b)))
    }),
    { numRuns: 5000 }
  )
})

test('where a value ends is seen from its bytes, whatever follows', () => {
  fc.assert(
    fc.property(value, fc.uint8Array({ maxLength: 6 }), (given, behind) => {
      const encoded = encodeOrdered(given)
      assert.is(orderedLength(b4a.concat([encoded, behind])), encoded.byteLength)
      for (let cut = 0; cut < encoded.byteLength; cut++) {
        assert.is(orderedLength(encoded.subarray(0, cut)), null, 'a part of it is no value')
      }
    }),
    { numRuns: 2000 }
  )
})

test('the bytes are those of docs/FORMAT.md', () => {
  const hex = (given: Parameters<typeof encodeOrdered>[0]) =>
    b4a.toString(encodeOrdered(given), 'hex')
  assert.equal([null, false, true].map(hex), ['10', '20', '21'])
  assert.is(hex(1), '30bff0000000000000')
  assert.is(hex(0), '308000000000000000')
  assert.is(hex(-1), '30400fffffffffffff')
  assert.is(hex('a\0é'), '406100ffc3a90001')
  assert.is(hex(b4a.from([0, 1])), '5000ff010001')
})

test('what has no place in the order is not indexable', () => {
  for (const no of [NaN, undefined, {}, [], 1n, Symbol('s'), '\ud800']) assert.not(isIndexable(no))
  for (const yes of [null, false, 0, -Infinity, '', b4a.alloc(0)]) assert.ok(isIndexable(yes))
})

test.run()
