/** A device whose log lost its tail (a restored backup): it reads, says why it cannot write, and gets the tail back. */
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice, type Device, type Space } from '../../index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'
import { within } from '../support/within.ts'

const EARLY = 50
const LATE = 600

async function putEach(space: Space, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) await space.db.put(`key-${i}`, i)
}

async function count(space: Space): Promise<number> {
  let keys = 0
  for await (const _ of space.db.createReadStream()) keys++
  return keys
}

/** A device whose logs were put back to an early state, and a peer that holds all it ever wrote. */
async function restored() {
  const folder = await tempFolder()
  const storage = join(folder.path, 'a')
  const [logs, backup] = [join(storage, 'logs', 'db'), join(folder.path, 'backup')]
  const early = await openDevice({ storage })
  const founded = await early.createSpace({ open: true })
  const { address, ticket } = founded
  await putEach(founded, 0, EARLY)
  await early.close()
  await cp(logs, backup, { recursive: true })
  const late = await openDevice({ storage })
  const space = await late.openSpace(address)
  await putEach(space, EARLY, LATE)
  const peer = await openDevice({ storage: join(folder.path, 'b') })
  const held = await peer.openSpace(ticket)
  const cut = connect(space, held)
  await until(async () => (await count(held)) === LATE)
  cut()
  await late.close()
  await rm(logs, { recursive: true })
  await cp(backup, logs, { recursive: true })
  const close = async (device: Device) => {
    await device.close()
    await peer.close()
    await folder.remove()
  }
  return { storage, address, held, close }
}

test('a device whose log lost its tail reads what is left and refuses to write', async () => {
  const { storage, address, close } = await restored()
  const device = await openDevice({ storage })
  const space = await device.openSpace(address)
  assert.type(device.rolledBack, 'string')
  assert.is(await count(space), EARLY)
  await rejectsWith('STORE_ROLLED_BACK', () => space.db.put('x', 1))
  await close(device)
})

test('a peer gives the tail back, and at the next opening writing goes on', async () => {
  const { storage, address, held, close } = await restored()
  const device = await openDevice({ storage })
  const space = await device.openSpace(address)
  const cut = connect(space, held)
  await until(async () => (await count(space)) === LATE)
  await rejectsWith('STORE_ROLLED_BACK', () => space.db.put('x', 1))
  cut()
  await device.close()
  const again = await openDevice({ storage })
  const healed = await again.openSpace(address)
  assert.is(again.rolledBack, null)
  await healed.db.put('x', 1)
  assert.is(await count(healed), LATE + 1)
  await close(again)
})

test('a peer that goes away while it gives the tail back leaves nothing hanging', async () => {
  const { storage, address, held, close } = await restored()
  const device = await openDevice({ storage })
  const space = await device.openSpace(address)
  const own = space.wire.cores().find((core) => core.length > 0)
  const before = own?.length ?? 0
  const cut = connect(space, held)
  await until(() => (own?.length ?? 0) > before)
  cut()
  assert.ok((await within(5000, count(space))) >= EARLY)
  await within(5000, device.close())
  const again = await within(5000, openDevice({ storage }))
  const reopened = await within(5000, again.openSpace(address))
  assert.ok((await within(5000, count(reopened))) >= EARLY)
  await within(5000, close(again))
})

test.run()
