/** Playing stories for somebody who watches. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const attack = async (...words: readonly string[]) => {
  const script = fileURLToPath(new URL('attack.ts', import.meta.url))
  const args = ['--import', 'tsx', script, ...words]
  return (await promisify(execFile)(process.execPath, args)).stdout
}

test('attack: a story shows who said what, what of it is void, and who is in', async () => {
  const shown = await attack('circle')
  assert.match(shown, /three admins remove each other in a circle/)
  assert.match(shown, /revokes dave .* void: rule 4/)
  assert.match(shown, /carol {4}removed\n {11}carol\/1\/acl ends at 0/)
  assert.not.match(shown, /sock puppets/)
})

test('attack: without a title all are listed', async () => {
  assert.match(await attack(), /split ballots/)
})

test.run()
