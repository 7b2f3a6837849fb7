/** `invite` and `join`: two processes over a real swarm on this machine, and all that is told without one. */
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

test.after(async () => {
  await testnet.destroy()
  await manyhands.remove()
})

function ok({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, stderr)
  return stdout
}

interface Invite {
  readonly id: string
  readonly link: string
  readonly state: string
}

async function json(...args: readonly string[]): Promise<Invite> {
  return JSON.parse(ok(await manyhands.run(...args, '--json'))) as Invite
}

test('an invite is made, shown once, listed without its link, and revoked', async () => {
  ok(await manyhands.run(...laptop('init', '--name', 'Laptop')))
  ok(await manyhands.run(...laptop('space', 'create', 'Family', '--closed')))
  ok(await manyhands.run(...laptop('put', 'by-laptop', '1')))
  const made = ok(await manyhands.run(...laptop('invite', 'create', '--role', 'reader', '--qr')))
  assert.match(made, /^[ █▀▄\n]+\nmanyhands:\/\/join\/[a-z0-9]{111}\n/)
  assert.match(made, /Lets in 1 device as reader, until 20/)
  const { id, link } = await json(...laptop('invite', 'create', '--uses', '3'))
  const list = ok(await manyhands.run(...laptop('invite', 'list')))
  assert.match(list, new RegExp(`${id} +open +writer +0 of 3 used +until 20`))
  assert.not.ok(list.includes(link.slice(-20)))
  ok(await manyhands.run(...laptop('invite', 'revoke', id)))
  assert.match(ok(await manyhands.run(...laptop('invite', 'list'))), /revoked +writer/)
})

test('wrong calls name what was wrong, and do nothing', async () => {
  const ended = async (...args: readonly string[]) => {
    const { code, stderr } = await manyhands.run(...laptop(...args), '--json')
    const { error } = JSON.parse(stderr) as { readonly error: { readonly code: string } }
    return [code, error.code]
  }
  assert.equal(await ended('invite', 'create', '--role', 'king'), [2, 'INVALID_ARGUMENT'])
  assert.equal(await ended('invite', 'create', '--expires', 'soon'), [2, 'INVALID_ARGUMENT'])
  assert.equal(await ended('invite', 'create', '--uses', '0'), [2, 'INVALID_ARGUMENT'])
  assert.equal(await ended('invite', 'revoke', 'nothing'), [2, 'INVALID_ARGUMENT'])
  assert.equal(await ended('join', 'Family'), [4, 'INVITE_INVALID'])
  assert.equal(await ended('join', 'manyhands://join/yyy', ...network), [4, 'INVITE_INVALID'])
})

test('a device joins by a link over the swarm, and reads', async () => {
  ok(await manyhands.run(...phone('init', '--name', 'Phone')))
  const { link } = await json(...laptop('invite', 'create'))
  const early = await manyhands.run(...phone('join', link, '--timeout', '0.5', ...network))
  assert.is(early.code, 5)
  assert.match(early.stderr, /Nobody who may let in answered in time/)
  const syncing = manyhands.start(laptop('sync', ...network))
  await until(() => existsSync(join(manyhands.path('laptop'), 'port')), { timeout: 60_000 })
  const joined = ok(await manyhands.run(...phone('join', link, '--name', 'Ours', ...network)))
  assert.match(joined, /Joined the space Ours\.\nNext: manyhands sync/)
  ok(await manyhands.run(...phone('sync', '--once', '--timeout', '60', ...network)))
  assert.is(ok(await manyhands.run(...phone('get', 'by-laptop'))), '1\n')
  const again = await manyhands.run(...phone('join', link, ...network))
  assert.is(again.code, 4)
  assert.match(again.stderr, /This device has the space/)
  syncing.process.kill('SIGINT')
  await syncing.ended
})

test.run()
