/** Many commands at once on one store. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Manyhands, type Ended } from '../support/cli.ts'

const manyhands = await Manyhands.make()
const store = manyhands.path('store')
const run = (...args: readonly string[]) => manyhands.run('--store', store, ...args)

test.before(async () => {
  ok(await run('init'))
  ok(await run('space', 'create', 'Notes'))
  for (const i of [1, 2, 3, 4]) ok(await run('put', `together/${i}`, String(i)))
})

test.after(() => manyhands.remove())

function ok({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, stderr)
  return stdout
}

test('ten commands at once, some writing and some reading, all succeed', async () => {
  const start = (...args: readonly string[]) =>
    manyhands.start(['--store', store, '--wait', '60', ...args]).ended
  const puts = [0, 1, 2, 3, 4].map((i) => start('put', `ten/${i}`, String(i)))
  const lists = [0, 1, 2, 3, 4].map(() => start('list', 'together/', '--keys'))
  for (const put of await Promise.all(puts)) ok(put)
  for (const list of await Promise.all(lists)) assert.is(ok(list).split('\n').length, 5)
  assert.is(ok(await run('list', 'ten/', '--keys')).split('\n').length, 6)
})

test.run()
