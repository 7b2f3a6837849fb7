/** Documents on two devices: typed offline, merged, kept, and brought to who joins late. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { openDevice } from '../../index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { connect, openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { textOf, type } from '../support/documents.ts'
import { rejectsWith } from '../support/rejects.ts'

async function listed(space: Space): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of space.documents.list()) ids.push(id)
  return ids
}

/** One device whose folder can be opened again. */
async function oneDevice() {
  const folder = await tempFolder()
  const storage = join(folder.path, 'a')
  const device = await openDevice({ storage })
  const space = await device.createSpace({ open: true })
  let latest = device
  return {
    space,
    storage,
    async reopen(between: () => Promise<unknown> = () => Promise.resolve()): Promise<Space> {
      await latest.close()
      await between()
      latest = await openDevice({ storage })
      return latest.openSpace(space.address)
    },
    async close() {
      await latest.close()
      await folder.remove()
    }
  }
}

test('documents: two devices that type offline show the same once they meet, and then live', async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('notes/todo')
  const b = await two.spaceB.documents.open('notes/todo')
  type(a, 'from a. ')
  type(b, 'from b. ')
  await Promise.all([a.flush(), b.flush()])

  const cut = two.connect()
  await until(() => textOf(a).length === 16 && textOf(b).length === 16)
  assert.is(textOf(a), textOf(b))

  type(a, 'live ')
  await until(() => textOf(b).startsWith('live '))
  cut()
  await two.close()
})

test('documents: what was typed is there after a restart, and on a device that joins late', async () => {
  const one = await oneDevice()
  type(await one.space.documents.open('a'), 'kept')
  const same = await one.reopen() // closing saves what was typed a moment ago
  assert.is(textOf(await same.documents.open('a')), 'kept')

  const late = await openDevice({ storage: join(one.storage, '..', 'late') })
  const joined = await late.openSpace(same.ticket)
  const cut = connect(same, joined)
  const document = await joined.documents.open('a')
  await until(() => textOf(document) === 'kept')
  cut()
  await late.close()
  await one.close()
})

test('documents: a burst of typing is one entry, and one append', async () => {
  const one = await oneDevice()
  const document = await one.space.documents.open('a')
  type(document, 'x')
  await document.flush()
  const before = one.space.writers()[0]?.length ?? 0
  for (let i = 0; i < 200; i++) type(document, 'y', i)
  assert.equal(document.status, { unsaved: 200, unsynced: 201 })
  await document.flush()
  assert.is((one.space.writers()[0]?.length ?? 0) - before, 1)
  await one.close()
})

test('documents: opened twice it is one document, which lives until the last is closed', async () => {
  const one = await oneDevice()
  const first = await one.space.documents.open('a')
  const second = await one.space.documents.open('a')
  assert.is(first.doc, second.doc)
  type(first, 'x')
  await first.close()
  await first.close()
  assert.not(second.doc.isDestroyed)
  type(second, 'y')
  await second.close()
  assert.ok(second.doc.isDestroyed)
  const third = await one.space.documents.open('a')
  type(third, 'z')
  const [fourth] = await Promise.all([one.space.documents.open('a'), third.close()])
  assert.is(textOf(fourth), 'zyx')
  await one.close()
})

test('documents: the count of unsynced changes falls when another device has them, over restarts', async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('d')
  type(a, 'one')
  await a.flush()
  assert.equal(a.status, { unsaved: 0, unsynced: 1 })
  await a.close()
  const again = await two.spaceA.documents.open('d')
  assert.equal(again.status, { unsaved: 0, unsynced: 1 })
  const told: number[] = []
  again.on('status', ({ unsynced }) => told.push(unsynced))
  two.connect()
  await until(() => again.status.unsynced === 0)
  assert.is(told.at(-1), 0)
  await two.close()
})

test('documents: undoing takes back what was typed here, not what came from elsewhere', async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('d')
  const b = await two.spaceB.documents.open('d')
  two.connect()
  const undo = new Y.UndoManager(a.doc.getText('t'))
  type(a, 'mine')
  await until(() => textOf(b) === 'mine')
  type(b, ' theirs', 4)
  await until(() => textOf(a).length === 11)
  undo.undo()
  assert.is(textOf(a), ' theirs')
  assert.is(undo.canUndo(), false)
  undo.destroy()
  await two.close()
})

test('documents: many updates become one snapshot, with nothing changed for anybody', async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('d')
  const b = await two.spaceB.documents.open('d')
  two.connect()
  type(b, 'theirs ')
  await until(() => textOf(a) === 'theirs ')
  for (let i = 0; i < 150; i++) {
    type(a, `${i},`, i % 7)
    if (i % 3 === 0) a.doc.getText('t').delete(i % 5, 1)
    await a.flush()
  }
  const text = textOf(a)
  const live = async () =>
    (await two.spaceA.stats()).logs.find(({ writer }) => writer === two.spaceA.writer)?.liveBytes ??
    0
  const many = await live()
  await a.close() // compacts
  const few = await live()
  assert.ok(few < many / 3, `${many} bytes became ${few}`)

  await until(() => textOf(b) === text)
  const again = await two.spaceA.documents.open('d')
  assert.is(textOf(again), text)
  type(again, 'on ')
  await until(() => textOf(b) === `on ${text}`)
  assert.equal(await two.spaceA.check(), [])
  assert.equal(two.spaceB.refusals(), [])
  await two.close()
})

test('documents: without the cache, or with a damaged one, a document opens as it was', async () => {
  const one = await oneDevice()
  type(await one.space.documents.open('a'), 'kept')
  const index = join(one.storage, 'index')
  const same = await one.reopen(() => rm(index, { recursive: true }))
  assert.is(textOf(await same.documents.open('a')), 'kept')
  const third = await one.reopen(async () => {
    for (const name of await readdir(index)) {
      for (const file of await readdir(join(index, name)))
        if (file.endsWith('.log') || file.endsWith('.ldb')) await rm(join(index, name, file))
    }
  })
  assert.is(textOf(await third.documents.open('a')), 'kept')
  await one.close()
})

test('documents: they are listed from their first edit on, with what is told of them', async () => {
  const two = await openTwoDevices()
  const { documents } = two.spaceA
  const todo = await documents.open('notes/todo')
  await documents.open('notes/never-edited')
  assert.equal(await listed(two.spaceA), [])
  type(todo, 'x')
  await todo.flush()
  await documents.metadata.put('notes/todo', { title: 'To do' })
  two.connect()
  await until(async () => (await listed(two.spaceB)).length === 1)
  for await (const document of two.spaceB.documents.list({ gte: 'notes/', lt: 'notes0' }))
    assert.equal(document, { id: 'notes/todo', metadata: { title: 'To do' }, conflicts: [] })
  await two.close()
})

test('documents: a version shows a document as it was, compacted since or not', async () => {
  const one = await oneDevice()
  const document = await one.space.documents.open('d')
  const versions: string[] = []
  for (let i = 0; i < 120; i++) {
    type(document, 'x', i)
    await document.flush()
    versions.push(await one.space.version())
  }
  await document.close() // compacts
  for (const i of [0, 60, 119]) {
    const then = await one.space.documents.checkout('d', versions[i] ?? '')
    assert.is(then.getText('t').length, i + 1)
    then.getText('t').insert(0, 'mine alone')
  }
  assert.is(textOf(await one.space.documents.open('d')).length, 120)
  await rejectsWith('VERSION_INVALID', () => one.space.documents.checkout('d', 'nonsense'))
  await one.close()
})

test('documents: a deleted one leaves every list, and an edit that had not seen it brings it back', async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('d')
  type(a, 'text')
  await a.flush()
  let cut = two.connect()
  await until(async () => (await listed(two.spaceB)).length === 1)
  await two.spaceB.documents.delete('d')
  await until(async () => (await listed(two.spaceA)).length === 0)
  await two.spaceA.documents.restore('d')
  await until(async () => (await listed(two.spaceB)).length === 1)

  cut()
  await two.spaceB.documents.delete('d')
  type(a, 'more ')
  await a.flush()
  cut = two.connect()
  await until(async () => (await listed(two.spaceB)).length === 1)
  assert.equal(await listed(two.spaceA), ['d'])
  const b = await two.spaceB.documents.open('d')
  assert.is(textOf(b), 'more text')
  cut()
  await two.close()
})

test('documents: compacting a deleted document does not bring it back', async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('d')
  for (let i = 0; i < 120; i++) {
    type(a, 'x')
    await a.flush()
  }
  two.connect()
  await until(async () => two.spaceB.syncState().peers.some(({ inStep }) => inStep))
  await two.spaceB.documents.delete('d')
  await a.close() // compacts
  await until(async () => (await listed(two.spaceA)).length === 0)
  await until(() => two.spaceB.syncState().peers.some(({ inStep }) => inStep))
  assert.equal(await listed(two.spaceB), [])
  await two.close()
})

test('documents: a sub-document is a document of its own, found by its guid', async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('book')
  const chapter = new Y.Doc()
  chapter.getText('t').insert(0, 'It was')
  a.doc.getMap<Y.Doc>('chapters').set('one', chapter)
  two.connect()
  const b = await two.spaceB.documents.open('book')
  await until(() => b.doc.getMap<Y.Doc>('chapters').has('one'))
  const there = b.doc.getMap<Y.Doc>('chapters').get('one') ?? new Y.Doc()
  assert.is(there.getText('t').toJSON(), '')
  there.load()
  await until(() => there.getText('t').toJSON() === 'It was')
  there.getText('t').insert(6, ' night')
  await until(() => chapter.getText('t').toJSON() === 'It was night')

  const alone = await two.spaceA.documents.open(chapter.guid)
  assert.is(textOf(alone), 'It was night')
  for await (const { id, metadata } of two.spaceA.documents.list())
    if (id === chapter.guid) assert.equal(metadata, { parent: 'book' })
  await two.close()
})

test('documents: after the space is closed nothing opens', async () => {
  const one = await oneDevice()
  const { documents } = one.space
  const document = await documents.open('a')
  type(document, 'x')
  await one.space.close()
  assert.ok(document.doc.isDestroyed)
  await rejectsWith('SPACE_CLOSED', () => documents.open('a'))
  await rejectsWith('SPACE_CLOSED', () => documents.delete('a'))
  await document.close()
  await one.close()
})

test.run()
