/** Playing stories for somebody who watches. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TYPESCRIPT } from '../support/typescript.ts'

const attack = async (...words: readonly string[]) => {
  const script = fileURLToPath(new URL('attack.ts', import.meta.url))
  const args = [...TYPESCRIPT, script, ...words]
  return (await promisify(execFile)(process.execPath, args)).stdout
}

test('attack: a story shows who said what, what of it is void, and who is in', async () => {
  const shown = await attack('circle')
  assert.match(shown, /three admins remove each other in a circle/)
  assert.match(shown, /revokes dave .* void: rule 4/)
  assert.match(shown, /carol {4}removed\n {11}carol\/1\/acl ends at 0/)
  assert.not.match(shown, /sock puppets/)
})

test('attack: beside it, what comes of it in Autobase: who is out is not decided by rank, late work is lost untold', async () => {
  const circle = await attack('circle')
  assert.match(
    circle,
    /Beside it Autobase.*\n {2}bob (writes|is out), carol .*, dave .*\n.*keys have decided/
  )
  const late = await attack('writes offline')
  assert.match(late, /carol writes "late" offline, and sees it\n/)
  assert.match(late, /bob writes, carol is out\n {2}"late" is shown by 0 of 4 afterwards\n/)
  assert.match(late, /told of it: alice nothing, bob nothing, carol unwritable\n/)
  assert.match(late, /carol is added again: "late" is not back\n/)
})

test('attack: without a title all are listed', async () => {
  assert.match(await attack(), /split ballots/)
})

test.run()
