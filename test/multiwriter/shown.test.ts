/** What ends up in logs: nothing of it is a secret, however a device and a space are printed. */
import { join } from 'node:path'
import { inspect } from 'node:util'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { deriveKeyPair } from '../../core/index.ts'
import { Keystore } from '../../core/native/keystore.ts'
import { MemoryNetwork, openDevice } from '../../index.ts'
import { tempFolder } from '../support/devices.ts'

const folder = await tempFolder()
test.after(() => folder.remove())

const ALL = { depth: Infinity, maxArrayLength: null, showHidden: true, getters: true } as const

/** As hex, as `inspect` prints buffers and other arrays, and as JSON has both. */
function formsOf(secret: Uint8Array): readonly string[] {
  const numbers = [...secret]
  const hex = b4a.toString(secret, 'hex')
  return [
    hex,
    hex.replace(/..(?=.)/g, '$& '),
    numbers.join(','),
    JSON.stringify(Object.assign({}, numbers))
  ]
}

/** `inspect` breaks lines in the middle of a list. */
const printed = (value: object) =>
  inspect(value, ALL).replace(/\s+/g, ' ').replaceAll(', ', ',') + JSON.stringify(value)

test('secrets: neither a device nor a space shows a key when it is printed or made into JSON', async () => {
  const storage = join(folder.path, 'device')
  const device = await openDevice({ storage, transport: new MemoryNetwork().transport })
  try {
    const space = await device.createSpace()
    await space.db.put('a', 1)
    await space.invite()
    const keystore = await Keystore.open(join(storage, 'keys.json'), null)
    if (keystore === null) throw new Error('no keystore')
    const { seed, identity, spaces } = keystore.secrets
    const secrets = [
      seed,
      deriveKeyPair(seed, 'manyhands/device').secretKey,
      identity.entropy,
      spaces[0]?.membershipKey,
      spaces[0]?.epochs[0]
    ]
    const { db, documents, members, anchors, wire } = space
    const shown = [device, device.identity, space, db, documents, members, anchors, wire]
    for (const [i, secret] of secrets.entries()) {
      if (secret === undefined || secret === null) throw new Error(`no secret ${i}`)
      const forms = formsOf(secret)
      for (const value of shown)
        for (const form of forms)
          assert.not(printed(value).includes(form), `secret ${i} in ${inspect(value)}`)
    }
    // The test would find one.
    for (const planted of [{ seed }, { seed: [...seed] }])
      assert.ok(formsOf(seed).some((form) => printed(planted).includes(form)))
  } finally {
    await device.close()
  }
})

test.run()
