/** Documents of other Yjs stores are moved into a space by the functions in docs/MIGRATION.md. */
import 'fake-indexeddb/auto'
import { docs as rooms, setupWSConnection } from '@y/websocket-server/utils'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket, WebSocketServer } from 'ws'
import { IndexeddbPersistence } from 'y-indexeddb'
import { LeveldbPersistence } from 'y-leveldb'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import type { SpaceProvider } from '../../adapters/yjs/index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { examplesIn, load, makeProject } from '../support/docs.ts'

// Node has none before version 22.
Object.assign(globalThis, { WebSocket })

interface Migration {
  readonly importStore: (space: Space, folder: string) => Promise<void>
  readonly takeOver: (space: Space, url: string, id: string) => Promise<TakenOver>
  readonly importDatabase: (space: Space, name: string, id?: string) => Promise<void>
}

interface TakenOver {
  readonly old: WebsocketProvider
  readonly provider: SpaceProvider
}

const project = await makeProject()
const examples = await examplesIn('docs/MIGRATION.md')
const modules = await Promise.all(examples.map((example) => load(project, example)))
const { importStore, takeOver, importDatabase } = Object.assign({}, ...modules) as Migration

test.after(() => rm(project, { recursive: true, force: true }))

/** A text that two people wrote and deleted in, in many updates. */
function written(): Y.Doc {
  const ann = new Y.Doc()
  const bob = new Y.Doc()
  for (let i = 0; i < 50; i++) {
    ann.getText('body').insert(0, `line ${i}\n`)
    Y.applyUpdate(bob, Y.encodeStateAsUpdate(ann))
    bob.getText('body').delete(2, 4)
    Y.applyUpdate(ann, Y.encodeStateAsUpdate(bob))
  }
  return ann
}

function bodyOf({ doc }: { readonly doc: Y.Doc }): string {
  return doc.getText('body').toJSON()
}

/** So that an import writes the document alone, and not its line in the list too. */
async function list(space: Space, ...ids: readonly string[]): Promise<void> {
  for (const id of ids) await space.documents.metadata.put(id, { title: id })
}

/** Of the device's own log: an append is one longer. */
function lengthOf(space: Space): number {
  return space.writers().find(({ isOwn }) => isOwn)?.length ?? 0
}

/** @returns by how much the log grew */
async function growth(space: Space, task: () => Promise<unknown>): Promise<number> {
  const before = lengthOf(space)
  await task()
  return lengthOf(space) - before
}

async function isIn(space: Space, id: string, old: Y.Doc): Promise<boolean> {
  const live = await space.documents.open(id)
  const is = Y.equalSnapshots(Y.snapshot(live.doc), Y.snapshot(old))
  const sameText = bodyOf(live) === bodyOf({ doc: old })
  await live.close()
  return is && sameText
}

async function store(folder: string, id: string, doc: Y.Doc): Promise<void> {
  const leveldb = new LeveldbPersistence(folder)
  await leveldb.storeUpdate(id, Y.encodeStateAsUpdate(doc))
  await leveldb.destroy()
}

async function storeInBrowser(name: string, doc: Y.Doc): Promise<void> {
  const database = new IndexeddbPersistence(name, doc)
  await database.whenSynced
  await database.destroy()
}

test('docs: a y-leveldb store comes in with its history as one entry per document, and twice or on two devices it is the same', async () => {
  const two = await openTwoDevices()
  const folder = join(project, 'yjs-store')
  const old = written()
  await store(folder, 'one', old)
  await store(folder, 'two', written())
  await list(two.spaceA, 'one', 'two')
  await list(two.spaceB, 'one', 'two')
  assert.is(await growth(two.spaceA, () => importStore(two.spaceA, folder)), 2)
  assert.is(await growth(two.spaceA, () => importStore(two.spaceA, folder)), 0)
  assert.is(await growth(two.spaceB, () => importStore(two.spaceB, folder)), 2)
  two.connect()
  await until(() => two.spaceA.writers().length === 2)
  assert.ok(await isIn(two.spaceA, 'one', old))
  await until(() => isIn(two.spaceB, 'one', old))
  assert.equal([two.spaceA.refusals(), two.spaceB.refusals()], [[], []])
  await two.close()
})

test('docs: what was deleted is not brought back by an older copy, and a newer one adds what is new', async () => {
  const two = await openTwoDevices()
  two.connect()
  const old = written()
  old.getText('body').insert(0, 'a secret ')
  await storeInBrowser('older', old)
  old.getText('body').delete(0, 9)
  await store(join(project, 'newer'), 'd', old)
  await importStore(two.spaceA, join(project, 'newer'))
  await importDatabase(two.spaceB, 'older', 'd')
  await until(() => isIn(two.spaceA, 'd', old))
  await until(() => isIn(two.spaceB, 'd', old))
  old.getText('body').insert(0, 'still written there ')
  await storeInBrowser('older', old)
  assert.is(await growth(two.spaceA, () => importDatabase(two.spaceA, 'older', 'd')), 1)
  await until(() => isIn(two.spaceB, 'd', old))
  await two.close()
})

test('docs: a y-indexeddb database comes in with its history as one entry', async () => {
  const two = await openTwoDevices()
  const old = written()
  await storeInBrowser('notes', old)
  await list(two.spaceA, 'notes')
  assert.is(await growth(two.spaceA, () => importDatabase(two.spaceA, 'notes')), 1)
  assert.is(await growth(two.spaceA, () => importDatabase(two.spaceA, 'notes')), 0)
  assert.ok(await isIn(two.spaceA, 'notes', old))
  await two.close()
})

test('docs: a space takes over a document from a running y-websocket server, and both are one text until the bridge ends', async () => {
  const server = new WebSocketServer({ port: 0 })
  server.on('connection', (socket, request) => setupWSConnection(socket, request))
  await once(server, 'listening')
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
  const doc = written()
  const left = new WebsocketProvider(url, 'd', doc, { disableBc: true })
  await until(() => left.synced)
  const two = await openTwoDevices()
  two.connect()
  await list(two.spaceA, 'd')

  let taken: TakenOver | undefined
  const grown = await growth(two.spaceA, async () => (taken = await takeOver(two.spaceA, url, 'd')))
  assert.is(grown, 1)
  assert.ok(await isIn(two.spaceA, 'd', doc))
  const live = await two.spaceB.documents.open('d')
  await until(() => bodyOf(live) === bodyOf({ doc }))
  live.doc.getText('body').insert(0, 'moved ')
  await until(() => bodyOf({ doc }).startsWith('moved '))
  doc.getText('body').insert(0, 'not yet ')
  await until(() => bodyOf(live).startsWith('not yet moved '))

  taken?.old.destroy()
  left.destroy()
  taken?.provider.destroy()
  for (const each of [doc, taken?.provider.doc, rooms.get('d')]) each?.destroy() // with the timer of its awareness
  await two.close()
  server.close()
})

test.run()
