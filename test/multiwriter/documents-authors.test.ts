/** Who wrote what in a document: proved by the logs, the same wherever and whenever it is asked; forged and ground ids are refused. */
import * as A from '@automerge/automerge'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import * as Y from 'yjs'
import {
  encodeStatement,
  encodeUpdate,
  loadEngine,
  Minutes,
  TYPE_DOCUMENT_UPDATE,
  type UpdateKind
} from '../../crdt/index.ts'
import { yjs } from '../../crdt/document/yjs.ts'
import type { LiveDocument } from '../../multiwriter/index.ts'
import { UpdateKeys } from '../../multiwriter/documents/keys.ts'
import { Sources } from '../../multiwriter/documents/sources.ts'
import { until } from '../support/devices.ts'
import { DocumentWorld, type DocumentPeer } from '../support/document-world.ts'
import { textOf, type } from '../support/documents.ts'
import { rejectsWith } from '../support/rejects.ts'

const MINUTE = 60_000

/** What a document says of its text, each writer by its number. */
function authorsOf(world: DocumentWorld, live: LiveDocument, from?: number, to?: number): unknown {
  const names = world.peers.map(({ peer }) => z32.encode(peer.core.key))
  const text = textOf(live)
  return live
    .authorship(from, to)
    .map((run) => [
      text.slice(run.from, run.to),
      names.indexOf(run.writer),
      run.isProven,
      run.time === null ? null : run.time.getTime() / MINUTE
    ])
}

interface Forgery {
  readonly session: number
  readonly client: number
  readonly text: string
  readonly kind?: UpdateKind
  readonly isImport?: boolean
  /** What it is typed onto. */
  readonly onto?: Y.Doc
}

let numbers = 1000

/** Writes anything into a device's log, among the updates of the document. */
async function forge({ peer }: DocumentPeer, forgery: Forgery): Promise<void> {
  const { session, client, text, kind = 'update', isImport = false, onto } = forgery
  const doc = new Y.Doc()
  if (onto !== undefined) Y.applyUpdate(doc, Y.encodeStateAsUpdate(onto))
  const before = onto === undefined ? undefined : Y.encodeStateVector(doc)
  doc.clientID = client
  doc.getText('t').insert(0, text)
  const update = yjs.pack([Y.encodeStateAsUpdate(doc, before)])
  const statement = encodeStatement({
    sessions: [session],
    isImport,
    minutes: new Minutes(),
    update
  })
  const key = new UpdateKeys('d').at(numbers++)
  const opaque = { type: TYPE_DOCUMENT_UPDATE, position: null }
  await peer.parts.queue.write(
    encodeUpdate(yjs.code, kind, statement).map((value) => ({ key, value, opaque }))
  )
}

function refusals({ peer }: DocumentPeer): Readonly<Record<string, number>> {
  return Object.fromEntries(peer.refusals.list().map(({ reason, count }) => [reason, count]))
}

test('authorship: which device wrote which characters, and in which minute; the same everywhere, and after restarts', () =>
  DocumentWorld.with(3, async (world) => {
    world.logs.now = 10 * MINUTE
    const ann = await world.at(0).documents.open('d')
    const ben = await world.at(1).documents.open('d')
    type(ann, 'ann was here')
    await ann.flush()
    await until(() => textOf(ben) === 'ann was here')
    world.logs.now = 12 * MINUTE + 5000
    type(ben, ' (ben not)', 3)
    await ben.flush()
    await until(() => textOf(ann).length === 22)
    const expected = [
      ['ann', 0, true, 10],
      [' (ben not)', 1, true, 12],
      [' was here', 0, true, 10]
    ]
    assert.equal(authorsOf(world, ann), expected)
    assert.equal(authorsOf(world, ben), expected)
    assert.equal(authorsOf(world, ben, 2, 5), [
      ['n', 0, true, 10],
      [' (', 1, true, 12]
    ])
    for (const dropsCache of [false, true]) {
      await world.at(0).reopen(dropsCache)
      assert.equal(authorsOf(world, await world.at(0).documents.open('d')), expected)
    }
    assert.equal(authorsOf(world, await world.at(2).documents.open('d')), expected)
  }))

test('authorship: a snapshot keeps who wrote what in which minute', () =>
  DocumentWorld.with(2, async (world) => {
    const ann = await world.at(0).documents.open('d')
    for (let i = 0; i < 120; i++) {
      world.logs.now = (100 + Math.floor(i / 40)) * MINUTE
      ann.doc.getText('t').insert(i, 'x')
      await ann.flush()
    }
    await world.at(0).reopen(true)
    await world.at(0).reopen(true) // and what was written at closing
    const expected = [100, 101, 102].map((minute) => ['x'.repeat(40), 0, true, minute])
    assert.equal(authorsOf(world, await world.at(0).documents.open('d')), expected)
    assert.equal(authorsOf(world, await world.at(1).documents.open('d')), expected)
    assert.is((await entriesOf(world.at(0))).length, 1)
  }))

async function entriesOf({ peer }: DocumentPeer): Promise<readonly unknown[]> {
  const cursor = peer.parts.own.tree.snapshot().cursor(new UpdateKeys('d').range)
  return cursor.nextBatch(1000)
}

test('authorship: what is typed now is ours; what an application brings along is imported; what it types bound is ours', () =>
  DocumentWorld.with(2, async (world) => {
    world.logs.now = 10 * MINUTE
    const mine = new Y.Doc()
    mine.getText('t').insert(0, 'old')
    const live = await world.at(0).documents.open('d')
    live.bind(mine, 'binding')
    mine.getText('t').insert(3, ' new')
    assert.equal(
      live.authorship().map(({ isProven }) => isProven),
      [true]
    ) // the import is not written yet, and nobody's
    await live.flush()
    const other = await world.at(1).documents.open('d')
    for (const each of [live, other]) {
      assert.equal(authorsOf(world, each), [
        ['old', 0, false, 10],
        [' new', 0, true, 10]
      ])
    }
  }))

test('authorship: of Automerge, by operations', () =>
  DocumentWorld.with(2, async (world) => {
    world.logs.now = 10 * MINUTE
    const ann = await world.at(0).documents.open<{ text: string }>('d', { engine: 'automerge' })
    ann.doc.change((draft) => (draft.text = 'ann'))
    await ann.flush()
    const ben = await world.at(1).documents.open<{ text: string }>('d', { engine: 'automerge' })
    ben.doc.change((draft) => A.splice(draft, ['text'], 3, 0, 'ben'))
    const runs = ben.authorship(0, 6, { of: ['text'] })
    assert.equal(
      runs.map(({ from, to, writer }) => [
        from,
        to,
        writer === z32.encode(world.at(0).peer.core.key)
      ]),
      [
        [0, 3, true],
        [3, 6, false]
      ]
    )
    await rejectsWith('INVALID_ARGUMENT', () => ben.authorship(0, 6, { of: 'none' }))
  }))

test('authorship: wrong arguments are refused', () =>
  DocumentWorld.with(1, async (world) => {
    const live = await world.at(0).documents.open('d')
    assert.equal(live.authorship(), [])
    type(live, 'x')
    live.doc.getText('other').insert(0, 'y')
    await rejectsWith('INVALID_ARGUMENT', () => live.authorship()) // which?
    assert.is(live.authorship(0, 1, { of: 't' }).length, 1)
    assert.is(live.authorship(0, 1, { of: live.doc.getText('other') }).length, 1)
    await rejectsWith('INVALID_ARGUMENT', () => live.authorship(-1))
    await rejectsWith('INVALID_ARGUMENT', () => live.authorship(0, 1.5))
    await rejectsWith('INVALID_ARGUMENT', () => live.authorship(0, 1, { in: 't' } as never))
    await rejectsWith('INVALID_ARGUMENT', () =>
      live.authorship(0, 1, { of: new Y.Doc().getText('t') })
    )
  }))

test('a forger: what is written under another’s source, or under none, is refused; live and on rebuild', () =>
  DocumentWorld.with(3, async (world) => {
    const ann = await world.at(0).documents.open('d')
    type(ann, 'true')
    await ann.flush()
    const mallory = world.at(1)
    const own = Number(new Sources(yjs, 'd').of(mallory.peer.core.key, 5))
    await forge(mallory, { session: 5, client: ann.doc.clientID, text: 'not ann' })
    await forge(mallory, { session: 5, client: 12345, text: 'nobody' })
    await forge(mallory, { session: 5, client: ann.doc.clientID, text: 'lies', kind: 'snapshot' })
    await forge(mallory, { session: 5, client: own, text: 'mallory: ', onto: ann.doc })
    await until(() => textOf(ann) === 'mallory: true')
    assert.equal(refusals(world.at(0)), { 'document-author-forged': 3 })
    const late = await world.at(2).documents.open('d')
    assert.is(textOf(late), 'mallory: true')
    assert.equal(refusals(world.at(2)), { 'document-author-forged': 3 })
  }))

test('a forger: what is imported under another’s source is left out, whatever comes first', async () => {
  for (const isFirst of [true, false]) {
    await DocumentWorld.with(3, async (world) => {
      const [one, mallory, three] = [world.at(0), world.at(1), world.at(2)]
      one.peer.writers.seal(mallory.peer.core.key, 0) // does not hear of it
      const ann = await one.documents.open('d')
      const ben = await three.documents.open('d')
      const lie = { session: 5, client: ann.doc.clientID, text: 'not ann', isImport: true }
      if (isFirst) {
        await forge(mallory, lie)
        await until(() => textOf(ben) === 'not ann')
      }
      type(ann, 'ann')
      await ann.flush()
      await until(() => textOf(ben) === 'ann')
      if (!isFirst) await forge(mallory, lie)
      one.peer.writers.seal(mallory.peer.core.key, Infinity)
      await three.reopen(true)
      assert.is(textOf(await three.documents.open('d')), 'ann')
      assert.is(textOf(ann), 'ann')
    })
  }
})

test('a source that somebody else has written under is not written under any more', () =>
  DocumentWorld.with(2, async (world) => {
    const ann = await world.at(0).documents.open('d')
    const { clientID } = ann.doc
    await forge(world.at(1), { session: 5, client: clientID, text: 'lie ', isImport: true })
    await until(() => textOf(ann) === 'lie ')
    assert.is.not(ann.doc.clientID, clientID)
    type(ann, 'ann', 4)
    await ann.flush()
    assert.equal(
      ann.authorship().map(({ isProven }) => isProven),
      [false, true]
    )
  }))

test('a grinder: of two logs from which one source derives, the higher rank counts for everybody', async () => {
  const few = { ...yjs, sourceOf: (seed: Uint8Array) => Number(yjs.sourceOf(seed)) % 50 }
  const load = ((name) =>
    name === 'yjs' ? Promise.resolve(few) : loadEngine(name)) as typeof loadEngine
  const world = await DocumentWorld.open(3, { loadEngine: load })
  const byRank = [...world.peers].sort((a, b) => b4a.compare(a.peer.core.key, b.peer.core.key))
  const [first, second, third] = byRank
  assert.ok(first && second && third)
  const victim = await first.documents.open('d')
  const client = victim.doc.clientID
  const sources = new Sources(few, 'd')
  const session = Array.from({ length: 1000 }, (_, i) => i).find(
    (i) => sources.of(second.peer.core.key, i) === client
  )
  assert.ok(session !== undefined)
  const watcher = await third.documents.open('d')
  first.peer.writers.seal(second.peer.core.key, 0) // does not hear of it yet
  await forge(second, { session, client, text: 'ground' }) // first, before the victim has written anything
  await until(() => textOf(watcher) === 'ground')
  const reloaded = new Promise<void>((resolve) => watcher.on('reload', resolve))
  type(victim, 'victim')
  await victim.flush()
  await reloaded
  await until(() => textOf(watcher) === 'victim')
  assert.is(refusals(third)['document-author-taken'], 1)
  first.peer.writers.seal(second.peer.core.key, Infinity)
  await until(() => textOf(victim) === 'victim')
  await third.reopen(true)
  assert.is(textOf(await third.documents.open('d')), 'victim')
  await world.close()
})

test('a liar: a writer that says two things of one place shows the same to all', () =>
  DocumentWorld.with(3, async (world) => {
    const liar = world.at(0)
    const client = Number(new Sources(yjs, 'd').of(liar.peer.core.key, 9))
    const live = await world.at(1).documents.open('d')
    await forge(liar, { session: 9, client, text: 'one' })
    await until(() => textOf(live) === 'one')
    await forge(liar, { session: 9, client, text: 'two', kind: 'snapshot' })
    const other = await world.at(2).documents.open('d')
    await until(() => textOf(live) === textOf(other))
  }))

test.run()
