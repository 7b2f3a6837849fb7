/** The commands for a person's phrase, shares and devices, and for the keys at rest; and that none of them tells a secret unasked. */
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { Keystore } from '../../core/native/keystore.ts'
import { deriveKeyPair } from '../../core/index.ts'
import { openDevice } from '../../index.ts'
import { Manyhands, type Ended } from '../support/cli.ts'
import { filesIn } from '../support/store.ts'

const manyhands = await Manyhands.make()
test.after(() => manyhands.remove())

const at =
  (store: string, stdin = '') =>
  (...args: readonly string[]): Promise<Ended> =>
    manyhands.runWith({ stdin }, ['--store', manyhands.path(store), ...args])

function ok({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, stderr)
  return stdout
}

function fails({ code, stderr }: Ended, exit: number, pattern: RegExp | string): void {
  assert.is(code, exit, stderr)
  assert.match(stderr, pattern)
}

async function phraseAt(store: string): Promise<string> {
  const { phrase } = JSON.parse(ok(await at(store)('identity', 'phrase', '--json'))) as {
    phrase: string
  }
  return phrase
}

test('identity: the phrase is shown, verified, printed, split and forgotten', async () => {
  const shown = ok(await at('laptop')('identity', 'create', '--name', 'Laptop'))
  const phrase = await phraseAt('laptop')
  phrase.split(' ').forEach((word, i) => assert.match(shown, `${i + 1}. ${word}`))
  // As it is shown, row by row, it is in another order, and told to be.
  ok(await at('laptop', phrase)('identity', 'verify'))
  fails(await at('laptop', shown)('identity', 'verify'), 7, 'PHRASE_INVALID')
  fails(await at('laptop', phrase.replace(/\w+$/, 'zzz'))('identity', 'verify'), 7, 'place 24')
  fails(await at('laptop')('identity', 'verify'), 2, 'No phrase')
  ok(await at('other')('init'))
  assert.is((await at('other', phrase)('identity', 'verify')).code, 1)

  const split = ['identity', 'split', '--shares', '3', '--needed', '2']
  const shares = ok(await at('laptop')(...split))
    .trim()
    .split('\n')
  assert.is(shares.length, 3)
  ok(await at('laptop', `${shares[2]}\n\n${shares[0]}\n`)('identity', 'verify'))
  fails(await at('laptop', shares[1])('identity', 'verify'), 7, 'SHARES_TOO_FEW')
  fails(await at('laptop')('identity', 'split', '--shares', '2', '--needed', '3'), 2, 'needed')

  const kit = manyhands.path('kit.html')
  ok(await at('laptop')('identity', 'phrase', '--kit', kit))
  assert.is((await stat(kit)).mode & 0o777, 0o600)
  assert.match(await readFile(kit, 'utf8'), 'Laptop')
  assert.is((await at('laptop')(...split, '--kit', kit)).code, 2)

  assert.is((await at('laptop')('identity', 'phrase', '--forget')).code, 2)
  ok(await at('laptop')('identity', 'phrase', '--forget', '--yes'))
  fails(await at('laptop')('identity', 'phrase'), 1, 'PHRASE_UNKNOWN')
  assert.match(ok(await at('laptop')('identity', 'show')), 'not on this device')
  ok(await at('laptop', phrase)('identity', 'verify'))
})

test('identity: a second device is certified, and a new one comes back by shares', async () => {
  const { id: laptop, phrase } = await personAt('first')
  ok(await at('second')('init', '--name', 'Phone'))
  const request = ok(await at('second')('identity', 'request')).trim()
  const certified = await at('first')('identity', 'certify', request)
  assert.match(certified.stderr, 'Phone')
  ok(await at('second')('identity', 'accept', certified.stdout.trim()))
  assert.is(await idAt('second'), laptop)
  fails(await at('first')('identity', 'accept', certified.stdout.trim()), 7, 'REQUEST_INVALID')
  ok(await at('third')('init'))
  assert.match(ok(await at('third', phrase)('identity', 'recover')), 'Next: join')
  assert.is(await idAt('third'), laptop)
  // In a space where nobody knows this person yet, nothing can be taken back.
  ok(await at('first')('space', 'create', 'Home'))
  const ticket = ok(await at('first')('space', 'ticket')).trim()
  ok(await at('third')('join', ticket))
  fails(await at('third', phrase)('identity', 'recover'), 2, '--yes')
  const nobody = ['--timeout', '0.5', '--host', '127.0.0.1', '--bootstrap', '127.0.0.1:9']
  const { code, stdout } = await at('third', phrase)('identity', 'recover', '--yes', ...nobody)
  assert.is(code, 1)
  assert.match(stdout, 'no member')
})

const idAt = async (store: string) =>
  (JSON.parse(ok(await at(store)('identity', 'show', '--json'))) as { id: string }).id

async function personAt(store: string): Promise<{ id: string; phrase: string }> {
  ok(await at(store)('init'))
  return { id: await idAt(store), phrase: await phraseAt(store) }
}

test('members: a petname is shown on this device alone', async () => {
  ok(await at('names')('init'))
  ok(await at('names')('space', 'create', 'Home'))
  const id = await idAt('names')
  ok(await at('names')('members', 'name', id, 'Myself'))
  assert.match(ok(await at('names')('members', 'list')), /^owner {2}Myself {2}device/)
  ok(await at('names')('members', 'name', id))
  assert.not.match(ok(await at('names')('members', 'list')), 'Myself')
  assert.is((await at('names')('members', 'name', 'nobody', 'X')).code, 2)
})

test('lock: the command that uses the store is locked and unlocked by another', async () => {
  const storage = manyhands.path('locked')
  const device = await openDevice({ storage, serve: true })
  try {
    fails(await at('locked')('lock'), 3, 'PASSPHRASE_UNSET')
    ok(await at('locked', 'first\n')('passphrase'))
    ok(await at('locked')('lock'))
    assert.ok(device.isLocked)
    fails(await at('locked')('space', 'create', 'Home'), 3, 'DEVICE_LOCKED')
    fails(await at('locked', 'wrong')('unlock'), 3, 'PASSPHRASE_WRONG')
    ok(await at('locked', 'first')('unlock'))
    assert.not(device.isLocked)
    ok(await at('locked')('space', 'create', 'Home'))
  } finally {
    await device.close()
  }
  ok(await at('locked')('lock')) // at rest it is
  fails(await at('locked')('space', 'list'), 3, 'PASSPHRASE_REQUIRED')
  const old = manyhands.path('old.txt')
  await writeFile(old, 'first\n')
  ok(await at('locked')('--passphrase-file', old, 'passphrase', '--remove'))
  ok(await at('locked')('space', 'list'))
})

/** What nobody may find, each in the forms that it might be written in. */
function formsOf(name: string, secret: Uint8Array): [string, string][] {
  const texts = [
    b4a.toString(secret, 'hex'),
    b4a.toString(secret, 'base64').replace(/=+$/, '').slice(0, -1),
    z32.encode(secret).slice(0, -1),
    [...secret].join(','),
    [...secret].join(', '),
    // As Node shows a Buffer.
    b4a.toString(secret, 'hex').replace(/..(?!$)/g, '$& ')
  ]
  return texts.map((text) => [name, text])
}

test('secrets: no command tells one unasked, in what it prints, in its errors, or in what it writes', async () => {
  const passphrase = 'planted-correct-horse'
  const file = manyhands.path('planted.txt')
  await writeFile(file, passphrase)
  const planted = (...args: readonly string[]) => at('planted')('--passphrase-file', file, ...args)
  ok(await planted('init', '--name', 'Planted'))
  ok(await planted('space', 'create', 'Home'))
  const phrase = (
    JSON.parse(ok(await planted('identity', 'phrase', '--json'))) as { phrase: string }
  ).phrase
  const keystore = await Keystore.open(join(manyhands.path('planted'), 'keys.json'), passphrase)
  if (keystore === null) throw new Error('no keystore')
  const { seed, identity, spaces } = keystore.secrets
  const words = phrase.split(' ')
  const secrets: [string, string][] = [
    ['passphrase', passphrase],
    ['phrase', words.slice(3, 6).join(' ')],
    ...formsOf('seed', seed),
    ...formsOf('entropy', identity.entropy ?? b4a.alloc(0)),
    ...formsOf('membership key', spaces[0]?.membershipKey ?? b4a.alloc(0)),
    ...formsOf('device key', deriveKeyPair(seed, 'manyhands/device').secretKey.subarray(0, 32))
  ]
  assert.ok(secrets.every(([, text]) => text.length > 10))

  const bent = words.with(4, 'wrongword').join(' ')
  const shares = ok(await planted('identity', 'split', '--shares', '2', '--needed', '2'))
  const stdin = {
    phrase,
    bent,
    swapped: [...words].reverse().join(' '),
    shares: shares.slice(0, 90)
  }
  const withInput = (text: string, ...args: readonly string[]) =>
    at('planted', text)('--passphrase-file', file, ...args)
  const runs: Ended[] = []
  for (const json of [[], ['--json']]) {
    for (const args of [
      ['init'],
      ['identity', 'show'],
      ['identity', 'request'],
      ['identity', 'spaces'],
      ['identity', 'join', phrase],
      ['device', 'revoke', phrase, '--all', '--yes'],
      ['identity', 'certify', 'mhr1nonsense'],
      ['identity', 'accept', phrase],
      ['members', 'list'],
      ['members', 'name', phrase, 'X'],
      ['device', 'list'],
      ['space', 'list'],
      ['sync', '--nonsense'],
      ['put', 'a', '1'],
      ['get', 'a'],
      ['doctor'],
      ['stats'],
      ['lock']
    ])
      runs.push(await planted(...json, ...args))
    for (const text of Object.values(stdin)) {
      runs.push(await withInput(text, ...json, 'identity', 'verify'))
      runs.push(await withInput(text, ...json, 'identity', 'recover'))
    }
    runs.push(await at('planted', passphrase)(...json, 'unlock'))
    runs.push(await at('planted', phrase)(...json, 'passphrase', '--remove'))
  }
  // A damaged keystore of a store without a passphrase: what is wrong with it is told without quoting it.
  ok(await at('broken')('init'))
  const keys = join(manyhands.path('broken'), 'keys.json')
  await writeFile(keys, `{ "seed": "${b4a.toString(seed, 'hex')}" oops`)
  for (const json of [[], ['--json']]) runs.push(await at('broken')(...json, 'space', 'list'))
  await writeFile(keys, '{}')

  for (const { stdout, stderr } of runs)
    for (const [name, text] of secrets) {
      assert.not((stdout + stderr).includes(text), `${name} in ${stdout}${stderr}`)
      assert.not(stderr.includes('wrongword'), stderr)
    }
  for (const [path, bytes] of await filesIn(manyhands.path('planted'))) {
    const content = Buffer.from(bytes)
    for (const [name, text] of secrets) assert.not(content.includes(text), `${name} in ${path}`)
    for (const secret of [seed, identity.entropy ?? seed])
      assert.not(content.includes(Buffer.from(secret)), `in ${path}`)
  }
})

test.run()
