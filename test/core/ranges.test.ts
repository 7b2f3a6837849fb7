/** Ranges of blocks against the obvious twin: a set of numbers. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { countBlocks, isIn, isRanges, joinRanges, type BlockRange } from '../../core/tree/ranges.ts'

const anyRange = fc
  .tuple(fc.nat(60), fc.nat(6))
  .map(([start, length]): BlockRange => ({ start, end: start + length }))

const setOf = (ranges: readonly BlockRange[]) =>
  new Set(
    ranges.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i))
  )

test('ranges: joined, they are in order, begin at even blocks, and hold what was given and nothing else', () => {
  fc.assert(
    fc.property(fc.array(anyRange), (ranges) => {
      const joined = joinRanges(ranges)
      assert.ok(isRanges(joined, 100))
      const given = setOf(ranges)
      const made = setOf(joined)
      for (const seq of given) assert.ok(made.has(seq))
      // At most the even block before an odd one comes along.
      for (const seq of made) assert.ok(given.has(seq) || (seq % 2 === 0 && given.has(seq + 1)))
      assert.is(countBlocks(joined), made.size)
      for (let seq = 0; seq < 80; seq++) assert.is(isIn(joined, seq), made.has(seq))
      assert.equal(joinRanges(joined), joined)
    })
  )
})

test('ranges: of too many, the nearest become one, and none is forgotten', () => {
  const ranges = Array.from({ length: 6000 }, (_, i) => ({
    start: 20 * i + (i % 3) * 2,
    end: 20 * i + 8
  }))
  const joined = joinRanges(ranges)
  assert.is(joined.length, 4096)
  assert.ok(isRanges(joined, 20 * 6000))
  for (const { start, end } of ranges) assert.ok(isIn(joined, start) && isIn(joined, end - 1))
})

test('ranges: what is odd, touching, falling, empty or too far is none', () => {
  const wrong: BlockRange[][] = [
    [{ start: 1, end: 2 }],
    [
      { start: 0, end: 2 },
      { start: 2, end: 4 }
    ],
    [
      { start: 4, end: 6 },
      { start: 0, end: 2 }
    ],
    [{ start: 2, end: 2 }],
    [{ start: 0, end: 11 }]
  ]
  for (const ranges of wrong) assert.not.ok(isRanges(ranges, 10), JSON.stringify(ranges))
  assert.ok(isRanges([{ start: 0, end: 10 }], 10))
})

test.run()
