/** Looking up who says something at a key, beside a map. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SpeakerTableBuilder, type Speakers } from '../../multiwriter/speaker-table.ts'
import { seededRandom } from '../support/random.ts'

/** Short keys over few bytes: many are the beginning of others. */
function randomKey(below: (limit: number) => number): Uint8Array {
  return b4a.from(Array.from({ length: below(5) }, () => [0, 1, 127, 128, 255][below(5)] ?? 0))
}

test('a table of speakers says of any key what a map says, and where it would stand', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = seededRandom(seed)
    const below = (limit: number) => random.below(limit)
    const map = new Map<string, Speakers>()
    for (let i = below(200); i > 0; i--)
      map.set(b4a.toString(randomKey(below), 'hex'), [below(3), 3 + below(3)])
    const keys = [...map.keys()].sort()
    const builder = new SpeakerTableBuilder()
    for (const key of keys) builder.add(b4a.from(key, 'hex'), map.get(key) ?? [])
    const table = builder.table()
    assert.is(table.size, map.size)
    for (let i = 0; i < 100; i++) {
      const key = randomKey(below)
      const hex = b4a.toString(key, 'hex')
      assert.equal(table.at(key), map.get(hex) ?? [], `seed ${seed}, key ${hex}`)
      assert.is(table.indexOf(key), keys.filter((each) => each < hex).length, `seed ${seed}`)
      assert.is(table.indexBehind(key), keys.filter((each) => each <= hex).length, `seed ${seed}`)
    }
  }
})

test('a table of speakers is no larger than it says, but for the numbers of speakers', () => {
  const builder = new SpeakerTableBuilder()
  const speakers = [1]
  for (let i = 0; i < 1000; i++) builder.add(b4a.from(String(i).padStart(20, '0')), speakers)
  assert.is(builder.byteLength, 1000 * (20 + 12))
})

test.run()
