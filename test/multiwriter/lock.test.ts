/** Keys at rest: a passphrase that is set, changed and removed, and a device that is locked and goes on without a restart. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openStore } from '../../core/native/index.ts'
import { MemoryNetwork, openDevice } from '../../index.ts'
import { tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
let count = 0
test.after(() => folder.remove())

const place = () => join(folder.path, `device-${count++}`)

test('passphrase: it is set, changed and removed while the device is open', async () => {
  const storage = place()
  const keys = () => readFile(join(storage, 'keys.json'), 'utf8')
  const reopens = async (passphrase?: string) => {
    const device = await openDevice({
      storage,
      ...(passphrase === undefined ? {} : { passphrase })
    })
    await device.close()
  }
  const device = await openDevice({ storage })
  assert.match(await keys(), 'seed')
  assert.is(device.hasPassphrase, false)
  await rejectsWith('PASSPHRASE_WRONG', () => device.setPassphrase('some', 'first'))
  await rejectsWith('INVALID_ARGUMENT', () => device.setPassphrase(null, ''))
  await device.setPassphrase(null, 'first')
  assert.not.match(await keys(), 'seed')
  assert.is(device.hasPassphrase, true)
  await rejectsWith('PASSPHRASE_REQUIRED', () => device.setPassphrase(null, 'second'))
  await rejectsWith('PASSPHRASE_WRONG', () => device.setPassphrase('wrong', 'second'))
  await device.createSpace() // saved under the new one
  await device.close()
  await rejectsWith('PASSPHRASE_REQUIRED', () => reopens())
  const again = await openDevice({ storage, passphrase: 'first' })
  assert.is(again.spaces().length, 1)
  await again.setPassphrase('first', 'second')
  await again.close()
  await rejectsWith('PASSPHRASE_WRONG', () => reopens('first'))
  const last = await openDevice({ storage, passphrase: 'second' })
  await last.setPassphrase('second', null)
  await last.close()
  await reopens()
})

test('lock: nothing works but unlocking, and then everything goes on', async () => {
  const { transport } = new MemoryNetwork()
  const storage = place()
  const laptop = await openDevice({ storage, passphrase: 'correct horse', transport })
  const other = await openDevice({ storage: place(), transport })
  try {
    const space = await laptop.createSpace({ open: true })
    const theirs = await other.openSpace(space.ticket)
    await space.db.put('a', 1)
    await until(async () => (await theirs.db.get('a'))?.value === 1)
    const { address } = space
    await laptop.lock()
    await laptop.lock()
    assert.ok(laptop.isLocked)
    await until(() => theirs.peers().length === 0)
    await rejectsWith('SPACE_CLOSED', () => space.version())
    for (const task of [
      () => laptop.openSpace(address),
      () => laptop.createSpace(),
      () => laptop.rotate(address),
      () => laptop.leaveSpace(address),
      async () => laptop.identity.phrase(),
      async () => laptop.identity.request(),
      () => laptop.setPassphrase('correct horse', null),
      async () => laptop.backup('k')[Symbol.asyncIterator]().next(),
      async () => laptop.replicate(true)
    ])
      await rejectsWith('DEVICE_LOCKED', task)
    await rejectsWith('PASSPHRASE_WRONG', () => laptop.unlock('wrong horse'))
    assert.ok(laptop.isLocked)
    await theirs.db.put('meanwhile', true)
    await laptop.unlock('correct horse')
    assert.not(laptop.isLocked)
    const again = await laptop.openSpace(address)
    await until(async () => (await again.db.get('meanwhile'))?.value === true)
    await again.db.put('b', 2)
    await until(async () => (await theirs.db.get('b'))?.value === 2)
    // A second time, and closed while it is locked.
    await laptop.lock()
    await laptop.close()
    const reopened = await openDevice({ storage, passphrase: 'correct horse' })
    assert.is((await (await reopened.openSpace(address)).db.get('b'))?.value, 2)
    await reopened.close()
  } finally {
    await laptop.close()
    await other.close()
  }
})

test('lock: there has to be a passphrase', async () => {
  const device = await openDevice({ storage: place() })
  const space = await device.createSpace()
  await rejectsWith('PASSPHRASE_UNSET', () => device.lock())
  await space.db.put('still', 'open')
  await device.setPassphrase(null, 'p')
  await device.lock()
  await rejectsWith('INVALID_ARGUMENT', () => device.unlock(''))
  await device.unlock('p')
  await device.close()
})

test('lock: keys are zeroed where they were kept', async () => {
  const store = await openStore(place(), { passphrase: 'p' })
  const log = await store.ownLog('data', b4a.alloc(32, 1), null)
  const { seed, identity } = store.secrets
  const kept = [seed, identity.entropy, store.keyPair.secretKey, log.core.keyPair?.secretKey]
  for (const each of kept) assert.ok(each?.some((byte) => byte !== 0))
  const before = b4a.toString(seed, 'hex')
  await log.close()
  await store.lock()
  for (const each of kept) assert.ok(each?.every((byte) => byte === 0))
  await rejectsWith('DEVICE_LOCKED', async () => store.secrets)
  await rejectsWith('DEVICE_LOCKED', async () => store.keyPair)
  await store.unlock('p')
  assert.is(b4a.toString(store.secrets.seed, 'hex'), before)
  await store.close()
})

test('lock: what a crash would print of a device holds no key', async () => {
  const device = await openDevice({ storage: place(), passphrase: 'planted passphrase' })
  const space = await device.createSpace()
  const shown = inspect([device, device.identity], {
    depth: 12,
    showHidden: true,
    maxArrayLength: null
  })
  const phrase = device.identity.phrase()
  assert.not(shown.includes('planted passphrase'))
  for (const word of [phrase, phrase.split(' ').slice(0, 3).join(' ')])
    assert.not(shown.includes(word))
  assert.not(shown.includes(space.ticket))
  await device.close()
})

test.run()
