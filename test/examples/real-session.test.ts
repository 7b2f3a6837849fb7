/** The real session: the recording as it is read, and its beginning on devices. The whole of it is real-session.slow.ts. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Screen, replayInMemory } from '../../examples/real-session/screen.ts'
import { LIBRARIES } from '../../examples/real-session/sheets.ts'
import { countConcurrent, glimpsesOf, readSession } from '../../examples/real-session/session.ts'
import { badLines, runExample } from '../support/example.ts'

test('the recording, with what each saw of the other, gives the recorded text in Yjs alone', async () => {
  const { edits, endContent } = await readSession()
  assert.is(edits.length, 26_078)
  assert.is(countConcurrent(edits), 11_700)
  assert.is(replayInMemory(LIBRARIES.yjs, edits), endContent)
})

test('an edit sees what its parents had seen, and what everybody saw is a glimpse', async () => {
  const { edits, endContent } = await readSession(400)
  assert.is(endContent, null)
  const glimpses = glimpsesOf(edits)
  let last = [0, 0]
  for (const { by, seen } of edits) {
    assert.ok(seen >= last[by]!, 'nobody forgets')
    assert.ok(glimpses[by === 0 ? 1 : 0].has(seen))
    last = last.with(by, seen)
  }
  assert.ok(last[0]! > 0 && last[1]! > 0)
})

test('a screen refuses to show more or less than the recording says', () => {
  const typed: Uint8Array[] = []
  const one = new Screen(LIBRARIES.yjs, 0, (update) => typed.push(update))
  const two = new Screen(LIBRARIES.yjs, 1, () => {})
  one.type([[0, 0, 'a']])
  one.type([[1, 0, 'b']])
  for (const update of typed) two.arrive(update)
  assert.throws(() => two.show(1), 'nothing is known to have arrived')
  two.mark(2)
  assert.throws(() => two.show(1), 'both edits came in one piece')
  assert.is(two.content, '')
  two.show(2)
  assert.is(two.content, 'ab')
})

for (const [engine, name, first] of [
  ['yjs', 'Yjs', '1000'],
  ['automerge', 'Automerge', '400']
] as const)
  test(`its beginning comes out the same on both devices, after a restart, and on a third: ${name}`, async () => {
    const run = await runExample('real-session', undefined, ['--first', first, '--engine', engine])
    assert.is(run.code, 0, run.output)
    assert.equal(run.left, [])
    assert.equal(badLines(run.output), [])
    const texts = run.output.match(new RegExp(`sha256 [0-9a-f]{16}: as ${name} alone$`, 'gm')) ?? []
    assert.is(texts.length, 7)
    assert.is(new Set(texts).size, 1)
  })

test('a wrong number of edits is refused before anything is made', async () => {
  for (const first of ['0', '1.5']) {
    const run = await runExample('real-session', undefined, [`--first=${first}`])
    assert.is(run.code, 2)
    assert.match(run.output, /^"--first" expected a number of edits, got /)
  }
})

test('Ctrl-C while they type cleans up', async () => {
  const stopped = await runExample('real-session', '1. Each types')
  assert.is(stopped.code, 130, stopped.output)
  assert.equal(stopped.left, [])
})

test.run()
