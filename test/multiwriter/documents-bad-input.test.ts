/** What must not be: bad ids, updates that are none, huge pastes, clocks that jump, closing in the middle. */
import { join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { encodeUpdate } from '../../crdt/index.ts'
import { openDevice } from '../../index.ts'
import { openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { Forger } from '../support/document-forger.ts'
import { imported, textOf, type } from '../support/documents.ts'
import { rejectsWith } from '../support/rejects.ts'

test('documents: an id is any name, and stands for nothing but itself; what is none is refused', async () => {
  const two = await openTwoDevices()
  const { documents } = two.spaceA
  for (const id of ['../../x', '/etc/passwd', 'a\0b', '.', 'ä€😀', '__proto__', 'x'.repeat(255)]) {
    const document = await documents.open(id)
    type(document, id)
    await document.close()
    const again = await documents.open(id)
    assert.is(textOf(again), id)
  }
  const ids: string[] = []
  for await (const { id } of documents.list()) ids.push(id)
  assert.is(ids.length, 7)
  for (const id of ['', 'x'.repeat(256), '€'.repeat(86), '\ud800', 7, null, undefined, {}]) {
    const anything: unknown = id
    await rejectsWith('INVALID_ARGUMENT', () => documents.open(anything as string))
    await rejectsWith('INVALID_ARGUMENT', () => documents.delete(anything as string))
  }
  for (const id of ['x'.repeat(256), '€'.repeat(86), '\ud800', 7])
    await rejectsWith('INVALID_ARGUMENT', () => documents.metadata.put(id as string, {}))
  await rejectsWith('KEY_INVALID', () => documents.metadata.put('', {}))
  await rejectsWith('INVALID_ARGUMENT', () => documents.open('a', { wit: true } as object))
  await two.close()
})

test('documents: what is no update is refused and counted; the document stays open, and goes on', async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('d')
  two.connect()
  type(a, 'mine ')
  await a.flush()
  const source = new Y.Doc()
  source.getText('t').insert(0, 'theirs')
  const good = Y.encodeStateAsUpdate(source)
  const bad = [
    b4a.from([]),
    b4a.from([1]),
    b4a.from([9, 1, 2, 3]),
    b4a.concat([b4a.from([1]), good.subarray(0, good.length - 3)]),
    b4a.concat([b4a.from([2]), good]),
    b4a.concat([b4a.from([1]), b4a.alloc(100, 0xff)]),
    ...THROWING.map((update) => b4a.concat([b4a.from([1]), b4a.from(update, 'base64')]))
  ]
  const forger = new Forger(two.spaceB)
  await forger.write('d', [
    b4a.from([]),
    b4a.from([1]),
    b4a.from([1, 255, 1]),
    b4a.from([77, 0, 1, 0, 0]), // an engine of the future
    b4a.from([1, 0]), // says nothing
    b4a.from([1, 0, 40, 1]), // names ten sessions, and has none
    b4a.concat([b4a.from([1, 2]), b4a.from([1])]) // its rest is missing
  ])
  await forger.write(
    'd',
    bad.flatMap((bytes) => encodeUpdate(1, 'update', imported(bytes)))
  )
  await forger.write('d', encodeUpdate(1, 'update', imported(b4a.concat([b4a.from([1]), good]))))
  await until(() => textOf(a).length === 11)
  const counts = new Map(two.spaceA.refusals().map(({ reason, count }) => [reason, count]))
  assert.is(counts.get('document-malformed'), 6)
  assert.is(counts.get('document-other-engine'), 1)
  assert.is(counts.get('document-update-refused'), bad.length)
  assert.is(counts.size, 3)

  const text = textOf(a)
  await a.close()
  assert.is(textOf(await two.spaceA.documents.open('d')), text)
  await two.close()
})

test("documents: an application's observer that throws is told of, and refuses nobody's update", async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('d')
  const b = await two.spaceB.documents.open('d')
  const errors: unknown[] = []
  b.on('error', (error) => errors.push(error))
  b.doc.getText('t').observe(() => {
    throw new Error('mine')
  })
  two.connect()
  type(a, 'x')
  await until(() => errors.length > 0)
  assert.is(textOf(b), 'x')
  assert.equal(two.spaceB.refusals(), [])
  await two.close()
})

test('documents: a paste of 50 MB goes over in pieces, and is read back whole', async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('d')
  const paste = 'abcdefghij'.repeat(5_000_000)
  type(a, paste)
  await a.flush()
  two.connect()
  const b = await two.spaceB.documents.open('d')
  await until(() => b.doc.getText('t').length === paste.length, { timeout: 60_000 })
  assert.ok(textOf(b) === paste)
  await two.close()
})

test('documents: closing while updates are in flight loses none', async () => {
  const folder = await tempFolder()
  const storage = join(folder.path, 'a')
  const device = await openDevice({ storage })
  const space = await device.createSpace()
  const document = await space.documents.open('d')
  for (let i = 0; i < 50; i++) {
    type(document, 'x')
    if (i % 10 === 0) void document.flush()
  }
  const closing = document.close()
  type(document, 'y')
  await Promise.all([closing, device.close()])
  const again = await openDevice({ storage })
  const same = await (await again.openSpace(space.address)).documents.open('d')
  assert.is(textOf(same).length, 51)
  await again.close()
  await folder.remove()
})

test('documents: a clock that jumps while somebody types changes nothing', async () => {
  let now = 1_800_000_000_000
  const two = await openTwoDevices({ device: { now: () => now } })
  const a = await two.spaceA.documents.open('d')
  const b = await two.spaceB.documents.open('d')
  two.connect()
  for (const jump of [0, 86_400_000, -172_800_000, 1, -1_000_000_000_000, 2_000_000_000_000]) {
    now += jump
    type(a, 'a')
    type(b, 'b')
    await Promise.all([a.flush(), b.flush()])
  }
  await until(() => textOf(a).length === 12 && textOf(b).length === 12)
  assert.is(textOf(a), textOf(b))
  await b.close()
  assert.is(textOf(await two.spaceB.documents.open('d')), textOf(a))
  await two.close()
})

/** Yjs decodes these, and throws while it integrates them: an item in front of itself, a deletion of nothing. */
const THROWING = [
  'AQ8FAAQBAXQBaIEFAAGBBQEBhAUCAmxvhAUEBgB3b3JsZMYFAQUCBGJvbGQEdHJ1ZcYFBAUFBGJvbGQEbnVsbCEBAW0BYQGoBQ0BdgEBeH0CJwEBbQFuAScABTgBcQIEAAUQAnp6CAEBYQF9AYgFEwJ9An0DyQUTBRQBZ3YAAQUCAQINAQ==',
  'AQ8AAAQBAXQBaIEFAAGBBQEBhAUCAmxvhAUEBiB3b3JsZMYFAQUCBGJvbGQEdHJ1ZcYFBAUFBGJvbGQEbnVsbCEBAW0BYQGoBQ0BdgEBeH0CJwABbQFuAScABQ8BcQIEAAUQAnp6CAEBYQF9AYgFEwJ9An0DyQUTBRQBZ3YAAQUCAQANAQ=='
]

test.run()
