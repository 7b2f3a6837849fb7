/** Bundles are taken in as they are where a document is empty, change by change elsewhere: what comes of it is the same. */
import * as A from '@automerge/automerge'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { automerge } from '../../crdt/document/automerge.ts'
import { AutomergeDocument } from '../../crdt/document/automerge-document.ts'
import { packBundle, packChanges, readChanges } from '../../crdt/document/automerge-update.ts'
import { seededRandom, shuffled, type SeededRandom } from '../support/random.ts'

interface Shape {
  t: string
}

const ACTORS = ['aa', 'bb', 'cc'].map((each) => each.repeat(16))

/** Some that type, and see each other now and then. @returns all that they made */
function typed(random: SeededRandom): A.Doc<Shape> {
  const first = A.from<Record<string, unknown> & Shape>({ t: '' }, ACTORS[0])
  const docs = [first, ...ACTORS.slice(1).map((actor) => A.clone(first, actor))]
  for (let i = 0; i < 60; i++) {
    const n = random.below(docs.length)
    const doc = docs[n] ?? first
    const at = random.below(doc.t.length + 1)
    const next = A.change(doc, (draft) => A.splice(draft, ['t'], at, random.below(2), 'x'))
    const seen = docs[random.below(docs.length)] ?? doc
    docs[n] = random.below(4) > 0 || seen === doc ? next : A.merge(next, seen)
  }
  return docs.slice(1).reduce((all, doc) => A.merge(all, doc), docs[0] ?? first)
}

/** What each actor made, as bundle or as changes; of some both. */
function packed(doc: A.Doc<Shape>, random: SeededRandom): Uint8Array[] {
  const changes = A.getAllChanges(doc).map((bytes) => ({ bytes, ...A.decodeChange(bytes) }))
  const updates = ACTORS.flatMap((actor) => {
    const own = changes.filter((change) => change.actor === actor)
    const cut = random.below(own.length + 1)
    const old = own.slice(0, cut + random.below(3)).map(({ hash }) => hash)
    const late = packChanges(own.slice(cut).map(({ bytes }) => bytes))
    return old.length === 0 ? [late] : [packBundle(doc, old), late]
  })
  return shuffled(updates, random)
}

function loose(update: Uint8Array): Uint8Array {
  return packChanges((readChanges(update) ?? []).map(({ bytes }) => bytes))
}

function applied(updates: readonly Uint8Array[]) {
  const doc = new AutomergeDocument<Shape>('')
  const { refused, held } = automerge.apply(doc, updates, null)
  const heads = A.getHeads(doc.value).sort()
  return { text: doc.value.t, heads, refused, held, waits: automerge.waits(doc), doc }
}

function shown({ doc: _, ...all }: ReturnType<typeof applied>) {
  return all
}

test('bundles: an empty document comes to show what the same changes, one by one, make of it', () => {
  for (let seed = 0; seed < 20; seed++) {
    const random = seededRandom(seed)
    const doc = typed(random)
    const updates = packed(doc, random)
    const result = applied(updates)
    assert.equal(shown(result), shown(applied(updates.map(loose))), `seed ${seed}`)
    assert.equal(result.heads, A.getHeads(doc).sort(), `seed ${seed}`)
  }
})

test('bundles: one that stands on what is not here waits, and is shown when that comes', () => {
  for (let seed = 0; seed < 10; seed++) {
    const random = seededRandom(seed)
    const doc = typed(random)
    const updates = packed(doc, random)
    const lacking = updates.splice(random.below(updates.length), 1)
    const result = applied(updates)
    assert.equal(shown(result), shown(applied(updates.map(loose))), `seed ${seed}`)
    automerge.apply(result.doc, lacking, null)
    assert.equal(A.getHeads(result.doc.value).sort(), A.getHeads(doc).sort(), `seed ${seed}`)
    assert.not(automerge.waits(result.doc))
  }
})

test('bundles: of two that contradict each other one is refused, and all else is shown', () => {
  const [one, other] = ['one', 'other'].map((t) =>
    A.from<Record<string, unknown>>({ t }, ACTORS[0])
  )
  const [honest] = [A.from<Record<string, unknown>>({ by: 'somebody else' }, ACTORS[1])]
  const updates = [one, other, honest].flatMap((doc) =>
    doc === undefined ? [] : [packBundle(doc, A.getHeads(doc))]
  )
  const result = applied(updates)
  assert.equal(shown(result), shown(applied(updates.map(loose))))
  assert.equal(result.refused, [1])
  assert.is(result.heads.length, 2)
})

test.run()
