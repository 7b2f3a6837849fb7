import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'

const NOW = Date.UTC(2026, 0)
const IN_2099 = Date.UTC(2099, 0)

/** Opens a device whose clock stands at `wall`. */
async function openAt(folder: string, wall: number): Promise<Device> {
  return openDevice({ storage: folder, now: () => wall })
}

async function valueIn(space: Space, key: string): Promise<unknown> {
  return (await space.db.get(key))?.value ?? null
}

test('clocks: a start in 2099 and a life in 1970 mute nobody, hide nothing, block nobody', async () => {
  const folder = await tempFolder()
  const at = (name: string) => join(folder.path, name)
  const old = await openAt(at('old'), 0)
  const normal = await openAt(at('normal'), NOW)
  let wild = await openAt(at('wild'), IN_2099)
  const oldSpace = await old.createSpace({ open: true })
  const normalSpace = await normal.openSpace(oldSpace.ticket)
  let wildSpace = await wild.openSpace(oldSpace.ticket)
  const skews: string[] = []
  normalSpace.on('clock-skew', ({ writer }) => skews.push(writer))
  const wildWriter = wildSpace.writer
  try {
    await wildSpace.db.put('key', 'wild')
    await wildSpace.db.put('wild only', 1)
    await oldSpace.db.put('key', 'old')
    const cuts = [connect(oldSpace, normalSpace), connect(normalSpace, wildSpace)]
    // Concurrent: the greatest stamp wins, the other is shown.
    await until(async () => (await valueIn(normalSpace, 'key')) === 'wild')
    await until(async () => (await normalSpace.db.get('key'))?.conflicts[0]?.value === 'old')
    await until(async () => (await valueIn(normalSpace, 'wild only')) === 1)
    // The next write that has seen it covers it, whatever its own stamp.
    await normalSpace.db.put('key', 'normal')
    assert.is((await normalSpace.db.get('key'))?.stamp.ms, NOW)
    assert.is(await valueIn(normalSpace, 'key'), 'normal')
    for (const space of [oldSpace, wildSpace])
      await until(async () => (await valueIn(space, 'key')) === 'normal')
    await oldSpace.db.put('key', 'old again')
    for (const space of [normalSpace, wildSpace])
      await until(async () => (await valueIn(space, 'key')) === 'old again')
    assert.equal((await wildSpace.db.get('key'))?.conflicts, [])
    assert.equal(skews, [wildWriter], 'named once, and nobody else')
    for (const cut of cuts) cut()

    assert.is(wildSpace.clockRepair, null)
    await wild.close()
    wild = await openAt(at('wild'), NOW)
    wildSpace = await wild.openSpace(oldSpace.address)
    assert.is(wildSpace.clockRepair?.from.ms, IN_2099)
    assert.is(wildSpace.clockRepair?.to, NOW)
    await wildSpace.db.put('key', 'mended')
    assert.is((await wildSpace.db.get('key'))?.stamp.ms, NOW)
    connect(oldSpace, wildSpace)
    await until(async () => (await valueIn(oldSpace, 'key')) === 'mended')
    assert.equal((await oldSpace.db.get('key'))?.conflicts, [])
  } finally {
    for (const device of [old, normal, wild]) await device.close()
    await folder.remove()
  }
})

test('clocks: a writer goes on after its own newest stamp, though its clock was set back', async () => {
  const folder = await tempFolder()
  const at = join(folder.path, 'device')
  let device = await openAt(at, NOW)
  let space = await device.createSpace()
  try {
    await space.db.put('key', 1)
    const before = (await space.db.get('key'))?.stamp
    const { address } = space
    await device.close()
    device = await openAt(at, NOW - 1000)
    space = await device.openSpace(address)
    await space.db.put('key', 2)
    const after = (await space.db.get('key'))?.stamp
    assert.is(space.clockRepair, null)
    assert.equal([after?.ms, after?.counter], [NOW, (before?.counter ?? 0) + 1])
  } finally {
    await device.close()
    await folder.remove()
  }
})

test.run()
