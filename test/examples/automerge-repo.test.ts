import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { badLines, runExample } from '../support/example.ts'

test('repos of automerge-repo edit offline, meet, are equal, and a third device reads what the space brought', async () => {
  const { output, code, left } = await runExample('automerge-repo')
  assert.is(code, 0, output)
  assert.equal([left, badLines(output)], [[], []])
  const [both] = /Both +(.*)/.exec(output)?.slice(1) ?? []
  assert.equal(new Set(both?.split(', ')), new Set(['milk', 'bread', 'apples']))
  assert.ok(output.includes(`Tablet  ${both}`), output)
})

test.run()
