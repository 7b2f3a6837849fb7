/** A person's devices on the command line: linked, lost, and back, each in a process of its own over a real swarm on this machine. */
import { readFile } from 'node:fs/promises'
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

test.after(async () => {
  await testnet.destroy()
  await manyhands.remove()
})

const at =
  (store: string, stdin = '') =>
  (...args: readonly string[]): Promise<Ended> =>
    manyhands.runWith({ stdin }, ['--store', manyhands.path(store), ...args])

function ok({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, stderr + stdout)
  return stdout
}

const start = (store: string, ...args: readonly string[]) =>
  manyhands.start(['--store', manyhands.path(store), ...args])

async function json<T>(store: string, ...args: readonly string[]): Promise<T> {
  return JSON.parse(ok(await at(store)(...args, '--json'))) as T
}

const idAt = async (store: string) => (await json<{ id: string }>(store, 'init')).id

test('a phone is linked, is in all spaces at once, is lost, and ended in all of them', async () => {
  ok(await at('laptop')('init', '--name', 'Laptop'))
  ok(await at('phone')('init', '--name', 'Phone'))
  for (const name of ['One', 'Two']) ok(await at('laptop')('space', 'create', name, '--closed'))
  const linking = start('laptop', 'identity', 'link', '--qr', '--yes', ...network)
  await until(() => /for the device that has it first/.test(linking.stdout()), { timeout: 30_000 })
  const [, link = ''] = /^(manyhands:\/\/device\/[a-z0-9]{85})$/m.exec(linking.stdout()) ?? []
  assert.match(linking.stdout(), /^[ █▀▄\n]+\nmanyhands/)
  const joined = ok(await at('phone')('identity', 'join', link, ...network))
  assert.match(joined, /^A device of [a-z0-9]+ now\.\nOne: in\nTwo: in\nNext: manyhands sync\n$/)
  assert.match(ok(await linking.ended), new RegExp(`Phone, ${await idAt('phone')}, is yours now`))
  const used = await at('phone')('identity', 'join', link, '--timeout', '0.5', ...network)
  assert.is(used.code, 5, used.stderr)
  assert.is((await at('phone')('identity', 'join', 'manyhands://join/yyy')).code, 4)

  const phone = await idAt('phone')
  assert.is((await at('laptop')('device', 'revoke', phone, '--all')).code, 2)
  const revoked = ok(await at('laptop')('device', 'revoke', phone, '--all', '--yes'))
  assert.is(revoked, 'One: revoked\nTwo: revoked\nNext: manyhands sync\n')
  const again = ok(await at('laptop')('device', 'revoke', phone, '--all', '--yes'))
  assert.match(again, 'One: it has no rights there')
})

/** At a terminal, where a person answers; and what the other device has to say meanwhile. */
async function answered(answer: string) {
  let joining: Promise<Ended> | null = null
  const onstdout = (written: string) => {
    const [link] = /^manyhands:\/\/device\/[a-z0-9]{85}$/m.exec(written) ?? []
    if (link !== undefined) joining ??= start('tablet', 'identity', 'join', link, ...network).ended
  }
  const given = { terminal: 120, stdin: `${answer}\n`, onstdout }
  const ask = ['--store', manyhands.path('laptop'), 'identity', 'link', ...network]
  const here = await manyhands.runWith(given, ask)
  assert.ok(joining, here.stderr)
  return { here, there: await (joining as Promise<Ended>) }
}

test('at a terminal a person compares the codes, and confirms, or turns the device away', async () => {
  ok(await at('tablet')('init', '--name', 'Tablet'))
  const refused = await answered('n')
  assert.is(refused.here.code, 2)
  const asked = /Tablet asks to be one of your devices\. It has to show the code (\d{3} \d{3})\./
  const [, code = 'none'] = asked.exec(refused.here.stderr) ?? []
  assert.match(refused.there.stderr, `Confirm there, if it shows the code ${code}`)
  assert.match(refused.there.stderr, 'DEVICE_LINK_REFUSED')
  assert.is(refused.there.code, 1)
  const confirmed = await answered('y')
  assert.match(ok(confirmed.here), /Tablet, [a-z0-9]+, is yours now/)
  assert.match(ok(confirmed.there), /One: in/)
  const alone = await at('laptop')('identity', 'link', ...network)
  assert.is(alone.code, 2)
  assert.match(alone.stderr, 'identity link --yes')
})

test('a link that nobody uses ends by itself', async () => {
  ok(await at('alone')('init'))
  const ended = await at('alone')(
    'identity',
    'link',
    '--expires',
    '1h',
    '--yes',
    '--json',
    ...network,
    '--bogus'
  )
  assert.is(ended.code, 2)
  assert.is((await at('alone')('identity', 'link', '--expires', '2d', '--yes', ...network)).code, 2)
})

test('who has the phrase and the list of spaces is back in all of them with one command', async () => {
  ok(await at('ben')('init', '--name', 'Ben'))
  ok(await at('lost')('init', '--name', 'Lost'))
  ok(await at('lost')('space', 'create', 'Home', '--closed'))
  ok(await at('lost')('put', 'mine', '1'))
  const { link } = await json<{ link: string }>('lost', 'invite', 'create')
  const letting = start('lost', 'sync', ...network)
  ok(await at('ben')('join', link, '--name', 'Ann’s', ...network))
  ok(await at('ben')('sync', '--once', '--timeout', '60', ...network))
  letting.process.kill('SIGINT')
  await letting.ended
  const { phrase } = await json<{ phrase: string }>('lost', 'identity', 'phrase')
  const kit = manyhands.path('kit.html')
  ok(await at('lost')('identity', 'phrase', '--kit', kit))
  assert.match(await readFile(kit, 'utf8'), /<h1>Spaces<\/h1>/)
  const list = ok(await at('lost')('identity', 'spaces'))
  assert.match(list, /^mhl1[a-z0-9]+\n$/)

  ok(await at('found')('init', '--name', 'Found'))
  const typed = `${phrase}\n${list}`
  assert.is((await at('found', typed)('identity', 'recover', ...network)).code, 2)
  const syncing = start('ben', 'sync', ...network)
  const back = ok(await at('found', typed)('identity', 'recover', '--yes', ...network))
  assert.match(back, /^This is [a-z0-9]+ now\.\nHome: lost devices have ended\n$/)
  syncing.process.kill('SIGINT')
  await syncing.ended
  assert.match(ok(await at('found')('device', 'list')), new RegExp(`owner +${await idAt('found')}`))
  assert.match(
    ok(await at('found')('device', 'list')),
    new RegExp(`removed +${await idAt('lost')}`)
  )
})

test.run()
