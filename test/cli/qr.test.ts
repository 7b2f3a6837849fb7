/** The codes that the command draws are read from what a terminal shows of them. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Manyhands } from '../support/cli.ts'
import { until } from '../support/devices.ts'
import { readCode, terminalPixels } from '../support/qr.ts'

const manyhands = await Manyhands.make()
const at = (...args: readonly string[]) => ['--store', manyhands.path('store'), ...args]
// Nobody is there.
const network = ['--host', '127.0.0.1', '--bootstrap', '127.0.0.1:1']

test.before(async () => {
  assert.is((await manyhands.run(...at('init'))).code, 0)
  assert.is((await manyhands.run(...at('space', 'create', 'Notes'))).code, 0)
})

test.after(() => manyhands.remove())

function isReadable(written: string, prefix: string): void {
  const lines = written.split('\n')
  const [link] = lines.filter((line) => line.startsWith(prefix))
  const code = lines.filter((line) => /^[ █▀▄]+$/.test(line))
  assert.ok(link !== undefined && code.length > 10, written)
  assert.is(readCode(terminalPixels(code, true)), link.toUpperCase())
}

test('the code of an invite is its link, read from a terminal that is dark', async () => {
  const { stdout } = await manyhands.run(...at('invite', 'create', '--qr'))
  isReadable(stdout, 'manyhands://join/')
})

test('the code of a link for another device is that link, read from a terminal that is dark', async () => {
  const linking = manyhands.start(at('identity', 'link', '--qr', '--yes', ...network))
  await until(() => /There: /.test(linking.stdout()), { timeout: 30_000 })
  linking.process.kill('SIGINT')
  await linking.ended
  isReadable(linking.stdout(), 'manyhands://device/')
})

test('a code of which one module in three is wrong is not read: the reader reads', async () => {
  const { stdout } = await manyhands.run(...at('invite', 'create', '--qr'))
  const code = stdout.split('\n').filter((line) => /^[ █▀▄]+$/.test(line))
  const broken = code.map((line) => line.replace(/(..)[ █▀▄]/g, '$1█'))
  assert.is(readCode(terminalPixels(broken, true)), null)
})

test.run()
