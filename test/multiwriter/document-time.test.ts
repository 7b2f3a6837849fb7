/** A document's versions: what they name, what it was at them, and going back. */
import * as A from '@automerge/automerge'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import z32 from 'z32'
import { SPACE_TAG_BYTES } from '../../clock/index.ts'
import { automerge } from '../../crdt/document/automerge.ts'
import type { AnyAutomergeDocument } from '../../crdt/document/automerge-document.ts'
import type { TextChange } from '../../crdt/document/time.ts'
import { yjs } from '../../crdt/document/yjs.ts'
import { encodeUpdate } from '../../crdt/index.ts'
import type { DocumentVersion, LiveDocument, Space } from '../../multiwriter/index.ts'
import { versionsSlowly } from '../oracle/document-time.ts'
import { openTwoDevices, until, type TwoDevices } from '../support/devices.ts'
import { forgeBlock } from '../support/forge.ts'
import { Forger } from '../support/document-forger.ts'
import { imported, textOf, type } from '../support/documents.ts'
import { seededRandom } from '../support/random.ts'
import { rejectsWith } from '../support/rejects.ts'

async function withDevices(body: (two: TwoDevices) => Promise<void>): Promise<void> {
  const two = await openTwoDevices()
  try {
    await body(two)
  } finally {
    await two.close()
  }
}

async function all<T>(from: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of from) items.push(item)
  return items
}

async function lastVersion(document: Pick<LiveDocument, 'versions'>): Promise<string> {
  const [last] = await all(document.versions({ reverse: true, limit: 1 }))
  assert.ok(last !== undefined)
  return last.version
}

const textAt = async (document: LiveDocument, version: string) =>
  textOf({ doc: await document.at(version) })

async function typeOne(document: LiveDocument, text: string, at = 0): Promise<void> {
  type(document, text, at)
  await document.flush()
}

/** Until each has all that the other wrote. */
async function meet(two: TwoDevices): Promise<void> {
  const cut = two.connect()
  const lengths = (space: Space) =>
    [two.spaceA, two.spaceB].map(({ writer }) => {
      return space.writers().find((each) => each.writer === writer)?.length
    })
  await until(() => {
    const [a, b] = [lengths(two.spaceA), lengths(two.spaceB)]
    return !a.includes(undefined) && a.join() === b.join()
  })
  cut()
}

test('time: each burst of typing is a version, with who and when, and the document as it was', () =>
  withDevices(async (two) => {
    const a = await two.spaceA.documents.open('d')
    const texts = ['one', 'two ', 'three ']
    for (const text of texts) await typeOne(a, text)
    const versions = await all(a.versions())
    assert.is(versions.length, 3)
    for (const { writer, kind, stamp } of versions) {
      assert.is(writer, two.spaceA.writer)
      assert.is(kind, 'edit')
      assert.ok(Math.abs(Date.now() - stamp.ms) < 60_000)
    }
    const shown = await Promise.all(versions.map(({ version }) => textAt(a, version)))
    assert.equal(shown, ['one', 'two one', 'three two one'])
    assert.equal(await all(a.versions({ reverse: true })), versions.toReversed())
    assert.equal(await all(a.versions({ limit: 2 })), versions.slice(0, 2))
    assert.equal(await all(a.versions({ limit: 1, reverse: true })), versions.slice(2))
    assert.equal(await all(a.versions({ limit: 0 })), [])
  }))

test('time: what is edited in a document of then goes nowhere', () =>
  withDevices(async (two) => {
    const a = await two.spaceA.documents.open('d')
    await typeOne(a, 'one')
    const [version] = await all(a.versions())
    const then = await a.at(version?.version ?? '')
    then.getText('t').insert(0, 'not kept ')
    await a.flush()
    assert.is(textOf(a), 'one')
    assert.is((await all(a.versions())).length, 1)
  }))

test('time: versions are the same on every device that holds the same logs, and name the same for ever', () =>
  withDevices(async (two) => {
    const [a, b] = [await two.spaceA.documents.open('d'), await two.spaceB.documents.open('d')]
    await typeOne(a, 'a1')
    await typeOne(b, 'b1')
    const alone = await all(a.versions())
    await typeOne(a, 'a2')
    await meet(two)
    await until(() => textOf(a) === textOf(b) && textOf(a).length === 6)
    const [ofA, ofB] = [await all(a.versions()), await all(b.versions())]
    assert.equal(ofA, ofB)
    assert.equal(
      ofA.map(({ writer }) => writer === two.spaceA.writer),
      [true, false, true]
    )
    for (const { version } of [...ofA, ...alone])
      assert.is(await textAt(a, version), await textAt(b, version))
    assert.is(await textAt(b, alone[0]?.version ?? ''), 'a1')
  }))

test('time: the versions, and each document, are those of the slow twin: through snapshots, for both orders', async () => {
  for (let seed = 0; seed < 3; seed++) {
    await withDevices(async (two) => {
      const random = seededRandom(seed)
      const spaces = [two.spaceA, two.spaceB]
      for (let round = 0; round < 3; round++) {
        for (const space of spaces) {
          const live = await space.documents.open('d')
          const text = live.doc.getText('t')
          for (let i = random.below(120); i >= 0; i--) {
            const at = random.below(text.length + 1)
            if (random.below(4) > 0) text.insert(at, 'abcdefgh'.slice(0, 1 + random.below(7)))
            else text.delete(at, Math.min(random.below(4), text.length - at))
            await live.flush()
          }
          await live.close() // a snapshot is made where it pays
          await space.db.put(`k${round}`, round)
        }
        await meet(two)
      }
      const live = await two.spaceB.documents.open('d')
      const tag = z32.decode(two.spaceB.address).subarray(0, SPACE_TAG_BYTES)
      const slow = await versionsSlowly(two.spaceB.wire.cores(), 'd', tag, yjs)
      const quick = await all(live.versions())
      assert.equal(
        quick.map(({ version, writer, stamp }) => ({ version, writer, stamp })),
        slow.map(({ version, writer, stamp }) => ({ version, writer, stamp })),
        `seed ${seed}`
      )
      assert.equal(await all(live.versions({ reverse: true })), quick.toReversed())
      for (let i = 0; i < 12; i++) {
        const { version = '', doc = new Y.Doc() } = slow[random.below(slow.length)] ?? {}
        assert.is(await textAt(live, version), textOf({ doc }), `seed ${seed}`)
      }
    })
  }
})

test('time: of an Automerge document the versions, each document, and what differs, are those of the slow twin', async () => {
  for (let seed = 0; seed < 2; seed++) {
    await withDevices(async (two) => {
      const random = seededRandom(seed)
      const open = (space: Space) => space.documents.open<List>('d', { engine: 'automerge' })
      // One writes alone at first, and has a snapshot of its own form; later they have both.
      for (const writes of 'AAABAB') {
        const space = writes === 'A' ? two.spaceA : two.spaceB
        const live = await open(space)
        if (live.doc.value.t === undefined) live.doc.change((draft) => void (draft.t = ''))
        for (let i = 35 + random.below(15); i >= 0; i--) {
          const length = live.doc.value.t?.length ?? 0
          const at = random.below(length + 1)
          const gone = random.below(4) > 0 ? 0 : Math.min(random.below(4), length - at)
          const come = gone > 0 ? '' : 'abcdefgh'.slice(0, 1 + random.below(7))
          live.doc.change((draft) => A.splice(draft, ['t'], at, gone, come))
          await live.flush()
        }
        await live.close()
        await meet(two)
      }
      const live = await open(two.spaceB)
      const tag = z32.decode(two.spaceB.address).subarray(0, SPACE_TAG_BYTES)
      const slow = await versionsSlowly(two.spaceB.wire.cores(), 'd', tag, automerge)
      const quick = await all(live.versions())
      assert.equal(
        quick.map(({ version, writer, stamp }) => ({ version, writer, stamp })),
        slow.map(({ version, writer, stamp }) => ({ version, writer, stamp })),
        `seed ${seed}`
      )
      for (let i = 0; i < 12; i++) {
        const [one, other] = [0, 1].map(() => slow[random.below(slow.length)])
        if (one === undefined || other === undefined) return assert.unreachable()
        const { value } = await live.at(one.version)
        assert.equal(A.getHeads(value).sort(), A.getHeads(one.doc.value).sort(), `seed ${seed}`)
        const [text] = await live.diff(one.version, other.version)
        const after =
          text?.type === 'text' ? edited(shownIn(one.doc), text.changes) : shownIn(one.doc)
        assert.is(after, shownIn(other.doc), `seed ${seed}`)
      }
    })
  }
})

function shownIn({ value }: AnyAutomergeDocument): string {
  const text: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 't') : ''
  return typeof text === 'string' ? text : ''
}

/** Places are those of the later text, where what has gone stood before it. */
function edited(before: string, changes: readonly TextChange[]): string {
  let text = before
  for (const { kind, at, text: part } of changes) {
    if (kind === 'deleted') {
      assert.is(text.slice(at, at + part.length), part)
      text = text.slice(0, at) + text.slice(at + part.length)
    } else text = text.slice(0, at) + part + text.slice(at)
  }
  return text
}

test('time: a time is a moment, too, and so is a version of the space', async () => {
  let now = 1_000_000
  const two = await openTwoDevices({ device: { now: () => now } })
  const a = await two.spaceA.documents.open('d')
  const versions: string[] = []
  for (const text of ['1', '2', '3']) {
    await typeOne(a, text)
    await two.spaceA.db.put('k', text)
    versions.push(await two.spaceA.version())
    now += 1000
  }
  assert.is(textOf({ doc: await a.at(1_001_500) }), '21')
  assert.is(textOf({ doc: await a.at(new Date(1_000_000)) }), '1')
  assert.is(textOf({ doc: await a.at(999_999) }), '')
  assert.is(await textAt(a, versions[1] ?? ''), '21')
  assert.is(textOf({ doc: await two.spaceA.documents.checkout('d', 1_001_500) }), '21')
  const ms = async (options: Parameters<LiveDocument['versions']>[0]) =>
    (await all(a.versions(options))).map(({ stamp }) => stamp.ms)
  assert.equal(await ms({ from: 1_001_000 }), [1_001_000, 1_002_000])
  assert.equal(await ms({ to: new Date(1_001_000) }), [1_000_000, 1_001_000])
  assert.equal(await ms({ from: versions[0] ?? '' }), [1_001_000, 1_002_000])
  assert.equal(await ms({ from: versions[0] ?? '', to: versions[1] ?? '' }), [1_001_000])
  // The space as a document's version names it.
  const [first] = await all(a.versions())
  assert.is(await two.spaceA.checkout(first?.version ?? '').db.get('k'), null)
  await two.close()
})

test('time: a difference tells what came and went between two moments, and whose it is', () =>
  withDevices(async (two) => {
    const [a, b] = [await two.spaceA.documents.open('d'), await two.spaceB.documents.open('d')]
    await typeOne(a, 'one two three')
    const version = await lastVersion(a)
    await meet(two)
    await until(() => textOf(b).length === 13)
    b.doc.getText('t').delete(4, 4)
    await typeOne(b, '!', 9)
    await meet(two)
    await until(() => textOf(a) === 'one three!')
    type(a, 'now ')
    const changes = [
      { kind: 'inserted', at: 0, text: 'now ', writer: two.spaceA.writer },
      { kind: 'deleted', at: 8, text: 'two ', writer: null },
      { kind: 'inserted', at: 13, text: '!', writer: two.spaceB.writer }
    ]
    assert.equal(await a.diff(version), [{ type: 'text', path: ['t'], changes }])
    assert.equal(await a.diff(version, version), [])
    const last = await lastVersion(a)
    const [back] = await a.diff(last, version)
    assert.ok(back?.type === 'text')
    assert.equal(
      back.changes.map(({ kind, text, writer }) => [kind, text, writer]),
      [
        ['deleted', 'now ', null],
        ['inserted', 'two ', two.spaceA.writer],
        ['deleted', '!', null]
      ]
    )
  }))

test('time: restoring is an edit, on all devices, which undo takes back', () =>
  withDevices(async (two) => {
    const [a, b] = [await two.spaceA.documents.open('d'), await two.spaceB.documents.open('d')]
    await typeOne(a, 'one two')
    const version = await lastVersion(a)
    await meet(two)
    await until(() => textOf(b) === 'one two')
    b.doc.getText('t').delete(0, 4)
    await typeOne(b, 'the ')
    await meet(two)
    await until(() => textOf(a) === 'the two')
    const undo = new Y.UndoManager(a.doc.getText('t'))
    await a.restore(version)
    assert.is(textOf(a), 'one two')
    await a.flush()
    await meet(two)
    await until(() => textOf(b) === 'one two')
    undo.undo()
    assert.is(textOf(a), 'the two')
    undo.destroy()
    assert.is((await all(b.versions())).length, 3)
  }))

test('time: one writer’s later edits are undone, and what others wrote stays', () =>
  withDevices(async (two) => {
    const [a, b] = [await two.spaceA.documents.open('d'), await two.spaceB.documents.open('d')]
    const map = (document: LiveDocument) => document.doc.getMap('m')
    await typeOne(a, 'one two three')
    map(a).set('title', 'by a')
    await typeOne(b, 'early ')
    await a.flush()
    await meet(two)
    await until(() => textOf(a).length === 19 && textOf(b).length === 19)
    const version = await two.spaceA.version()
    // Vandalism, and somebody who goes on writing in it.
    b.doc.getText('t').delete(textOf(b).indexOf('two'), 4)
    map(b).set('title', 'by b')
    await typeOne(b, 'spam ', textOf(b).indexOf('one'))
    await meet(two)
    await until(() => textOf(a).includes('spam') && map(a).get('title') === 'by b')
    await typeOne(a, ' A ', textOf(a).indexOf('am'))
    assert.equal(await a.revert({ writer: two.spaceB.writer, after: version }), {
      updates: 1,
      kept: 0
    })
    assert.ok(['early  A one two three', ' A one two threeearly '].includes(textOf(a)), textOf(a))
    assert.is(map(a).get('title'), 'by a')
    await a.flush()
    const text = textOf(a)
    await a.revert({ writer: two.spaceB.writer, after: version })
    assert.is(textOf(a), text, 'reverting twice is reverting once')
    await meet(two)
    await until(() => textOf(b) === text)
    assert.equal(await a.revert({ writer: two.spaceB.writer, after: await two.spaceA.version() }), {
      updates: 0,
      kept: 0
    })
  }))

test('time: later edits are undone through a snapshot that holds the earlier ones, too', () =>
  withDevices(async (two) => {
    const a = await two.spaceA.documents.open('d')
    await typeOne(a, 'kept ')
    await typeOne(a, 'start ', 5)
    const version = await lastVersion(a)
    for (let i = 0; i < 150; i++) await typeOne(a, 'x', 5)
    await a.close()
    const again = await two.spaceA.documents.open('d')
    const { updates } = await again.revert({ writer: two.spaceA.writer, after: version })
    assert.is(updates, 150)
    assert.is(textOf(again), 'kept start ')
  }))

test('time: where history was cleared, what is left begins with a summary', () =>
  withDevices(async (two) => {
    const a = await two.spaceA.documents.open('d')
    for (const text of ['1', '2', '3']) await typeOne(a, text)
    const before = await all(a.versions())
    for (const value of [1, 2]) await two.spaceA.db.put('k', value)
    await two.spaceA.compact({ history: 'drop' })
    await typeOne(a, '4')
    const after = await all(a.versions())
    assert.equal(
      after.map(({ kind }) => kind),
      ['summary', 'edit']
    )
    const shown = await Promise.all(after.map(({ version }) => textAt(a, version)))
    assert.equal(shown, ['321', '4321'])
    const gone = before[0]?.version ?? ''
    await rejectsWith('VERSION_UNAVAILABLE', () => a.at(gone))
    await rejectsWith('VERSION_UNAVAILABLE', () => a.restore(gone))
    await rejectsWith('VERSION_UNAVAILABLE', () => a.diff(gone))
    assert.is(textOf(a), '4321')
    await meet(two)
    const b = await two.spaceB.documents.open('d')
    assert.equal(await all(b.versions()), after, 'on another device, too')
  }))

test('time: what no version can be made of is said at once', () =>
  withDevices(async (two) => {
    const a = await two.spaceA.documents.open('d')
    await typeOne(a, 'one')
    const other = await two.a.createSpace()
    await other.db.put('k', 1)
    const foreign = await other.version()
    const bad = [null, undefined, -1, Number.NaN, {}, new Date(Number.NaN)] as never[]
    for (const moment of bad) await rejectsWith('INVALID_ARGUMENT', () => a.at(moment))
    await rejectsWith('VERSION_INVALID', () => a.at('nonsense'))
    await rejectsWith('VERSION_FOREIGN', () => a.restore(foreign))
    await rejectsWith('VERSION_FOREIGN', () => a.diff(foreign))
    await rejectsWith('VERSION_FOREIGN', () => a.versions({ from: foreign }))
    await rejectsWith('INVALID_ARGUMENT', () => a.versions({ limit: -1 }))
    await rejectsWith('INVALID_ARGUMENT', () => a.versions({ form: 1 } as never))
    await rejectsWith('INVALID_ARGUMENT', () => a.versions({ from: {} as never }))
    const version = await lastVersion(a)
    await rejectsWith('INVALID_ARGUMENT', () => a.at(version, { wait: 1 } as never))
    await rejectsWith('INVALID_ARGUMENT', () => a.revert({ writer: 'nobody', after: version }))
    await rejectsWith('INVALID_ARGUMENT', () => a.revert({ writer: two.spaceA.writer } as never))
    await rejectsWith('INVALID_ARGUMENT', () => a.revert(null as never))
    const missing = await two.spaceB.version() // of a log that is not here
    const b = await two.spaceB.documents.open('d')
    await typeOne(b, 'far')
    await rejectsWith('VERSION_UNAVAILABLE', async () => a.at(await two.spaceB.version()))
    assert.type(missing, 'string')
    await a.close()
    await rejectsWith('DOCUMENT_CLOSED', () => a.versions())
    await rejectsWith('DOCUMENT_CLOSED', () => a.at(version))
    await rejectsWith('DOCUMENT_CLOSED', () => a.restore(version))
    await rejectsWith('DOCUMENT_CLOSED', () => a.diff(version))
    await rejectsWith('DOCUMENT_CLOSED', () => a.revert({ writer: '', after: version }))
  }))

test('time: malformed entries of others are no versions, and keep none from being read', () =>
  withDevices(async (two) => {
    const a = await two.spaceA.documents.open('d')
    await typeOne(a, 'one')
    const doc = new Y.Doc()
    doc.getText('t').insert(0, 'fine')
    const forger = new Forger(two.spaceB)
    const update = new Uint8Array([2, ...Y.encodeStateAsUpdateV2(doc)])
    await forger.write('d', [
      new Uint8Array(0),
      new Uint8Array([1, 255]),
      new Uint8Array([1, 0, 9, 9]),
      ...encodeUpdate(1, 'quote', new Uint8Array([1, 2])),
      ...encodeUpdate(1, 'update', imported(update))
    ])
    await meet(two)
    await until(() => textOf(a).includes('fine'))
    const versions: DocumentVersion[] = await all(a.versions())
    assert.ok(versions.length >= 2)
    for (const { version } of versions) assert.type(await textAt(a, version), 'string')
    assert.is(textOf({ doc: await a.at(versions.at(-1)?.version ?? '') }), textOf(a))
  }))

test('time: a sparse space fetches what a version needs, and says so when it cannot', async () => {
  const two = await openTwoDevices({ sparse: true })
  const a = await two.spaceA.documents.open('d')
  for (let i = 0; i < 40; i++) await typeOne(a, `${i} `)
  const cut = two.connect()
  const b = await two.spaceB.documents.open('d')
  await until(() => textOf(b) === textOf(a))
  assert.equal(await all(b.versions()), await all(a.versions()))
  const middle = (await all(a.versions()))[20]?.version ?? ''
  assert.is(await textAt(b, middle), await textAt(a, middle))
  cut()
  await typeOne(a, 'unheard of ')
  const missing = await lastVersion(a)
  await rejectsWith('VERSION_UNAVAILABLE', () => b.at(missing, { wait: false }))
  await two.close()
})

test('time: a log whose tree is bad is read as far as it is not', () =>
  withDevices(async (two) => {
    const a = await two.spaceA.documents.open('d')
    await typeOne(a, 'a')
    const b = await two.spaceB.documents.open('d')
    await typeOne(b, 'b')
    await b.close()
    const core = two.spaceB.wire.cores().find(({ key }) => z32.encode(key) === two.spaceB.writer)
    assert.ok(core !== undefined)
    await core.append(forgeBlock(core.length, { nodes: [{ keys: [{ seq: 99 }] }], keys: [] }))
    two.connect()
    await until(() => textOf(a).length === 2 && two.spaceA.refusals().length > 0)
    const versions = await all(a.versions())
    assert.is(versions.length, 2)
    for (const { version } of versions) assert.ok((await textAt(a, version)).length > 0)
  }))

interface List {
  t?: string
  items?: string[]
}

test('time: an Automerge document has versions, differences, and goes back', () =>
  withDevices(async (two) => {
    const open = (space: Space) => space.documents.open<List>('d', { engine: 'automerge' })
    const [a, b] = [await open(two.spaceA), await open(two.spaceB)]
    a.doc.change((draft) => Object.assign(draft, { t: 'one two', items: ['milk'] }))
    await a.flush()
    const version = await lastVersion(a)
    await meet(two)
    await until(() => b.doc.value.t === 'one two')
    b.doc.change((draft) => {
      A.splice(draft, ['t'], 0, 3, 'six')
      draft.items?.push('bread')
    })
    await b.flush()
    await meet(two)
    await until(() => a.doc.value.items?.length === 2)
    assert.is((await all(a.versions())).length, 2)
    assert.is((await a.at(version)).value.t, 'one two')
    const [text] = (await a.diff(version)).filter((each) => each.type === 'text')
    assert.ok(
      text?.changes.some((each) => each.text === 'six' && each.writer === two.spaceB.writer)
    )
    await rejectsWith('DOCUMENT_ENGINE', () => two.spaceA.documents.checkout('d', version))
    await a.restore(version)
    assert.equal(A.toJS(a.doc.value), { t: 'one two', items: ['milk'] })
    await a.flush()
    a.doc.change((draft) => A.splice(draft, ['t'], 0, 0, 'a '))
    await a.flush()
    await meet(two)
    await until(() => b.doc.value.t === 'a one two')
    const now = await two.spaceA.version()
    b.doc.change((draft) => A.splice(draft, ['t'], 0, 0, 'b '))
    await b.flush()
    await meet(two)
    await until(() => a.doc.value.t === 'b a one two')
    const report = await a.revert({ writer: two.spaceB.writer, after: now })
    assert.equal([report, a.doc.value.t], [{ updates: 1, kept: 0 }, 'a one two'])
  }))

test('time: of an Automerge document, what others have written on after seeing stays when it is reverted, wherever they wrote', () =>
  withDevices(async (two) => {
    const open = (space: Space) => space.documents.open<List>('d', { engine: 'automerge' })
    const [a, b] = [await open(two.spaceA), await open(two.spaceB)]
    a.doc.change((draft) => Object.assign(draft, { t: 'one', items: [] }))
    await a.flush()
    await meet(two)
    await until(() => b.doc.value.t === 'one')
    const version = await lastVersion(a)
    for (const text of ['seen ', 'unseen ']) {
      b.doc.change((draft) => A.splice(draft, ['t'], 0, 0, text))
      await b.flush()
      if (text === 'unseen ') break
      await meet(two)
      await until(() => a.doc.value.t === 'seen one')
      a.doc.change((draft) => void draft.items?.push('elsewhere'))
      await a.flush()
    }
    await meet(two)
    await until(() => a.doc.value.t === 'unseen seen one')
    const report = await a.revert({ writer: two.spaceB.writer, after: version })
    assert.equal(report, { updates: 2, kept: 1 })
    assert.equal(A.toJS(a.doc.value), { t: 'seen one', items: ['elsewhere'] })
  }))

test.run()
