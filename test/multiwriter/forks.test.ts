/** Stores that were copied and wrote on, in a space: found by whoever sees both, and ended the same way everywhere. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { copyStore } from '../support/copies.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
let count = 0

const failures: unknown[] = []
process.on('unhandledRejection', (error) => failures.push(error))

test.after(async () => {
  await folder.remove()
  assert.equal(failures, [])
})

/** A founder, a second writer, and two copies of a third writer's store; everybody has met but the copies. */
interface World {
  readonly founder: Space
  readonly other: Space
  readonly one: Space
  readonly two: Space
  open(name: Name): Promise<Space>
  close(): Promise<void>
}

type Name = 'founder' | 'other' | 'one' | 'two'

const valueIn = async (space: Space, key: string) => (await space.db.get(key))?.value

async function contentsOf(space: Space): Promise<Record<string, unknown>> {
  const contents: Record<string, unknown> = {}
  for await (const { key, value } of space.db.createReadStream()) contents[key] = value
  return contents
}

async function openWorld(): Promise<World> {
  const at = join(folder.path, `world-${count++}`)
  const devices = new Map<Name, Device>()
  const spaces = new Map<Name, Space>()
  let address = ''
  const open = async (name: Name): Promise<Space> => {
    await devices.get(name)?.close()
    const device = await openDevice({ storage: join(at, name) })
    devices.set(name, device)
    const space = await device.openSpace(address)
    spaces.set(name, space)
    return space
  }
  const make = async (name: Name) => {
    const device = await openDevice({ storage: join(at, name) })
    devices.set(name, device)
    return device
  }
  const founder = await (await make('founder')).createSpace()
  address = founder.address
  const other = await (await make('other')).openSpace(founder.ticket)
  const third = await (await make('one')).openSpace(founder.ticket)
  for (const { writer } of [other, third]) await founder.addWriter(writer)
  await third.db.put('common', 'before the copy')
  const cuts = [connect(founder, other), connect(founder, third), connect(other, third)]
  for (const space of [founder, other, third]) {
    await until(() => space.members.list().length === 3)
    await until(async () => (await valueIn(space, 'common')) !== undefined)
  }
  for (const cut of cuts) cut()
  await devices.get('one')?.close()
  await copyStore(join(at, 'one'), join(at, 'two'))
  return {
    founder,
    other,
    one: await open('one'),
    two: await open('two'),
    open,
    async close() {
      for (const device of devices.values()) await device.close()
    }
  }
}

const isForkKnown = (space: Space) => space.members.forks().length > 0

test('forks: of two copies of a store, the branch counts that the higher-ranking device has; everybody ends with it', async () => {
  const world = await openWorld()
  const { founder, other, one, two } = world
  await one.db.put('of-one', 1)
  await two.db.put('of-two', 2)
  const cuts = [connect(founder, one), connect(other, two)]
  await until(async () => (await valueIn(founder, 'of-one')) === 1)
  await until(async () => (await valueIn(other, 'of-two')) === 2)
  await other.db.put('of-other', 3)
  cuts.push(connect(founder, other))
  for (const space of [founder, other, one, two]) await until(() => isForkKnown(space))
  const expected = { common: 'before the copy', 'of-one': 1, 'of-other': 3 }
  for (const space of [founder, other, one, two]) {
    await until(async () => JSON.stringify(await contentsOf(space)) === JSON.stringify(expected))
    const [fork] = space.members.forks()
    assert.is(fork?.writer, one.writer)
    assert.is(fork?.use, 'data')
    assert.is(fork?.here, 'chosen')
  }
  for (const copy of [one, two]) await rejectsWith('NOT_ALLOWED', () => copy.db.put('more', 1))
  for (const cut of cuts) cut()
  await world.close()
})

test.run()
