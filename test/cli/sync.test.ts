/** `sync` between processes over a real swarm on this machine: the other device's data, and other commands meanwhile. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import createTestnet from 'hyperdht/testnet.js'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Manyhands, type Ended } from '../support/cli.ts'
import { until } from '../support/devices.ts'

const manyhands = await Manyhands.make()
const testnet = await createTestnet(3, { host: '127.0.0.1' })
const network = [
  '--host',
  '127.0.0.1',
  ...testnet.bootstrap.flatMap(({ host, port }) => ['--bootstrap', `${host}:${port}`])
]
const laptop = (...args: readonly string[]) => ['--store', manyhands.path('laptop'), ...args]
const phone = (...args: readonly string[]) => ['--store', manyhands.path('phone'), ...args]
const PATIENCE = { timeout: 60_000 }

test.after(async () => {
  await testnet.destroy()
  await manyhands.remove()
})

function ok({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, stderr)
  return stdout
}

test('two devices meet by a ticket and are in step; other commands go on meanwhile', async () => {
  ok(await manyhands.run(...laptop('init', '--name', 'Laptop')))
  ok(await manyhands.run(...laptop('space', 'create', 'Family')))
  ok(await manyhands.run(...laptop('put', 'by-laptop', '1')))
  const ticket = ok(await manyhands.run(...laptop('space', 'ticket'))).trim()
  ok(await manyhands.run(...phone('init')))
  ok(await manyhands.run(...phone('join', ticket)))
  ok(await manyhands.run(...phone('put', 'by-phone', '2')))

  const syncing = manyhands.start(laptop('sync', ...network))
  await until(() => existsSync(join(manyhands.path('laptop'), 'port')), PATIENCE)
  const once = await manyhands.run(...phone('sync', '--once', '--timeout', '60', ...network))
  assert.match(ok(once), /In step with 1 device/)
  assert.is(ok(await manyhands.run(...phone('get', 'by-laptop'))), '1\n')
  assert.is(ok(await manyhands.run(...laptop('get', 'by-phone'))), '2\n')

  // Through the process that syncs, and on to the other device.
  ok(await manyhands.run(...laptop('put', 'meanwhile', '3')))
  ok(await manyhands.run(...phone('sync', '--once', '--timeout', '60', ...network)))
  assert.is(ok(await manyhands.run(...phone('get', 'meanwhile'))), '3\n')

  syncing.process.kill('SIGINT')
  assert.is((await syncing.ended).code, 130)
  assert.match(syncing.stdout(), /1 device connected, 1 in step/)
})

test('sync --once says in time that nobody came', async () => {
  const { code, stderr } = await manyhands.run(
    ...phone('sync', '--once', '--timeout', '0.5', ...network)
  )
  assert.is(code, 5)
  assert.match(stderr, /Family|space: no other device was there/)
  assert.is((await manyhands.run(...phone('sync', '--bootstrap', 'nonsense'))).code, 2)
})

test('sync goes through a process that owns the store, and takes over when that ends', async () => {
  const socket = join(manyhands.path('laptop'), 'port')
  const watch = manyhands.start(laptop('watch'))
  await until(() => existsSync(socket), PATIENCE)
  const syncing = manyhands.start(laptop('sync', '--json', ...network))
  await until(() => syncing.stdout() !== '', PATIENCE)
  watch.process.kill('SIGINT')
  assert.is((await watch.ended).code, 130)
  ok(await manyhands.run(...laptop('put', 'after', '4', '--wait', '60')))
  ok(await manyhands.run(...phone('sync', '--once', '--timeout', '60', ...network)))
  assert.is(ok(await manyhands.run(...phone('get', 'after'))), '4\n')
  syncing.process.kill('SIGTERM')
  assert.is((await syncing.ended).code, 130, syncing.stderr())
})

test.run()
