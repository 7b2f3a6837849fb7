/** Seals and documents, one by one: random ones are in test/sim/document-seals.test.ts. */
import * as A from '@automerge/automerge'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { encodeStatement, encodeUpdate, Minutes, TYPE_DOCUMENT_UPDATE } from '../../crdt/index.ts'
import { yjs } from '../../crdt/document/yjs.ts'
import { AheadCodec } from '../../multiwriter/documents/ahead.ts'
import { UpdateKeys } from '../../multiwriter/documents/keys.ts'
import type { TypingTimers } from '../../multiwriter/documents/parts.ts'
import { Sources } from '../../multiwriter/documents/sources.ts'
import type { LiveDocument } from '../../multiwriter/index.ts'
import { until } from '../support/devices.ts'
import { DocumentWorld, WORLD_ADDRESS, type DocumentPeer } from '../support/document-world.ts'
import { textOf, type } from '../support/documents.ts'

/** Two who wrote, and one who reads. */
async function written(world: DocumentWorld): Promise<{
  readonly ann: LiveDocument
  readonly mal: LiveDocument
  readonly reader: LiveDocument
}> {
  const [ann, mal, reader] = await Promise.all(
    [0, 1, 2].map((i) => world.at(i).documents.open('d'))
  )
  assert.ok(ann && mal && reader)
  type(ann, 'ann. ')
  await ann.flush()
  await until(() => textOf(mal) === 'ann. ')
  return { ann, mal, reader }
}

function lengthOf({ peer }: DocumentPeer): number {
  return peer.core.length
}

test('seal: what lies past it vanishes from open documents, as a deletion; the document stays', () =>
  DocumentWorld.with(3, async (world) => {
    const { mal, reader } = await written(world)
    type(mal, 'kept. ')
    await mal.flush()
    const seal = lengthOf(world.at(1))
    type(mal, 'gone. ')
    await mal.flush()
    await until(() => textOf(reader) === 'gone. kept. ann. ')
    const { doc } = reader
    const origins: unknown[] = []
    doc.on('afterTransaction', ({ origin }: Y.Transaction) => origins.push(origin))
    let sealed = 0
    reader.on('seal', () => sealed++)
    world.seal(1, seal)
    await until(() => textOf(reader) === 'kept. ann. ')
    assert.is(reader.doc, doc)
    assert.is(sealed, 1)
    assert.equal(
      origins.filter((origin) => origin === null),
      []
    )
    assert.is(reader.status.unsynced, 0) // it is no edit of the reader's
  }))

test('seal: what others typed into it stays, also for who joins later', () =>
  DocumentWorld.with(3, async (world) => {
    const { ann, mal, reader } = await written(world)
    const seal = lengthOf(world.at(1))
    type(mal, '[ ]')
    await mal.flush()
    await until(() => textOf(ann) === '[ ]ann. ')
    type(ann, 'mine', 1)
    await ann.flush()
    await until(() => textOf(reader) === '[mine ]ann. ')
    world.seal(1, seal)
    for (const each of [ann, mal, reader]) await until(() => textOf(each) === 'mineann. ')
    await world.at(2).reopen(true)
    const late = await world.at(2).documents.open('d')
    assert.is(textOf(late), 'mineann. ')
    assert.is(late.doc.store.pendingStructs, null)
    type(ann, '!', 4)
    await ann.flush()
    await until(() => textOf(late) === 'mine!ann. ')
  }))

test('seal: what is typed into sealed text by who has not heard of the seal is shown where that text never was', () =>
  DocumentWorld.with(3, async (world) => {
    const { ann, mal } = await written(world)
    const seal = lengthOf(world.at(1))
    type(mal, '[ ]')
    await mal.flush()
    await until(() => textOf(ann) === '[ ]ann. ')
    world.at(2).peer.writers.seal(world.at(1).peer.core.key, seal)
    await world.at(2).reopen(true)
    const reader = await world.at(2).documents.open('d')
    assert.is(textOf(reader), 'ann. ')
    const { doc } = reader
    type(ann, 'mine', 1)
    await ann.flush()
    await until(() => textOf(reader) === 'mineann. ')
    assert.is(reader.doc, doc)
    assert.is(doc.store.pendingStructs, null)
  }))

test('seal: no undo brings sealed text back, in the document or in one that is bound to it', () =>
  DocumentWorld.with(3, async (world) => {
    const { mal, reader } = await written(world)
    const mine = new Y.Doc()
    reader.bind(mine, 'binding')
    const undos = [reader.doc, mine].map((doc) => new Y.UndoManager(doc.getText('t')))
    const seal = lengthOf(world.at(1))
    type(mal, 'gone. ')
    await mal.flush()
    await until(() => mine.getText('t').toJSON() === 'gone. ann. ')
    mine.getText('t').delete(0, 2)
    reader.doc.getText('t').delete(0, 2)
    world.seal(1, seal)
    await until(() => textOf(reader) === 'ann. ' && mine.getText('t').toJSON() === 'ann. ')
    for (const undo of undos) undo.undo()
    assert.is(textOf(reader), 'ann. ')
    assert.is(mine.getText('t').toJSON(), 'ann. ')
  }))

test('seal: what a sealed update deleted is there again, in a document made anew; what is typed meanwhile is kept', () =>
  DocumentWorld.with(3, async (world) => {
    const { mal, reader } = await written(world)
    const seal = lengthOf(world.at(1))
    mal.doc.getText('t').delete(0, 3)
    await mal.flush()
    await until(() => textOf(reader) === '. ')
    const { doc } = reader
    let reloads = 0
    reader.on('reload', () => reloads++)
    world.seal(1, seal)
    type(reader, 'me ', 2)
    await until(() => textOf(reader) === 'ann. me ')
    assert.is.not(reader.doc, doc)
    assert.ok(doc.isDestroyed)
    assert.is(reloads, 1)
    type(reader, '!', 8)
    await reader.flush()
    await world.at(2).reopen(true)
    assert.is(textOf(await world.at(2).documents.open('d')), 'ann. me !')
  }))

test('seal: what is typed while a document is made anew is in it, and is saved', () =>
  DocumentWorld.with(3, async (world) => {
    const { mal, reader } = await written(world)
    const seal = lengthOf(world.at(1))
    mal.doc.getText('t').delete(0, 5)
    await mal.flush()
    await until(() => textOf(reader) === '')
    let isReloaded = false
    reader.on('reload', () => (isReloaded = true))
    world.seal(1, seal)
    let typed = ''
    while (!isReloaded) {
      type(reader, 'x', typed.length)
      typed += 'x'
      await new Promise((resolve) => setImmediate(resolve))
    }
    await reader.flush()
    assert.is(textOf(reader).replace('ann. ', ''), typed)
    await world.at(2).reopen(true)
    const again = await world.at(2).documents.open('d')
    assert.is(textOf(again).replace('ann. ', ''), typed)
  }))

test('seal: who is restored is there again, in a document made anew, on all devices', () =>
  DocumentWorld.with(3, async (world) => {
    const { ann, mal, reader } = await written(world)
    const seal = lengthOf(world.at(1))
    type(mal, 'back. ')
    await mal.flush()
    await until(() => textOf(reader) === 'back. ann. ')
    world.seal(1, seal)
    await until(() => textOf(reader) === 'ann. ')
    const reloaded = new Promise<void>((resolve) => reader.on('reload', resolve))
    world.seal(1, Infinity)
    await reloaded
    for (const each of [ann, mal, reader]) await until(() => textOf(each) === 'back. ann. ')
  }))

test('seal: a document from the cache follows seals that moved while it was closed, both ways', () =>
  DocumentWorld.with(3, async (world) => {
    const { mal, reader } = await written(world)
    const seal = lengthOf(world.at(1))
    type(mal, '[ ]')
    await mal.flush()
    await until(() => textOf(reader) === '[ ]ann. ')
    type(reader, 'me', 1)
    await reader.flush()
    for (const [length, text] of [
      [seal, 'meann. '],
      [Infinity, '[me ]ann. '],
      [0, 'meann. '],
      [Infinity, '[me ]ann. ']
    ] as const) {
      await world.at(2).reopen(false)
      world.seal(1, length)
      const live = await world.at(2).documents.open('d')
      await until(() => textOf(live) === text)
    }
  }))

test('seal: a writer who is sealed and writes on changes nothing for the others', () =>
  DocumentWorld.with(3, async (world) => {
    const { mal, reader } = await written(world)
    world.seal(1, lengthOf(world.at(1)))
    for (let i = 0; i < 5; i++) {
      type(mal, 'still here ')
      mal.doc.getText('t').delete(3, 1)
      await mal.flush()
    }
    await until(() => textOf(mal) === 'ann. ')
    assert.is(textOf(reader), 'ann. ')
    world.seal(1, Infinity) // nothing of it is lost
    await until(() => textOf(reader).includes('here'))
  }))

test('seal: of Automerge what nobody built on is gone; what somebody did stays visible, and is reported', () =>
  DocumentWorld.with(3, async (world) => {
    const open = (i: number) =>
      world.at(i).documents.open<{ text: string }>('d', { engine: 'automerge' })
    const [ann, mal] = [await open(0), await open(1)]
    ann.doc.change((draft) => (draft.text = 'ann. '))
    await ann.flush()
    await until(() => mal.doc.value.text === 'ann. ')
    const seal = lengthOf(world.at(1))
    mal.doc.change((draft) => A.splice(draft, ['text'], 0, 0, 'one. '))
    await mal.flush()
    await until(() => ann.doc.value.text === 'one. ann. ')
    ann.doc.change((draft) => A.splice(draft, ['text'], 0, 0, 'me. '))
    await ann.flush()
    await until(() => mal.doc.value.text === 'me. one. ann. ')
    mal.doc.change((draft) => A.splice(draft, ['text'], 0, 0, 'two. '))
    await mal.flush()
    await until(() => ann.doc.value.text === 'two. me. one. ann. ')
    world.seal(1, seal)
    await until(() => ann.doc.value.text === 'me. one. ann. ')
    const reasons = world
      .at(0)
      .peer.refusals.list()
      .map(({ reason }) => reason)
    assert.equal(reasons, ['document-sealed-shown'])
    await world.at(2).reopen(true)
    assert.is((await open(2)).doc.value.text, 'me. one. ann. ')
    world.seal(1, Infinity)
    await until(() => ann.doc.value.text === 'two. me. one. ann. ')
  }))

test('seal: a removed writer’s snapshot past its seal takes nothing out of what counts', () =>
  DocumentWorld.with(3, async (world) => {
    const { mal, reader } = await written(world)
    type(mal, 'kept. ')
    await mal.flush()
    const seal = lengthOf(world.at(1))
    for (let i = 0; i < 120; i++) {
      type(mal, 'x')
      await mal.flush()
    }
    await until(() => textOf(reader).length === 131)
    await world.at(1).reopen(true)
    await (await world.at(1).documents.open('d')).close() // which makes them one
    world.seal(1, seal)
    await until(() => textOf(reader) === 'kept. ann. ')
    await world.at(2).reopen(true)
    assert.is(textOf(await world.at(2).documents.open('d')), 'kept. ann. ')
  }))

test('seal: with 100,000 characters in a document, the last 1,000 edits vanish at once', () =>
  DocumentWorld.with(2, async (world) => {
    const one = await world.at(0).documents.open('d')
    type(one, 'x'.repeat(99_000))
    await one.flush()
    const other = await world.at(1).documents.open('d')
    for (let i = 0; i < 1000; i++) {
      type(other, 'y', 50 * i)
      await Promise.resolve()
    }
    await other.flush()
    await until(() => textOf(one).length === 100_000)
    world.seal(1, 0)
    await until(() => textOf(one) === 'x'.repeat(99_000))
  }))

test('seal: a quote of a sealed writer counts as far as the writer’s own log does', () =>
  DocumentWorld.with(3, async (world) => {
    const { mal, reader } = await written(world)
    type(mal, 'kept. ')
    await mal.flush()
    const seal = lengthOf(world.at(1))
    await quote(world, { number: 0, text: 'early. ' })
    await quote(world, { number: 99, text: 'late. ' })
    await until(() => textOf(reader).length === 24)
    world.seal(1, seal)
    await until(() => textOf(reader).length === 18)
    assert.not(textOf(reader).includes('late'))
    await world.at(2).reopen(true)
    const again = await world.at(2).documents.open('d')
    assert.is(textOf(again), textOf(reader))
    world.seal(1, Infinity)
    await until(() => textOf(again).includes('late'))
  }))

for (const where of ['an open document', 'a document from the cache'] as const) {
  test(`seal: what this device quoted itself goes with what others quoted, in ${where}`, () =>
    DocumentWorld.with(3, async (world) => {
      const { ann, reader } = await written(world)
      for (const text of ['first. ', 'second. ']) {
        assert.is(world.at(0).documents.hear(said(world, { number: 99, text }), {}), null)
        type(ann, 'x', textOf(ann).indexOf(text) + 1) // stands on it
        await ann.flush()
        await until(() => textOf(reader) === textOf(ann))
      }
      if (where === 'a document from the cache') await world.at(0).reopen(false)
      const shown = await world.at(0).documents.open('d')
      assert.is(textOf(shown), textOf(reader))
      let reloads = 0
      shown.on('reload', () => reloads++)
      world.seal(1, lengthOf(world.at(1)))
      // In which order the devices' words stand, their ids say.
      const isStruck = (live: LiveDocument) => textOf(live).length === 'xxann. '.length
      await until(() => isStruck(reader) && isStruck(shown))
      if (where === 'an open document') assert.is(reloads, 0, 'to strike was enough')
      world.seal(1, Infinity)
      await until(() => textOf(shown).includes('irst') && textOf(shown) === textOf(reader))
    }))
}

test('seal: a document from the cache has no quotes of who was sealed while it was closed', () =>
  DocumentWorld.with(3, async (world) => {
    const { reader } = await written(world)
    await quote(world, { number: 99, text: 'late. ' })
    await until(() => textOf(reader).includes('late'))
    await world.at(2).reopen(false)
    world.seal(1, lengthOf(world.at(1)))
    assert.is(textOf(await world.at(2).documents.open('d')), 'ann. ')
  }))

test('seal: a document from the cache has the quotes that count since a sealed log has come further', () =>
  DocumentWorld.with(3, async (world) => {
    const { ann, mal, reader } = await written(world)
    world.seal(1, 1000)
    type(mal, 'kept. ')
    await mal.flush()
    await quote(world, { number: 1, text: 'quoted. ' })
    type(ann, 'then ')
    await ann.flush()
    await until(() => textOf(reader).includes('kept') && textOf(reader).includes('then'))
    assert.not(textOf(reader).includes('quoted'))
    await world.at(2).reopen(false)
    type(mal, 'more. ')
    await mal.flush()
    const again = await world.at(2).documents.open('d')
    assert.is(textOf(again).length, 'then ann. kept. quoted. more. '.length)
  }))

test('seal: what came too early, of somebody who is sealed by the time it could be shown, is not', () =>
  DocumentWorld.with(
    3,
    async (world) => {
      const { ann, mal, reader } = await written(world)
      const seal = lengthOf(world.at(1))
      type(mal, 'gone. ')
      await mal.flush()
      type(reader, 'first. ')
      await reader.flush() // its rest does not end: what it types now is not in its log
      await until(() => textOf(ann).length === 'gone. first. ann. '.length)
      type(reader, 'base. ')
      const words = said(world, { number: 99, text: 'early. ', on: reader })
      assert.is(world.at(0).documents.hear(words, {}), null)
      world.seal(1, seal)
      await until(() => !textOf(ann).includes('gone'))
      await reader.flush()
      await until(() => textOf(ann).includes('ase. '))
      assert.is(textOf(ann), textOf(reader))
    },
    { timers: STANDING_STILL }
  ))

const STANDING_STILL: TypingTimers = { after: () => () => {} }

let session = 100

interface Words {
  readonly number: number
  readonly text: string
  /** What it stands behind. */
  readonly on?: LiveDocument
}

/** What the second device said ahead of its log. */
function said(world: DocumentWorld, { number, text, on }: Words): Uint8Array {
  const { own } = world.at(1).peer.parts
  const doc = new Y.Doc()
  if (on !== undefined) Y.applyUpdate(doc, Y.encodeStateAsUpdate(on.doc))
  doc.clientID = Number(new Sources(yjs, 'd').of(own.core.key, ++session))
  const before = Y.encodeStateVector(doc)
  doc.getText('t').insert(on === undefined ? 0 : 1, text)
  const update = yjs.pack([Y.encodeStateAsUpdate(doc, before)])
  const bytes = encodeStatement({
    sessions: [session],
    isImport: false,
    minutes: new Minutes(),
    update
  })
  return new AheadCodec(WORLD_ADDRESS).sign({ id: 'd', number, engine: yjs.code, bytes }, own)
}

/** Writes into the first device's log what the second had said. */
async function quote(world: DocumentWorld, words: Words): Promise<void> {
  const signed = said(world, words)
  const key = new UpdateKeys('d').at(1000 + session)
  const opaque = { type: TYPE_DOCUMENT_UPDATE, position: null }
  await world
    .at(0)
    .peer.parts.queue.write(
      encodeUpdate(yjs.code, 'quote', signed).map((value) => ({ key, value, opaque }))
    )
}

test.run()
