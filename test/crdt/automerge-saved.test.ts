/**
 * A snapshot of a document that one wrote alone is the document as Automerge saves it. Whose it is stands in front of it and is
 * believed without reading the rest: so nothing else may come of it than what stands there.
 */
import { createHash } from 'node:crypto'
import * as A from '@automerge/automerge'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { automerge } from '../../crdt/document/automerge.ts'
import { judge } from '../../crdt/document/authors.ts'
import { Minutes } from '../../crdt/document/minutes.ts'
import { AutomergeDocument } from '../../crdt/document/automerge-document.ts'
import {
  packChanges,
  packDocument,
  readChanges,
  savedIn
} from '../../crdt/document/automerge-update.ts'
import { seededRandom, shuffled, type SeededRandom } from '../support/random.ts'

interface Shape {
  t: string
}

const OWN = ['aa', 'bb'].map((each) => each.repeat(16))
const OTHER = 'cc'.repeat(16)

/** Typed in two sessions, one of which does not see all of the other. @returns every change, as an update each */
function typed(random: SeededRandom): readonly Uint8Array[] {
  const first = A.from<Record<string, unknown> & Shape>({ t: '' }, OWN[0])
  const docs = [first, A.clone(first, OWN[1])]
  for (let i = 0; i < 30; i++) {
    const n = random.below(2)
    const doc = docs[n] ?? first
    const at = random.below(doc.t.length + 1)
    const next = A.change(doc, (draft) => A.splice(draft, ['t'], at, random.below(2), 'x'))
    docs[n] = random.below(3) > 0 ? next : A.merge(next, docs[1 - n] ?? first)
  }
  const [one = first, other = first] = docs
  const all = A.merge(one, other)
  return A.getAllChanges(all).map((change) => packChanges([change]))
}

/** What another one types behind it. */
function answer(updates: readonly Uint8Array[]): Uint8Array {
  const doc = A.clone(shownOf(updates).value, OTHER)
  const next = A.change(doc, (draft) => A.splice(draft, ['t'], 0, 0, 'answer'))
  return packChanges(A.getChanges(doc, next))
}

function shownOf(updates: readonly Uint8Array[], doc = new AutomergeDocument<Shape>('')) {
  const { refused, held } = automerge.apply(doc, updates, null)
  const heads = A.getHeads(doc.value).sort()
  return { value: doc.value, heads, refused, held, waits: automerge.waits(doc) }
}

function snapshotOf(updates: readonly Uint8Array[]): Uint8Array {
  const snapshot = automerge.contribution(updates.map((bytes) => ({ bytes, isOwn: true })))
  if (snapshot === null || savedIn(snapshot) === null) throw new Error('No saved document')
  return snapshot
}

test('saved: what one wrote alone is there as its changes say it, beside what others wrote, in any order', () => {
  for (let seed = 0; seed < 20; seed++) {
    const random = seededRandom(seed)
    const own = typed(random)
    const late = answer(own)
    const updates = shuffled(
      [snapshotOf(own), late, ...own.slice(random.below(own.length))],
      random
    )
    const result = shownOf(updates)
    assert.equal(result, shownOf([...own, late]), `seed ${seed}`)
    const [before, after] = [own.slice(0, random.below(own.length)), updates]
    const doc = new AutomergeDocument<Shape>('')
    shownOf(before, doc)
    assert.equal(shownOf(after, doc).heads, result.heads, `seed ${seed}: into what is there`)
  }
})

test('saved: its spans are those of its changes, and a second one of a grown document brings the rest', () => {
  for (let seed = 0; seed < 10; seed++) {
    const own = typed(seededRandom(seed))
    const earlier = snapshotOf(own.slice(0, 12))
    const again = snapshotOf([earlier, ...own.slice(12)])
    const spansOf = (update: Uint8Array) => [...(automerge.spans(update) ?? [])].sort(bySource)
    assert.equal(spansOf(again), spansOf(automerge.pack(own)), `seed ${seed}`)
    assert.equal(automerge.spans(again)?.sources.toSorted(), OWN, `seed ${seed}`)
    const doc = new AutomergeDocument<Shape>('')
    assert.is(automerge.take(doc, earlier, null).outcome, 'done')
    assert.is(automerge.take(doc, again, null).outcome, 'done')
    assert.is(automerge.take(doc, again, null).outcome, 'known')
    assert.equal(A.getHeads(doc.value).sort(), shownOf(own).heads, `seed ${seed}`)
    const only = automerge.only(again, (source) => source === OWN[0])
    assert.equal(automerge.spans(only)?.sources, [OWN[0]])
  }
})

function bySource(a: { readonly source: unknown }, b: { readonly source: unknown }): number {
  return String(a.source) < String(b.source) ? -1 : 1
}

test('saved: where another wrote as well, the snapshot is of one’s own alone', () => {
  const own = typed(seededRandom(1))
  const updates = [
    ...own.map((bytes) => ({ bytes, isOwn: true })),
    { bytes: answer(own), isOwn: false }
  ]
  const snapshot = automerge.contribution(updates) ?? b4a.alloc(0)
  assert.is(savedIn(snapshot), null)
  assert.equal(automerge.spans(snapshot)?.sources.toSorted(), OWN)
})

test('saved: one that holds what another wrote says so, and is judged forged', () => {
  const own = typed(seededRandom(2))
  const forged = packDocument(shownOf([...own, answer(own)]).value)
  assert.equal(automerge.spans(forged)?.sources.toSorted(), [...OWN, OTHER])
  const stamp = { ms: 1, counter: 0, tag: b4a.alloc(8) }
  const derived = new Map(OWN.map((source, session) => [source, session]))
  const said = { core: b4a.alloc(32), number: 0, stamp, derived, isImport: false }
  const snapshot = { ...said, kind: 'snapshot' as const, minutes: new Minutes() }
  const judged = (bytes: Uint8Array) => judge(automerge, [{ ...snapshot, bytes }])
  assert.equal(
    judged(forged).refused.map(({ reason }) => reason),
    ['forged']
  )
  assert.equal(judged(snapshotOf(own)).refused, [])
})

/** Everything that a chunk holds, with a checksum that fits. */
function chunk(body: Uint8Array): Uint8Array {
  const behind = b4a.concat([b4a.from([0]), b4a.from(leb128(body.byteLength)), body])
  const checksum = createHash('sha256').update(behind).digest().subarray(0, 4)
  return b4a.concat([b4a.from([0x85, 0x6f, 0x4a, 0x83]), checksum, behind])
}

function leb128(value: number): readonly number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...leb128(Math.floor(value / 128))]
}

function bodyOf({ bytes }: { readonly bytes: Uint8Array }): Uint8Array {
  const size = bytes.findIndex((byte, i) => i >= 9 && byte < 128)
  return bytes.slice(size + 1)
}

test('saved: one that calls another’s changes its own, or hides changes behind it, is refused and changes nothing', () => {
  const own = typed(seededRandom(3))
  const late = answer(own)
  const whole = savedIn(packDocument(shownOf([...own, late]).value))
  const honest = savedIn(snapshotOf(own))
  if (whole === null || honest === null) return assert.unreachable()
  const body = bodyOf(whole)
  assert.ok(b4a.equals(chunk(body), whole.bytes), 'as Automerge makes it')
  const at = b4a.indexOf(body, b4a.from(OTHER, 'hex'))
  body.fill(0xdd, at, at + 16)
  const [change] = readChanges(late) ?? []
  const liars = {
    renamed: chunk(body),
    'with a change behind it': b4a.concat([honest.bytes, change?.bytes ?? b4a.alloc(0)]),
    'with a document behind it': b4a.concat([honest.bytes, whole.bytes]),
    'cut short': honest.bytes.slice(0, -1),
    'with a flipped bit': honest.bytes.map((byte, i) =>
      i === honest.bytes.length - 9 ? byte ^ 1 : byte
    )
  }
  for (const [how, bytes] of Object.entries(liars)) {
    const update = b4a.concat([b4a.from([4]), bytes])
    for (const before of [[], own, own.slice(0, 9)]) {
      const doc = new AutomergeDocument<Shape>('')
      shownOf(before, doc)
      const { heads, refused } = shownOf([update], doc)
      assert.equal(heads, shownOf(before).heads, `${how}, onto ${before.length}`)
      const isKnown = how === 'with a flipped bit' && before === own // of which nothing is read
      assert.equal(refused, isKnown ? [] : [0], `${how}, onto ${before.length}`)
    }
  }
})

test.run()
