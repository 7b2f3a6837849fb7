/** The provider of manyhands/yjs, by the conventions that editors' bindings rely on. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { Awareness } from 'y-protocols/awareness'
import { SpaceProvider } from '../../adapters/yjs/index.ts'
import { openTwoDevices, until } from '../support/devices.ts'

const textOf = (doc: Y.Doc) => doc.getText('t').toJSON()

test("provider: two applications' own documents become one, live", async () => {
  const two = await openTwoDevices()
  const [docA, docB] = [new Y.Doc(), new Y.Doc()]
  docA.getText('t').insert(0, 'before ') // what is in it already is kept
  const a = new SpaceProvider(two.spaceA, 'd', docA)
  const b = new SpaceProvider(two.spaceB, 'd', docB)
  two.connect()
  await Promise.all([a.whenSynced, b.whenSynced])
  await until(() => textOf(docB) === 'before ')
  docB.getText('t').insert(7, 'after')
  await until(() => textOf(docA) === 'before after')
  await b.flush()
  a.destroy()
  b.destroy()
  await two.close()
})

test('provider: it tells its status, and that it is synced, as editors expect', async () => {
  const two = await openTwoDevices()
  const doc = new Y.Doc()
  const provider = new SpaceProvider(two.spaceA, 'd', doc, { connect: false })
  const told: string[] = []
  provider.on('status', ({ status }) => told.push(status))
  provider.on('sync', (isSynced) => told.push(`sync ${isSynced}`))
  provider.on('synced', (isSynced) => told.push(`synced ${isSynced}`))
  doc.on('load', () => told.push('doc load'))
  doc.on('sync', (isSynced) => told.push(`doc sync ${isSynced}`))
  assert.equal([provider.shouldConnect, provider.connected, provider.synced], [false, false, false])
  provider.connect()
  provider.connect()
  await provider.whenSynced
  await doc.whenSynced
  assert.equal([provider.shouldConnect, provider.connected, provider.synced], [true, true, true])
  provider.disconnect()
  provider.disconnect()
  assert.equal([provider.shouldConnect, provider.connected, provider.synced], [false, false, false])
  assert.equal(
    told,
    [
      'status connecting',
      'doc load',
      'doc sync true',
      'sync true',
      'synced true',
      'status connected',
      'sync false',
      'synced false',
      'status disconnected'
    ].map((line) => line.replace('status ', ''))
  )
  provider.destroy()
  provider.destroy()
  await two.close()
})

test('provider: while disconnected the document is left alone, and connecting brings both together', async () => {
  const two = await openTwoDevices()
  const doc = new Y.Doc()
  const provider = new SpaceProvider(two.spaceA, 'd', doc)
  await provider.whenSynced
  provider.disconnect()
  doc.getText('t').insert(0, 'alone ')
  const live = await two.spaceA.documents.open('d')
  live.doc.getText('t').insert(0, 'stored ')
  assert.is(textOf(doc), 'alone ')
  assert.is(textOf(live.doc), 'stored ')
  provider.connect()
  await provider.whenSynced
  assert.is(textOf(doc).length, 13)
  assert.is(textOf(doc), textOf(live.doc))
  doc.destroy() // destroys the provider
  live.doc.getText('t').insert(0, 'on ')
  assert.is(provider.connected, false)
  await two.close()
})

test('provider: what others edit has the provider as origin, so undo takes back what was typed here', async () => {
  const two = await openTwoDevices()
  const doc = new Y.Doc()
  const provider = new SpaceProvider(two.spaceA, 'd', doc)
  const live = await two.spaceB.documents.open('d')
  two.connect()
  await provider.whenSynced
  const undo = new Y.UndoManager(doc.getText('t'))
  const origins = new Set<unknown>()
  doc.on('update', (_, origin) => origins.add(origin))
  live.doc.getText('t').insert(0, 'theirs')
  await until(() => textOf(doc) === 'theirs')
  assert.equal([...origins], [provider])
  doc.getText('t').insert(0, 'mine ')
  undo.undo()
  assert.is(textOf(doc), 'theirs')
  undo.destroy()
  await two.close()
})

test('provider: who has the document open sees the others, until they leave', async () => {
  const two = await openTwoDevices()
  const doc = new Y.Doc()
  const awareness = new Awareness(doc)
  const a = new SpaceProvider(two.spaceA, 'd', doc, { awareness })
  const b = new SpaceProvider(two.spaceB, 'd', new Y.Doc())
  assert.is(a.awareness, awareness)
  two.connect()
  await Promise.all([a.whenSynced, b.whenSynced])
  awareness.setLocalStateField('user', { name: 'Ann' })
  const seen = () => b.awareness.getStates().get(doc.clientID)
  await until(() => Object(seen()).user?.name === 'Ann')
  a.disconnect()
  await until(() => seen() === undefined)
  assert.ok(awareness.getStates().has(doc.clientID))
  a.destroy()
  b.destroy()
  awareness.destroy()
  await two.close()
})

test('provider: what this device says of itself outlasts a disconnect, though the document has another client id by then', async () => {
  const two = await openTwoDevices()
  const doc = new Y.Doc()
  const provider = new SpaceProvider(two.spaceA, 'd', doc)
  await provider.whenSynced
  provider.awareness.setLocalStateField('user', 'Ann')
  doc.clientID += 1 // as Yjs does, when another document writes under the same
  provider.disconnect()
  assert.equal(provider.awareness.getLocalState(), { user: 'Ann' })
  provider.destroy()
  await two.close()
})

test('provider: thousands of documents, opened and closed, with ids of any length, leave nothing behind', async () => {
  const two = await openTwoDevices()
  two.connect()
  const { presence } = two.spaceA
  let closed = 0
  for (let i = 0; i < 5000; i += 100) {
    const ids = Array.from({ length: 100 }, (_, k) => `${i + k}`.padEnd(255, 'x'))
    const providers = ids.map((id) => new SpaceProvider(two.spaceA, id, new Y.Doc()))
    await Promise.all(providers.map(({ whenSynced }) => whenSynced))
    for (const id of ids) presence.topic(`documents/${id}`).on('close', () => closed++)
    for (const provider of providers) provider.destroy()
  }
  assert.is(closed, 5000)
  await two.close()
})

test('provider: the topic of a document is open as long as one of its providers is', async () => {
  const two = await openTwoDevices()
  const [one, other] = [new Y.Doc(), new Y.Doc()].map((doc) => {
    return new SpaceProvider(two.spaceA, 'd', doc)
  })
  await Promise.all([one?.whenSynced, other?.whenSynced])
  let isClosed = false
  two.spaceA.presence.topic('documents/d').on('close', () => (isClosed = true))
  one?.destroy()
  assert.not(isClosed)
  other?.destroy()
  assert.ok(isClosed)
  await two.close()
})

test('provider: a space that closes disconnects it, and what cannot open is told', async () => {
  const two = await openTwoDevices()
  const provider = new SpaceProvider(two.spaceA, 'd', new Y.Doc())
  await provider.whenSynced
  await two.spaceA.close()
  assert.is(provider.connected, false)
  const late = new SpaceProvider(two.spaceA, 'd', new Y.Doc())
  const error = await new Promise((resolve) => late.on('connection-error', resolve))
  assert.is(Object(error).code, 'SPACE_CLOSED')
  assert.is(late.shouldConnect, false)
  provider.destroy()
  late.destroy()
  await two.close()
})

test('provider: what was edited while it was opening is saved, though it is destroyed before it is open', async () => {
  const two = await openTwoDevices()
  const note = await two.spaceA.documents.open('d')
  note.doc.getText('t').insert(0, 'stored')
  await note.close()
  const doc = new Y.Doc()
  const provider = new SpaceProvider(two.spaceA, 'd', doc)
  doc.getText('t').insert(0, 'early')
  provider.destroy()
  await provider.flush()
  assert.is(textOf(doc), 'early')
  const again = await two.spaceA.documents.open('d')
  assert.ok(['storedearly', 'earlystored'].includes(textOf(again.doc)), textOf(again.doc))
  await two.close()
})

test.run()
