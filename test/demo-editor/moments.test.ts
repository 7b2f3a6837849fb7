/** Bursts of typing as people think of them. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { momentsOf, piecesOf } from '../../demo-editor/moments.ts'
import type { DocumentVersion } from '../../index.ts'

async function* versions(...written: readonly (readonly [writer: string, ms: number])[]) {
  for (const [i, [writer, ms]] of written.entries()) {
    const stamp = { ms, counter: 0, tag: new Uint8Array(8) }
    const version: DocumentVersion = { version: `${i}`, writer, stamp, kind: 'edit' }
    yield await Promise.resolve(version)
  }
}

test('moments: who goes on without a pause is in one moment, for a minute', async () => {
  const moments = await momentsOf(
    versions(['a', 0], ['a', 4000], ['b', 5000], ['a', 6000], ['a', 20_000]),
    100
  )
  assert.equal(
    moments.map(({ version, writer, from, until }) => [version, writer, from, until]),
    [
      ['1', 'a', 0, 4000],
      ['2', 'b', 5000, 5000],
      ['3', 'a', 6000, 6000],
      ['4', 'a', 20_000, 20_000]
    ]
  )
  const long = Array.from({ length: 100 }, (_, i) => ['a', i * 1000] as const)
  assert.is((await momentsOf(versions(...long), 100)).length, 2)
})

test('moments: of a long history the last ones are kept, and clocks may go back', async () => {
  const many = Array.from({ length: 50 }, (_, i) => [i % 2 === 0 ? 'a' : 'b', 100 - i] as const)
  const moments = await momentsOf(versions(...many), 8)
  assert.is(moments.length, 8)
  assert.is(moments.at(-1)?.version, '49')
  assert.ok(moments.every(({ from, until }) => from <= until))
})

test('moments: the pieces of a text are the later text, with what is gone where it stood', () => {
  const pieces = piecesOf('one two', [
    {
      type: 'text',
      path: ['text'],
      changes: [
        { kind: 'deleted', at: 0, text: 'zero ', writer: null },
        { kind: 'inserted', at: 3, text: ' two', writer: 'w' }
      ]
    },
    { type: 'value', path: ['other'], before: 1, after: 2 }
  ])
  assert.equal(pieces, [
    { kind: 'deleted', text: 'zero ', writer: null },
    { kind: 'same', text: 'one', writer: null },
    { kind: 'inserted', text: ' two', writer: 'w' }
  ])
  assert.equal(piecesOf('', []), [])
})

test.run()
