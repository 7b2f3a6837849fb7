/** Archives: a log's first blocks as a log that nobody can write. */
import { join } from 'node:path'
import b4a from 'b4a'
import Corestore from 'corestore'
import CorestoreStorage from 'hypercore-storage'
import type Hypercore from 'hypercore'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fillArchive, isWhole, openArchiveCore } from '../../core/archive.ts'
import { until } from '../support/devices.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'

const RECOVERY = { walRecoveryMode: 0 }

let here: LogStore
let there: LogStore

test.before.each(async () => {
  here = await openLogStore(1)
  there = await openLogStore(2)
})

test.after.each(async () => {
  await here.close()
  await there.close()
})

async function written(length: number): Promise<Hypercore> {
  const core = await here.own('data')
  await core.append(Array.from({ length }, (_, i) => b4a.from(`block ${i}`)))
  return core
}

test('an archive: who was told of its key fetches it, and nothing behind its end', async () => {
  const core = await written(9)
  const pin = { length: 6, treeHash: await core.treeHash(6) }
  const archive = await openArchiveCore(here.corestore, pin, core.key, null)
  assert.ok(await fillArchive(archive, core, pin))
  const fetched = await openArchiveCore(there.corestore, pin, core.key, null)
  assert.equal(fetched.key, archive.key)
  assert.not.ok(isWhole(fetched, pin))
  fetched.download({ start: 0, end: -1 })
  const one = archive.replicate(true) as NodeJS.ReadWriteStream
  const other = fetched.replicate(false) as NodeJS.ReadWriteStream
  one.pipe(other).pipe(one)
  await until(() => isWhole(fetched, pin))
  assert.is(fetched.length, 6)
  for (let i = 0; i < 6; i++) assert.equal(await fetched.get(i), await core.get(i))
  assert.equal(await fetched.treeHash(6), pin.treeHash)
})

test('an archive: of another history, or of a log that is not whole, there is none', async () => {
  const core = await written(9)
  const other = { length: 6, treeHash: b4a.alloc(32, 1) }
  assert.not.ok(
    await fillArchive(await openArchiveCore(here.corestore, other, core.key, null), core, other)
  )
  const long = { length: 10, treeHash: await core.treeHash(9) }
  assert.not.ok(
    await fillArchive(await openArchiveCore(here.corestore, long, core.key, null), core, long)
  )
  await core.clear(2, 3)
  const pin = { length: 6, treeHash: await core.treeHash(6) }
  assert.not.ok(
    await fillArchive(await openArchiveCore(here.corestore, pin, core.key, null), core, pin)
  )
})

test('an archive: of a long log it is whole, also after it was opened again', async () => {
  const core = await written(40_000)
  const pin = { length: 39_990, treeHash: await core.treeHash(39_990) }
  const archive = await openArchiveCore(here.corestore, pin, core.key, null)
  assert.ok(await fillArchive(archive, core, pin))
  await here.corestore.close()
  const corestore = new Corestore(new CorestoreStorage(join(here.path, 'logs'), RECOVERY))
  const again = await openArchiveCore(corestore, pin, core.key, null)
  assert.ok(isWhole(again, pin))
  assert.ok(await again.has(0, pin.length))
  await corestore.close()
})

test.run()
