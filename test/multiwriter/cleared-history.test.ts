/** What was cleared, seen from versions, links and history: it is missing at once and with a code, and the rest is there. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import type { LogEncryption } from '../../core/index.ts'
import { openStore } from '../../core/native/index.ts'
import { batchesOf } from '../../core/tree/batches.ts'
import { TreeContext } from '../../core/tree/context.ts'
import { isManyhandsError, openDevice, type Space } from '../../index.ts'
import { encryptionOf } from '../support/encryption.ts'
import { collect } from '../support/collect.ts'
import { connect, openTwoDevices, tempFolder, until, type TwoDevices } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'
import { within } from '../support/within.ts'

const KEYS = 60

async function putMany(space: Space, text: string): Promise<void> {
  const batch = space.db.batch()
  for (let i = 0; i < KEYS; i++) batch.put(String(i).padStart(4, '0'), `${text}${i}`)
  await batch.flush()
}

const readAt = [{}, { timeout: 0 }, { wait: false }, { timeout: 1000 }]

/** A writes all keys twice and then drops its history; B has all of it before. @returns versions from before */
async function dropped(two: TwoDevices): Promise<{ readonly one: string; readonly both: string }> {
  const { spaceA, spaceB } = two
  await putMany(spaceA, 'one')
  const one = await spaceA.version()
  await putMany(spaceA, 'two')
  const both = await spaceA.version()
  two.connect()
  await follow(spaceB, spaceA)
  await spaceA.compact({ history: 'drop' })
  await follow(spaceB, spaceA)
  // The other device clears its copies in its own time.
  await until(async () => {
    const { logs } = await spaceB.stats()
    return logs.every(({ historyBytes }) => historyBytes === 0 || spaceB.mode === 'stream')
  })
  return { one, both }
}

/** Versions would not tell: they name membership logs as well, and each device goes on with its own. */
const follow = (space: Space, of: Space) =>
  until(() => JSON.stringify(lengthsIn(space)) === JSON.stringify(lengthsIn(of)))

const lengthsIn = (space: Space) =>
  space
    .writers()
    .map(({ writer, length }) => `${writer} ${length}`)
    .sort()

for (const sparse of [false, true]) {
  const reader = sparse ? 'a sparse device' : 'a full device'

  test(`a version whose blocks were cleared is VERSION_UNAVAILABLE however long may be waited: ${reader}`, async () => {
    const two = await openTwoDevices({ sparse })
    const { one, both } = await dropped(two)
    for (const space of [two.spaceA, two.spaceB]) {
      for (const version of [one, both]) {
        const { db } = space.checkout(version)
        for (const options of readAt) {
          await rejectsWith('VERSION_UNAVAILABLE', () => within(5000, db.get('0001', options)))
          const scan = () => within(5000, collect(db.createReadStream(options)))
          await rejectsWith('VERSION_UNAVAILABLE', scan)
        }
        await rejectsWith('VERSION_UNAVAILABLE', () => within(5000, space.restore(version)))
      }
    }
    await two.close()
  })

  test(`a strong link to a version that was cleared is not made: ${reader}`, async () => {
    const two = await openTwoDevices({ sparse })
    const { one } = await dropped(two)
    for (const space of [two.spaceA, two.spaceB]) {
      await rejectsWith('VERSION_UNAVAILABLE', () => space.link({ strong: true, version: one }))
      const url = await space.link({ strong: true, key: '0001' })
      assert.is((await space.openLink(url)).entry?.value, 'two1')
    }
    await two.close()
  })

  test(`history shows what is left of a log that was cleared: ${reader}`, async () => {
    const two = await openTwoDevices({ sparse })
    const { one } = await dropped(two)
    await two.spaceA.db.put('0001', 'later')
    await until(async () => (await two.spaceB.db.get('0001'))?.value === 'later')
    for (const space of [two.spaceA, two.spaceB]) {
      for (const options of [{}, { since: one }, { timeout: 1000 }, { reverse: true }]) {
        const history = await within(5000, collect(space.db.createHistoryStream(options)))
        const values = history.map(({ value }) => value)
        if ('reverse' in options) values.reverse()
        assert.is(values.length, KEYS + 1)
        assert.equal([values[0], values[1], values.at(-1)], ['two0', 'two1', 'later'])
      }
    }
    await two.close()
  })
}

test('history after a purge lacks the purged values and nothing that stood in other blocks', async () => {
  const folder = await tempFolder()
  const storage = join(folder.path, 'a')
  const device = await openDevice({ storage })
  const space = await device.createSpace()
  await space.db.put('a', 1)
  await space.db.put('secret', 'x'.repeat(5000)) // its value stands apart
  await space.db.put('b', 2)
  await space.db.put('secret', 'now')
  await space.db.purge('secret')
  const shown = async (from: Space) =>
    (await collect(from.db.createHistoryStream())).map(
      ({ key, value }) => `${key}=${JSON.stringify(value)}`
    )
  const history = await shown(space)
  assert.ok(history.includes('b=2') && history.includes('secret="now"'), history.join())
  assert.not.ok(history.some((each) => each.includes('xxx')))
  await device.close()
  const again = await openDevice({ storage })
  assert.equal(await shown(await again.openSpace(space.address)), history)
  await again.close()
  await folder.remove()
})

test('at: times since a purge have versions; of times before, none shows what came later', async () => {
  let ms = 1000
  const two = await openTwoDevices({ device: { now: () => ms } })
  const { spaceA } = two
  for (const value of [1, 2, 3]) {
    ms = value * 1000
    await spaceA.db.put('k', value)
    await spaceA.db.put('other', value)
  }
  ms = 4000
  await spaceA.db.purge('k')
  ms = 5000
  await spaceA.db.put('k', 5)
  for (const time of [0, 500, 1500, 2500, 3500]) {
    const shown = async () => spaceA.checkout(await spaceA.at(time)).db.get('k')
    const entry = await within(5000, shown()).catch((error: unknown) => {
      assert.ok(isManyhandsError(error, 'VERSION_UNAVAILABLE'), String(error))
      return null
    })
    assert.ok(
      entry === null || Number(entry.value) * 1000 <= time,
      `${time}: ${JSON.stringify(entry?.value)}`
    )
  }
  assert.is((await spaceA.checkout(await spaceA.at(4500)).db.get('k'))?.value, 3)
  assert.is((await spaceA.checkout(await spaceA.at(5500)).db.get('k'))?.value, 5)
  await two.close()
})

for (const isDropped of [false, true]) {
  const how = isDropped ? 'cleared more in a batch' : 'grown by one'
  test(`a log that had cleared blocks, and has ${how} that is not all here yet, is read offline as far as it is here`, async () => {
    const folder = await tempFolder()
    const [storageA, storage] = [join(folder.path, 'a'), join(folder.path, 'b')]
    const a = await openDevice({ storage: storageA })
    const b = await openDevice({ storage })
    const spaceA = await a.createSpace({ open: true })
    const spaceB = await b.openSpace(spaceA.ticket)
    await putMany(spaceA, 'one')
    await putMany(spaceA, 'two')
    connect(spaceA, spaceB)
    await follow(spaceB, spaceA)
    await spaceA.compact({ history: 'drop' })
    await spaceA.db.put('held', 'held')
    await follow(spaceB, spaceA)
    await b.close()
    for (let i = 0; i < 20; i++) await spaceA.db.put(`on its way ${i % 5}`, 'x'.repeat(40_000))
    if (isDropped) await spaceA.compact({ history: 'drop' })
    await a.close()
    await fetchLast(storageA, storage, z32.decode(spaceA.writer), encryptionOf(spaceA).data)

    const again = await openDevice({ storage })
    const { db } = await again.openSpace(spaceA.address)
    assert.is((await db.get('0001'))?.value, 'two1')
    assert.is((await db.get('held'))?.value, 'held')
    assert.is(await db.get('on its way 1'), null)
    await again.close()
    await folder.remove()
  })
}

/** Takes a log's last batch from one store to another, but for its first block. */
async function fetchLast(
  from: string,
  to: string,
  key: Uint8Array,
  encryption: LogEncryption
): Promise<void> {
  const stores = [await openStore(from), await openStore(to)]
  const [left, right] = await Promise.all(stores.map((store) => store.remoteLog(key, encryption)))
  assert.ok(left && right)
  const [batch] = await batchesOf(new TreeContext(left), [left.length - 1], {})
  assert.ok(batch && batch.start < batch.end - 1)
  const cut = connect(left, right)
  for (let seq = batch.start + 1; seq < batch.end; seq++) await right.get(seq)
  assert.is(right.length, left.length)
  cut()
  for (const store of stores) await store.close()
}

test.run()
