/** Documents in a sparse space: what is read is fetched, what is typed is kept, and no waiting for ever. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Space } from '../../multiwriter/index.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { textOf, type } from '../support/documents.ts'
import { rejectsWith } from '../support/rejects.ts'

async function listed(space: Space): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of space.documents.list()) ids.push(id)
  return ids
}

/** A space with documents, large ones among them, and a sparse one of it. */
async function openSparse() {
  const two = await openTwoDevices({ sparse: true })
  const { spaceA: full, spaceB: sparse } = two
  for (let i = 0; i < 30; i++) {
    const document = await full.documents.open(`notes/${i}`)
    for (let burst = 0; burst < 3; burst++) {
      type(document, `note ${i}, burst ${burst}. ${i % 3 === 0 ? 'long '.repeat(5000) : ''}`)
      await document.flush()
    }
    await document.close()
  }
  const cut = two.connect()
  await until(async () => (await listed(sparse).catch(() => [])).length === 30)
  return { full, sparse, cut, connect: () => two.connect(), close: () => two.close() }
}

test('sparse documents: they are listed and opened as on the device that wrote them', async () => {
  const { full, sparse, close } = await openSparse()
  assert.equal(await listed(sparse), await listed(full))
  for (const id of ['notes/0', 'notes/7', 'notes/29']) {
    const [there, here] = [await full.documents.open(id), await sparse.documents.open(id)]
    assert.ok(textOf(there).length > 50)
    assert.is(textOf(here), textOf(there))
    await there.close()
    await here.close()
  }
  assert.equal(sparse.refusals(), [])
  await close()
})

test('sparse documents: both type, live and after a cut, and see the same', async () => {
  const { full, sparse, cut, connect, close } = await openSparse()
  const there = await full.documents.open('notes/7')
  const here = await sparse.documents.open('notes/7')
  type(here, 'here ')
  await until(() => textOf(there).startsWith('here '))
  type(there, 'there ')
  await until(() => textOf(here).startsWith('there here '))

  cut()
  await until(() => sparse.peers().length === 0)
  type(here, 'offline ')
  type(there, 'alone ')
  await Promise.all([here.flush(), there.flush()])
  assert.ok(here.status.unsynced > 0)
  connect()
  await until(() => textOf(here) === textOf(there) && textOf(here).includes('alone '))
  assert.ok(textOf(here).includes('offline '))
  await close()
})

test('sparse documents: offline, what was open is there, and what was not says so at once', async () => {
  const { sparse, cut, connect, close } = await openSparse()
  const one = await sparse.documents.open('notes/3')
  const text = textOf(one)
  assert.ok(text.startsWith('note 3, burst 2. '))
  await one.close()
  cut()
  await until(() => sparse.peers().length === 0)
  const again = await sparse.documents.open('notes/3', { wait: false })
  assert.is(textOf(again), text)
  await rejectsWith('BLOCK_UNAVAILABLE', () => sparse.documents.open('notes/9', { wait: false }))
  await rejectsWith('BLOCK_UNAVAILABLE', () => sparse.documents.open('notes/9', { timeout: 50 }))
  connect()
  await until(() => sparse.peers().length > 0)
  const late = await sparse.documents.open('notes/9')
  assert.ok(textOf(late).startsWith('note 9, burst 2. '))
  await close()
})

test('sparse documents: a document made there, offline, is listed and opened everywhere', async () => {
  const { full, sparse, cut, connect, close } = await openSparse()
  const document = await sparse.documents.open('notes/new')
  cut()
  await until(() => sparse.peers().length === 0)
  type(document, 'new here')
  await document.flush()
  connect()
  const there = await full.documents.open('notes/new')
  await until(() => textOf(there) === 'new here')
  await until(async () => (await listed(full)).includes('notes/new'))
  await close()
})

test.run()
