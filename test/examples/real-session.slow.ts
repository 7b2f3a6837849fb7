/** The whole recorded session, on devices. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runExample } from '../support/example.ts'

for (const engine of ['yjs', 'automerge']) {
  test(`all of the session comes out as recorded: on both devices, after a restart, and on a third (${engine})`, async () => {
    const { code, output, left } = await runExample('real-session', undefined, ['--engine', engine])
    assert.is(code, 0, output)
    assert.equal(left, [])
    const texts = output.match(/21,362 characters, sha256 [0-9a-f]{16}: as recorded$/gm) ?? []
    assert.is(texts.length, 7)
    assert.is(new Set(texts).size, 1)
  })
}

test.run()
