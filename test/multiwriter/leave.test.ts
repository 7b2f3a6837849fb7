/** Leaving a space, staying with the others, and being called by one's name again. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { openDevice } from '../../index.ts'
import { collectKeys } from '../support/collect.ts'
import { connect, openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const hexOf = (address: string) => b4a.toString(z32.decode(address), 'hex')

test('leaving forgets the space, its keys and its data, here and not elsewhere', async () => {
  const temp = await tempFolder()
  const storage = join(temp.path, 'store')
  const device = await openDevice({ storage })
  const kept = await device.createSpace({ name: 'Kept' })
  const space = await device.createSpace({ name: 'Left' })
  await kept.db.put('a', 1)
  await space.db.put('secret', 'x')
  const { address, ticket } = space
  await space.leave()

  await rejectsWith('SPACE_CLOSED', () => space.addWriter(kept.writer))
  await rejectsWith('BEE_CLOSED', () => space.db.put('a', 1))
  await rejectsWith('SPACE_UNKNOWN', () => device.openSpace(address))
  await rejectsWith('SPACE_UNKNOWN', () => device.leaveSpace(address))
  assert.equal(device.spaces(), [{ address: kept.address, name: 'Kept' }])
  assert.is((await kept.db.get('a'))?.value, 1)
  assert.equal(await readdir(join(storage, 'index')).catch(() => []), [hexOf(kept.address)])
  const keys = await readFile(join(storage, 'keys.json'), 'utf8')
  assert.is(JSON.parse(keys).secrets.spaces.length, 1)

  // Who comes back with a ticket comes as a new writer, and finds nothing here.
  const again = await device.openSpace(ticket)
  assert.is(again.address, address)
  assert.is.not(again.writer, space.writer)
  assert.is(await again.db.peek(), null)
  await device.close()

  const reopened = await openDevice({ storage })
  assert.is(reopened.spaces().length, 2)
  await reopened.close()
  await temp.remove()
})

test('who left and comes back gets everything from the others again, what it wrote itself included', async () => {
  const two = await openTwoDevices()
  const { a, spaceA, spaceB } = two
  await spaceA.db.put('by-a', 1)
  await spaceB.db.put('by-b', 2)
  const cutFirst = two.connect()
  await until(async () => (await collectKeys(spaceB.db.createReadStream())).length === 2)
  cutFirst()
  await spaceA.leave()
  const again = await a.openSpace(spaceB.ticket)
  assert.is(await again.db.peek(), null)
  const cut = connect(again, spaceB)
  await until(async () => (await collectKeys(again.db.createReadStream())).length === 2)
  await again.db.put('by-a', 3)
  await until(async () => (await spaceB.db.get('by-a'))?.value === 3)
  assert.equal((await spaceB.db.get('by-a'))?.conflicts, [])
  cut()
  await two.close()
})

test('a device is called what it was called before, until it is called something else', async () => {
  const temp = await tempFolder()
  const storage = join(temp.path, 'store')
  for (const [name, expected] of [
    [undefined, 'device'],
    ['Laptop', 'Laptop'],
    [undefined, 'Laptop'],
    ['Desk', 'Desk'],
    [undefined, 'Desk']
  ] as const) {
    const device = await openDevice({ storage, ...(name === undefined ? {} : { name }) })
    assert.is(device.name, expected)
    await device.close()
  }
  await temp.remove()
})

test.run()
