/** The keystore: who can read it, and that no secret is anywhere else. */
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import { deriveKeyPair, randomBytes } from '../../core/crypto.ts'
import { openStore, type StoreOptions } from '../../core/native/index.ts'
import type { ErrorCode } from '../../errors.ts'
import { appendTo, inFolder, suspicion, withStore } from '../support/folder.ts'
import { failure, filesIn, put, SALT } from '../support/store.ts'

const PASSPHRASE = 'correct horse'

/** Makes a store with a space and a log in use. @returns every secret of it, by what it is */
function makeStore(path: string, options: StoreOptions): Promise<ReadonlyMap<string, Uint8Array>> {
  return withStore(
    path,
    async (store) => {
      const space = {
        address: randomBytes(32),
        membershipKey: randomBytes(32),
        salt: randomBytes(32),
        later: [],
        epochs: []
      }
      await store.saveSecrets({ ...store.secrets, spaces: [space] })
      const { address } = space
      await store.saveSpaces([
        {
          address,
          name: 'Family',
          open: true,
          sparse: false,
          encrypted: true,
          writers: [],
          acl: []
        }
      ])
      const log = await store.ownLog('data', space.salt, null)
      await log.append([put('a')])
      const { seed } = store.secrets
      return new Map([
        ['seed', seed],
        ['membership key', space.membershipKey],
        ['salt', space.salt],
        ['device secret key', store.keyPair.secretKey.subarray(0, 32)],
        [
          'log secret key',
          deriveKeyPair(seed, 'manyhands/log/data', space.salt).secretKey.subarray(0, 32)
        ]
      ])
    },
    options
  )
}

/** Which of the secrets stand where, in bytes, hex or base64. */
async function leaks(path: string, secrets: ReadonlyMap<string, Uint8Array>): Promise<string[]> {
  const found: string[] = []
  for (const [file, bytes] of await filesIn(path)) {
    for (const [name, secret] of secrets) {
      const hex = b4a.toString(secret, 'hex')
      // Without the last characters, which depend on what follows.
      const forms = [secret, hex, hex.toUpperCase(), b4a.toString(secret, 'base64').slice(0, 42)]
      if (forms.some((form) => Buffer.from(bytes).includes(Buffer.from(form))))
        found.push(`${name} in ${file}`)
    }
  }
  return found.sort()
}

async function editKeystore(path: string, edit: (text: string) => string): Promise<void> {
  const file = join(path, 'keys.json')
  const text = await readFile(file, 'utf8')
  const edited = edit(text)
  assert.is.not(edited, text, 'the edit changed nothing')
  await writeFile(file, edited)
}

inFolder(
  'secrets stand in the keystore and nowhere else, least of all in the stack’s files',
  async (path) => {
    const secrets = await makeStore(path, {})
    // The search itself must be able to find: the keystore has what cannot be derived.
    const kept = ['membership key', 'salt', 'seed'].map((name) => `${name} in keys.json`)
    assert.equal(await leaks(path, secrets), kept)
    await withStore(path, async () => assert.equal(await leaks(path, secrets), kept))
  }
)

inFolder('under a passphrase they stand nowhere, nor does the passphrase', async (path) => {
  const secrets = new Map(await makeStore(path, { passphrase: PASSPHRASE }))
  secrets.set('passphrase', b4a.from(PASSPHRASE))
  assert.equal(await leaks(path, secrets), [])
  const open = () => leaks(path, secrets).then((found) => assert.equal(found, []))
  await withStore(path, open, { passphrase: PASSPHRASE })
})

inFolder('a device’s ticket stands in no file', async (path) => {
  const device = await openDevice({ storage: path, passphrase: PASSPHRASE })
  const space = await device.createSpace({ name: 'Family' })
  await space.db.put('a', 1)
  const { ticket } = space
  await device.close()
  assert.equal(await leaks(path, new Map([['ticket', b4a.from(ticket.slice(-52))]])), [])
})

inFolder('the keystore is its owner’s alone, after each save', async (path) => {
  await withStore(path, async (store) => {
    const mode = async () => (await stat(join(path, 'keys.json'))).mode & 0o777
    assert.is(await mode(), 0o600)
    await store.saveSecrets(store.secrets)
    assert.is(await mode(), 0o600)
  })
})

inFolder('a passphrase is asked for, checked, and changes nothing when wrong', async (path) => {
  await makeStore(path, { passphrase: PASSPHRASE })
  const before = await readFile(join(path, 'keys.json'), 'utf8')
  await failure('PASSPHRASE_REQUIRED', () => openStore(path))
  await failure('PASSPHRASE_WRONG', () => openStore(path, { passphrase: 'Correct horse' }))
  await failure('PASSPHRASE_WRONG', () => openStore(path, { passphrase: '' }))
  assert.is(await readFile(join(path, 'keys.json'), 'utf8'), before)
  await withStore(path, async (store) => assert.is(store.secrets.spaces.length, 1), {
    passphrase: PASSPHRASE
  })
})

inFolder(
  'a passphrase for a store without one is refused: it would protect nothing',
  async (path) => {
    await appendTo(path, 0, 1)
    await failure('PASSPHRASE_WRONG', () => openStore(path, { passphrase: PASSPHRASE }))
    await appendTo(path, 1, 1)
  }
)

inFolder('a passphrase is the same however its letters are composed', async (path) => {
  await makeStore(path, { passphrase: 'Stra\u00dfe caf\u00e9' })
  await withStore(path, async () => {}, { passphrase: 'Stra\u00dfe cafe\u0301' })
})

inFolder('two saves under a passphrase share no nonce and no ciphertext', async (path) => {
  await withStore(
    path,
    async (store) => {
      const box = async () =>
        (JSON.parse(await readFile(join(path, 'keys.json'), 'utf8')) as { box: string }).box
      const first = await box()
      await store.saveSecrets(store.secrets)
      const second = await box()
      assert.is.not(first.slice(0, 48), second.slice(0, 48))
      assert.is.not(first.slice(48), second.slice(48))
    },
    { passphrase: PASSPHRASE }
  )
})

/** What can happen to the keystore, and what opening then says. */
const damages: readonly (readonly [string, ErrorCode, (text: string) => string])[] = [
  ['emptied', 'STORE_IDENTITY_LOST', () => ''],
  ['truncated', 'STORE_IDENTITY_LOST', (text) => text.slice(0, text.length / 2)],
  ['zeroed', 'STORE_IDENTITY_LOST', (text) => '\0'.repeat(text.length)],
  ['null', 'STORE_IDENTITY_LOST', () => 'null'],
  ['of another format', 'STORE_IDENTITY_LOST', (text) => text.replace('-keystore', '-other')],
  ['without secrets', 'STORE_IDENTITY_LOST', (text) => text.replace('"secrets"', '"other"')],
  ['a short seed', 'STORE_IDENTITY_LOST', (text) => text.replace(/("seed": ")../, '$1')],
  ['a seed of no hex', 'STORE_IDENTITY_LOST', (text) => text.replace(/("seed": ")../, '$1zz')],
  ['a newer version', 'STORE_UNSUPPORTED', (text) => text.replace('"version": 1', '"version": 2')]
]

for (const [title, code, edit] of damages) {
  inFolder(
    `a keystore damaged (${title}) is ${code}, and the store stays as it is`,
    async (path) => {
      await appendTo(path, 0, 1)
      const file = join(path, 'keys.json')
      const sound = await readFile(file)
      await editKeystore(path, edit)
      const damaged = await readFile(file, 'utf8')
      await failure(code, () => openStore(path))
      assert.is(await readFile(file, 'utf8'), damaged)
      await writeFile(file, sound)
      await appendTo(path, 1, 1)
    }
  )
}

/** Under a passphrase; a changed byte of the box cannot be told from a wrong passphrase. */
const sealedDamages: readonly (readonly [string, ErrorCode, (text: string) => string])[] = [
  [
    'a changed box',
    'PASSPHRASE_WRONG',
    (text) =>
      text.replace(
        /"box": "../,
        (found) => found.slice(0, -2) + (found.endsWith('00') ? '01' : '00')
      )
  ],
  ['no box', 'STORE_IDENTITY_LOST', (text) => text.replace('"box"', '"other"')],
  ['a box of no hex', 'STORE_IDENTITY_LOST', (text) => text.replace(/("box": ")../, '$1zz')],
  ['a short salt', 'STORE_IDENTITY_LOST', (text) => text.replace(/("salt": ")../, '$1')],
  ['no salt', 'STORE_IDENTITY_LOST', (text) => text.replace('"salt"', '"other"')],
  ['another algorithm', 'STORE_IDENTITY_LOST', (text) => text.replace('argon2id13', 'scrypt')],
  ['no effort', 'STORE_IDENTITY_LOST', (text) => text.replace(/"opslimit": \d+/, '"opslimit": 0')],
  [
    'endless effort',
    'STORE_IDENTITY_LOST',
    (text) => text.replace(/"opslimit": \d+/, '"opslimit": 1e12')
  ],
  ['no memory', 'STORE_IDENTITY_LOST', (text) => text.replace(/"memlimit": \d+/, '"memlimit": 1')],
  [
    'all memory',
    'STORE_IDENTITY_LOST',
    (text) => text.replace(/"memlimit": \d+/, '"memlimit": 1e15')
  ]
]

for (const [title, code, edit] of sealedDamages) {
  inFolder(`a sealed keystore damaged (${title}) is ${code}`, async (path) => {
    const options = { passphrase: PASSPHRASE }
    await withStore(path, async () => {}, options)
    const sound = await readFile(join(path, 'keys.json'))
    await editKeystore(path, edit)
    await failure(code, () => openStore(path, options))
    await writeFile(join(path, 'keys.json'), sound)
    await withStore(path, async () => {}, options)
  })
}

inFolder(
  'a keystore that is gone is STORE_IDENTITY_LOST as soon as anything else is there',
  async (path) => {
    await makeStore(path, {})
    const sound = await readFile(join(path, 'keys.json'))
    await rm(join(path, 'keys.json'))
    for (const rest of ['logs', 'spaces.json', 'high-water.json']) {
      await failure('STORE_IDENTITY_LOST', () => openStore(path))
      assert.not.ok([...(await filesIn(path)).keys()].includes('keys.json'))
      if (rest === 'logs') {
        await writeFile(join(path, 'keys.json'), sound)
        assert.is(await suspicion(path), null)
        await rm(join(path, 'keys.json'))
      }
      await rm(join(path, rest), { recursive: true })
    }
  }
)

inFolder('another device’s keystore opens none of this one’s logs for writing', async (path) => {
  await appendTo(path, 0, 2)
  await appendTo(`${path}-other`, 0, 1)
  await writeFile(join(path, 'keys.json'), await readFile(join(`${path}-other`, 'keys.json')))
  await withStore(path, async (store) => {
    const log = await store.ownLog('data', SALT, null)
    assert.is(log.core.length, 0)
  })
})

test.run()
