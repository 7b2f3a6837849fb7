/** Automerge documents in a space: what holds for every document, and what is Automerge's own. */
import * as A from '@automerge/automerge'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { encodeUpdate } from '../../crdt/index.ts'
import { automerge } from '../../crdt/document/automerge.ts'
import { packChanges } from '../../crdt/document/automerge-update.ts'
import { openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { Forger } from '../support/document-forger.ts'
import { imported } from '../support/documents.ts'
import { rejectsWith } from '../support/rejects.ts'

interface List {
  title?: string
  items?: string[]
}

const compare = (a: string, b: string) => a.localeCompare(b)

const AUTOMERGE = { engine: 'automerge' } as const
const openIn = (space: Space) => space.documents.open<List>('list', AUTOMERGE)

test('automerge: two devices change one document, offline and together, and show the same', async () => {
  const two = await openTwoDevices()
  const [a, b] = [await openIn(two.spaceA), await openIn(two.spaceB)]
  const cut = two.connect()
  a.doc.change((draft) => (draft.items = ['milk']))
  await until(() => b.doc.value.items?.length === 1)
  cut()
  a.doc.change((draft) => draft.items?.push('bread'))
  b.doc.change((draft) => draft.items?.push('tea'))
  a.doc.change((draft) => (draft.title = 'by a'))
  b.doc.change((draft) => (draft.title = 'by b'))
  two.connect()
  const isSame = () => A.getHeads(a.doc.value).join() === A.getHeads(b.doc.value).join()
  await until(isSame)
  assert.equal(A.toJS(a.doc.value), A.toJS(b.doc.value))
  assert.equal((a.doc.value.items ?? []).toSorted(compare), ['bread', 'milk', 'tea'])
  assert.equal(
    Object.values(a.doc.conflicts('title') ?? {})
      .map(String)
      .sort(compare),
    ['by a', 'by b']
  )
  assert.ok(a.doc.history().length >= 5)
  await two.close()
})

test('automerge: a document is there again after a restart, with its cache and without', async () => {
  const folder = await tempFolder()
  const storage = folder.path
  const first = await openDevice({ storage })
  const space = await first.createSpace()
  const live = await openIn(space)
  for (let i = 0; i < 300; i++) live.doc.change((draft) => (draft.title = `${i}`))
  await live.flush()
  const heads = A.getHeads(live.doc.value)
  await first.close()
  for (const isCacheKept of [true, false]) {
    if (!isCacheKept) await rm(join(storage, 'index'), { recursive: true })
    const device = await openDevice({ storage })
    const again = await openIn(await device.openSpace(space.address))
    assert.equal(A.getHeads(again.doc.value), heads)
    assert.is(again.doc.value.title, '299')
    await device.close()
  }
  await folder.remove()
})

test('automerge: what one types is compacted, and another device reads all of it', async () => {
  const two = await openTwoDevices()
  const a = await openIn(two.spaceA)
  a.doc.change((draft) => (draft.items = []))
  for (let i = 0; i < 150; i++) {
    a.doc.change((draft) => draft.items?.push(`${i}`))
    await a.flush()
  }
  await a.close() // which compacts
  two.connect()
  const b = await openIn(two.spaceB)
  await until(() => b.doc.value.items?.length === 150)
  await two.close()
})

test('automerge: a document of one engine is not opened with another', async () => {
  const folder = await tempFolder()
  const device = await openDevice({ storage: folder.path })
  const { documents } = await device.createSpace()
  const text = await documents.open('text')
  text.doc.getText('t').insert(0, 'Yjs')
  await text.flush()
  await rejectsWith('DOCUMENT_ENGINE', () => documents.open('text', AUTOMERGE))
  // @ts-expect-error -- there is no such engine
  await rejectsWith('INVALID_ARGUMENT', () => documents.open('text', { engine: 'loro' }))
  assert.is(text.doc.getText('t').toJSON(), 'Yjs')
  await device.close()
  await folder.remove()
})

test('automerge: two devices that made one id with two engines each keep theirs, and the rest is counted', async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('list')
  const b = await openIn(two.spaceB)
  a.doc.getText('t').insert(0, 'Yjs')
  b.doc.change((draft) => (draft.title = 'Automerge'))
  await Promise.all([a.flush(), b.flush()])
  two.connect()
  const isCounted = (space: Space) => () =>
    space.refusals().some(({ reason }) => reason === 'document-other-engine')
  await until(isCounted(two.spaceA))
  await until(isCounted(two.spaceB))
  assert.is(a.doc.getText('t').toJSON(), 'Yjs')
  assert.is(b.doc.value.title, 'Automerge')
  await two.close()
})

test('automerge: a change that stands on what never comes waits, and harms nothing', async () => {
  const two = await openTwoDevices()
  const b = await openIn(two.spaceB)
  two.connect()
  let lost = A.change(A.init<List>(), (draft) => (draft.title = 'never written'))
  lost = A.change(lost, (draft) => (draft.title = 'stands on it'))
  const last = A.getLastLocalChange(lost)
  assert.ok(last)
  await new Forger(two.spaceA).write(
    'list',
    [packChanges([last]), Uint8Array.of(9, 9), Uint8Array.of(1, 255)].flatMap((bytes) =>
      encodeUpdate(automerge.code, 'update', imported(bytes))
    )
  )
  await until(() =>
    two.spaceB
      .refusals()
      .some(({ reason, count }) => reason === 'document-update-refused' && count === 2)
  )
  assert.equal(A.toJS(b.doc.value), {})
  b.doc.change((draft) => (draft.title = 'mine'))
  const a = await openIn(two.spaceA)
  await until(() => a.doc.value.title === 'mine')
  await two.close()
})

test.run()
