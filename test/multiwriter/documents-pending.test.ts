/** Updates that stand on what is not here: what memory they may take, and that they count once it comes. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { yjs } from '../../crdt/document/yjs.ts'
import { encodeUpdate } from '../../crdt/index.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { Forger } from '../support/document-forger.ts'
import { imported, textOf, type } from '../support/documents.ts'

const entryOf = (update: Uint8Array) => encodeUpdate(1, 'update', imported(yjs.pack([update])))

/** Updates of one document each, in the order in which they were made. */
function typed(client: number, texts: readonly string[]): readonly Uint8Array[] {
  const doc = new Y.Doc()
  doc.clientID = client
  const updates: Uint8Array[] = []
  doc.on('update', (update: Uint8Array) => updates.push(update))
  for (const text of texts) doc.getText('t').insert(doc.getText('t').length, text)
  return updates
}

/** Large updates that nothing will ever make whole: the first of each writer is kept back. */
function orphans(count: number): readonly Uint8Array[] {
  const text = 'x'.repeat(100_000)
  return Array.from(
    { length: count },
    (_, i) => typed(1000 + i, ['first', text])[1] ?? new Uint8Array()
  )
}

function pendingBytes({ doc }: { readonly doc: Y.Doc }): number {
  return doc.store.pendingStructs?.update.byteLength ?? 0
}

test('pending updates: one writer cannot make a document keep more than a little, and it is counted', async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('d')
  two.connect()
  const forger = new Forger(two.spaceB)
  for (const update of orphans(40)) await forger.write('d', entryOf(update))
  const held = () =>
    two.spaceA.refusals().find(({ reason }) => reason === 'document-update-held')?.count ?? 0
  await until(() => held() >= 25)
  await forger.write('d', entryOf(typed(1, ['good'])[0] ?? b4a.alloc(0)))
  await until(() => textOf(a) === 'good')
  assert.ok(pendingBytes(a) > 0 && pendingBytes(a) < 1_300_000, `${pendingBytes(a)} bytes`)
  type(a, 'still ')
  await a.close()
  const again = await two.spaceA.documents.open('d')
  assert.is(textOf(again), 'still good')
  assert.ok(pendingBytes(again) < 1_300_000)
  await two.close()
})

test('pending updates: what was held back counts as soon as what it stands on is here, and after a restart', async () => {
  const two = await openTwoDevices()
  const a = await two.spaceA.documents.open('d')
  two.connect()
  const forger = new Forger(two.spaceB)
  for (const update of orphans(20)) await forger.write('d', entryOf(update))
  const honest = typed(7, ['one ', 'two ', 'three'])
  const held = () =>
    two.spaceA.refusals().find(({ reason }) => reason === 'document-update-held')?.count ?? 0
  const tellOf = async (client: number, text: string) => {
    await forger.write('d', entryOf(typed(client, [text])[0] ?? b4a.alloc(0)))
    await until(() => textOf(a).includes(text)) // and all that was written before it has arrived
  }
  await tellOf(8, 'first ')
  const before = held()
  assert.ok(before > 0)
  for (const update of honest.slice(1)) await forger.write('d', entryOf(update))
  await tellOf(9, 'second ')
  assert.is(held(), before + 2)
  assert.is(textOf(a), 'first second ')
  await a.close() // and what is kept for the next opening does not say that it has them
  const late = await two.spaceA.documents.open('d')
  await forger.write('d', entryOf(honest[0] ?? b4a.alloc(0)))
  await until(() => textOf(late) === 'one two threefirst second ')
  await late.close()
  assert.is(textOf(await two.spaceA.documents.open('d')), 'one two threefirst second ')
  await two.close()
})

test('pending updates: a deletion of what is not here waits like anything else', () => {
  const doc = yjs.create('d')
  const apply = (updates: readonly Uint8Array[]) =>
    yjs.apply(
      doc,
      updates.map((update) => yjs.pack([update])),
      null
    )
  apply(orphans(12))
  const source = new Y.Doc()
  source.clientID = 7
  const updates: Uint8Array[] = []
  source.on('update', (update: Uint8Array) => updates.push(update))
  source.getText('t').insert(0, 'abc')
  source.getText('t').delete(1, 1)
  const [insertion, deletion] = updates
  assert.ok(insertion && deletion)
  const outcome = apply([deletion])
  assert.equal([outcome.held, [...outcome.missing]], [[0], [[7, 0]]])
  assert.not(yjs.isDue(doc, outcome.missing))
  assert.equal(apply([deletion, insertion]).held, [], 'whatever their order')
  assert.ok(yjs.isDue(doc, outcome.missing))
  assert.is(doc.getText('t').toJSON(), 'ac')
})

test.run()
