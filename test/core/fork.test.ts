/** Writers who take back or contradict what they signed: readers keep what they have, and say so. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { TreeWriter } from '../../core/tree/writer.ts'
import type { Space } from '../../multiwriter/index.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { encryptionOf } from '../support/encryption.ts'
import { dbKey, entryOf } from '../support/forge.ts'
import { serve } from '../support/serve.ts'
import { openLogStore } from '../support/tree.ts'
import { within } from '../support/within.ts'

const failures: unknown[] = []
process.on('unhandledRejection', (error) => failures.push(error))

const putNumber = (n: number, value = `value ${n}`) => ({
  key: dbKey(`n-${String(n).padStart(4, '0')}`),
  value: entryOf(value)
})

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

async function keysOf(space: Space): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of space.db.createReadStream()) keys.push(key)
  return keys
}

test('a writer that cuts its log and writes it anew is read as it was', async () => {
  const two = await openTwoDevices()
  const theirs = await openLogStore(7)
  const core = await theirs.own('data', encryptionOf(two.spaceA).data)
  const writer = new TreeWriter(core)
  for (const n of numbers(0, 5)) await writer.append([putNumber(n)])
  await two.spaceA.addWriter(core.key)
  const first = await serve(two.spaceA, core)
  await until(async () => (await keysOf(two.spaceA)).length === 5)

  await core.truncate(2)
  const anew = new TreeWriter(core)
  for (const n of numbers(10, 20)) await anew.append([putNumber(n)])
  assert.is(core.fork, 1)
  const second = await serve(two.spaceA, core)
  await two.spaceA.db.put('mine', 1)
  // Another log over the same connection is the sign that what was sent has come.
  const marker = await theirs.own('marker', encryptionOf(two.spaceA).data)
  await new TreeWriter(marker).append([putNumber(99)])
  await two.spaceA.addWriter(marker.key)
  marker.core.replicator.attachTo(second.mux)
  await until(async () => (await two.spaceA.db.get('n-0099')) !== null)
  assert.equal(await keysOf(two.spaceA), [
    'mine',
    'n-0000',
    'n-0001',
    'n-0002',
    'n-0003',
    'n-0004',
    'n-0099'
  ])
  first.close()
  second.close()
  await theirs.close()
  await two.close()
  assert.equal(failures, [])
})

test('of a writer with two histories the first stays readable; the conflict is counted, views do not throw', async () => {
  const two = await openTwoDevices()
  const one = await openLogStore(8)
  const other = await openLogStore(8)
  const coreOne = await one.own('data', encryptionOf(two.spaceA).data)
  const coreOther = await other.own('data', encryptionOf(two.spaceA).data)
  assert.ok(b4a.equals(coreOne.key, coreOther.key))
  const writerOne = new TreeWriter(coreOne)
  const writerOther = new TreeWriter(coreOther)
  for (const n of numbers(0, 5)) await writerOne.append([putNumber(n)])
  for (const n of numbers(10, 20)) await writerOther.append([putNumber(n)])
  await two.spaceA.addWriter(coreOne.key)
  await two.spaceA.db.put('mine', 1)
  const honest = await serve(two.spaceA, coreOne)
  await until(async () => (await keysOf(two.spaceA)).length === 6)
  const expected = ['mine', ...numbers(0, 5).map((n) => `n-000${n}`)]

  const stream = two.spaceA.db.createReadStream()
  const started = [(await stream.next()).value?.key]
  const watcher = two.spaceA.db.watch()
  const changes: string[] = []
  const watching = (async () => {
    for await (const { key } of watcher) changes.push(key)
  })()
  const forked = await serve(two.spaceA, coreOther)
  await until(() => two.spaceA.refusals().length > 0 || failures.length > 0, { timeout: 5000 })
  const [refusal] = two.spaceA.refusals()
  assert.is(refusal?.reason, 'conflict')
  assert.is(refusal?.writer, z32.encode(coreOne.key))
  assert.is(refusal?.count, 1)

  for await (const { key } of stream) started.push(key)
  assert.equal(started, expected, 'a stream that was open goes on')
  for (let i = 0; i < 3; i++) {
    assert.equal(await within(3000, keysOf(two.spaceA)), expected)
    assert.ok((await two.spaceA.db.get('n-0003')) !== null)
    assert.is(await two.spaceA.db.get('n-0015'), null)
  }
  await two.spaceA.db.put('n-0003', 'mine now')
  assert.is((await two.spaceA.db.get('n-0003'))?.value, 'mine now')
  await until(() => changes.includes('n-0003'))
  assert.is(two.spaceA.refusals().length, 1)

  // Neither history goes on here, and the other writers do.
  await writerOne.append([putNumber(30)])
  two.connect()
  await two.spaceB.db.put('from-b', 1)
  await until(async () => (await two.spaceA.db.get('from-b')) !== null)
  assert.is(await two.spaceA.db.get('n-0030'), null)
  await watcher.return?.()
  await watching
  honest.close()
  forked.close()
  await one.close()
  await other.close()
  await two.close()
  assert.equal(failures, [])
})

test.run()
