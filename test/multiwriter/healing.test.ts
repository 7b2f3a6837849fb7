/** A device whose logs lost their tail (a restored snapshot): it writes on at once, says why, and gets the tail back. */
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { openDevice, type Device, type Space } from '../../index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
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

test('a device whose log lost its tail says so, and writes on at once, offline', async () => {
  const { storage, address, close } = await restored()
  const device = await openDevice({ storage })
  const space = await device.openSpace(address)
  assert.type(device.rolledBack, 'string')
  assert.is(await count(space), EARLY)
  await space.db.put('x', 1)
  await space.db.put('key-0', 'new')
  await device.close()
  const again = await openDevice({ storage })
  const reopened = await again.openSpace(address)
  assert.is(again.rolledBack, null)
  assert.is(reopened.writer, space.writer)
  assert.is(await count(reopened), EARLY + 1)
  await close(again)
})

test('a peer gives the tail back, and what was written meanwhile stands beside it', async () => {
  const { storage, address, held, close } = await restored()
  const device = await openDevice({ storage })
  const space = await device.openSpace(address)
  await space.db.put('x', 1)
  await space.db.put(`key-${LATE - 1}`, 'not knowing of the tail')
  await space.db.put('key-0', 'over what is here')
  const cut = connect(space, held)
  const isWhole = async (each: Space) => (await count(each)) === LATE + 1
  await until(async () => (await isWhole(space)) && (await isWhole(held)))
  for (const each of [space, held]) {
    assert.is((await each.db.get('key-0'))?.value, 'over what is here')
    const both = await each.db.get(`key-${LATE - 1}`)
    assert.is(both?.value, 'not knowing of the tail')
    assert.equal(
      both?.conflicts.map(({ value }) => value),
      [LATE - 1]
    )
  }
  await space.db.put(`key-${LATE - 1}`, 'settled')
  await until(async () => (await held.db.get(`key-${LATE - 1}`))?.conflicts.length === 0)
  assert.is(device.rolledBack === null, false)
  cut()
  await close(device)
})

/** A member whose logs were put back to before it acknowledged what others have acknowledged since, and one of those. */
async function restoredMember() {
  const folder = await tempFolder()
  const storage = join(folder.path, 'a')
  const [logs, backup] = [join(storage, 'logs', 'db'), join(folder.path, 'backup')]
  const peer = await openDevice({ storage: join(folder.path, 'b') })
  const held = await peer.createSpace()
  const early = await openDevice({ storage })
  const joined = await early.openSpace(held.ticket)
  await held.addWriter(joined.writer)
  let cut = connect(held, joined)
  await until(() => joined.members.list().length === 2)
  assert.ok(await joined.members.acknowledge())
  cut()
  await early.close()
  await cp(logs, backup, { recursive: true })
  const late = await openDevice({ storage })
  const space = await late.openSpace(held.address)
  cut = connect(held, space)
  for (let i = 0; i < 3; i++) {
    await held.db.put('more', i)
    await until(async () => (await space.db.get('more'))?.value === i)
    assert.ok(await space.members.acknowledge())
  }
  await until(() => held.members.seenBy(held.writer).some(({ length }) => length === 3))
  await space.db.put('tail', 1)
  await until(async () => (await held.db.get('tail'))?.value === 1)
  assert.ok(await held.members.acknowledge())
  cut()
  await late.close()
  await rm(logs, { recursive: true })
  await cp(backup, logs, { recursive: true })

  const device = await openDevice({ storage })
  const restored = await device.openSpace(held.address)
  const close = async () => {
    await device.close()
    await peer.close()
    await folder.remove()
  }
  return { held, restored, close }
}

test('a membership log that lost its tail is gone on from once others have given that back, whatever they acknowledge', async () => {
  const { held, restored, close } = await restoredMember()
  await restored.db.put('mine', 'after')
  const cut = connect(held, restored)
  await until(async () => (await held.db.get('mine'))?.value === 'after')
  await held.members.acknowledge()
  await restored.members.acknowledge()
  await held.db.put('answer', 1)
  await until(async () => (await restored.db.get('answer'))?.value === 1)
  for (const each of [held, restored]) {
    assert.is((await each.db.get('mine'))?.value, 'after')
    assert.is((await each.db.get('tail'))?.value, 1)
  }
  assert.equal(
    held.members.list().map(({ role }) => role),
    ['owner', 'writer']
  )
  assert.is(held.members.list()[1]?.devices[0]?.writers.length, 2)
  cut()
  await close()
})

test('a membership log that is given back is named as a whole, however slowly it is read while others bring news', async () => {
  const { held, restored, close } = await restoredMember()
  const begun = restored.wire.memberLogs().filter(({ length }) => length > 0)
  const root = begun.find(({ key }) => z32.encode(key) === held.address)
  const old = begun.find((core) => core !== root)
  assert.ok(root && old)
  const get = old.get.bind(old)
  let goOn = () => {}
  const isLetGo = new Promise<void>((resolve) => (goOn = resolve))
  old.get = async (...asked) => {
    await isLetGo
    return get(...asked)
  }
  await restored.db.put('mine', 'after')
  const before = old.length
  const cut = connect(held, restored)
  await until(() => old.length > before && old.contiguousLength === old.length)
  const known = root.contiguousLength
  await held.members.setRole(held.members.list()[1]?.devices[0]?.device ?? '', 'admin')
  await until(() => root.contiguousLength > known)
  // Long enough to take what is read of it by now for all there is.
  await new Promise((resolve) => setTimeout(resolve, 500))
  goOn()
  await until(async () => (await held.db.get('mine'))?.value === 'after')
  assert.is(held.members.list()[1]?.devices[0]?.writers.length, 2)
  cut()
  await close()
})

test('a peer that goes away while it gives the tail back leaves nothing hanging', async () => {
  const { storage, address, held, close } = await restored()
  const device = await openDevice({ storage })
  const space = await device.openSpace(address)
  const own = space.wire.cores().find((core) => core.length > 1)
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
