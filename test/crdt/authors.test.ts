/** Authors of documents: nobody writes under another's source, and whoever has the same updates counts the same. */
import b4a from 'b4a'
import type { State } from 'compact-encoding'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { Authors, judge, type Authored } from '../../crdt/document/authors.ts'
import { Minutes } from '../../crdt/document/minutes.ts'
import { yjs } from '../../crdt/document/yjs.ts'
import type { Source } from '../../crdt/document/spans.ts'
import { seededRandom, shuffled, type SeededRandom } from '../support/random.ts'

const core = (i: number) => b4a.alloc(32, i)

interface Change {
  readonly source: number
  readonly onto?: readonly Uint8Array[]
  readonly edit: (doc: Y.Doc) => void
}

/** What an edit under a source says, made on what is there. */
function changed({ source, onto = [], edit }: Change): Uint8Array {
  const doc = new Y.Doc()
  yjs.apply(doc, onto, null)
  const before = Y.encodeStateVector(doc)
  yjs.writeAs(doc, source)
  edit(doc)
  return yjs.pack([Y.encodeStateAsUpdate(doc, before)])
}

const types =
  (text: string, at = 0) =>
  (doc: Y.Doc) =>
    doc.getText('t').insert(at, text)

function authored(by: number, bytes: Uint8Array, options: Partial<Authored> = {}): Authored {
  const stamp = { ms: by, counter: 0, tag: b4a.alloc(8, by) }
  const defaults = { number: 0, stamp, derived: new Map<Source, number>(), isImport: false }
  const kind = 'update'
  return { core: core(by), ...defaults, kind, minutes: new Minutes(), bytes, ...options }
}

function shown(updates: readonly Authored[]): unknown {
  const { updates: judged } = judge(yjs, updates)
  const doc = yjs.create('d')
  yjs.apply(
    doc,
    judged.map(({ bytes }) => bytes),
    null
  )
  return shownOf(doc)
}

function shownOf(doc: Y.Doc): unknown {
  return [doc.getText('t').toDelta(), doc.store.pendingStructs === null]
}

test('authors: an update under a source that is not its writer’s is refused, the rest counts', () => {
  const honest = authored(1, changed({ source: 11, edit: types('ann') }), {
    derived: new Map([[11, 1]])
  })
  const forged = authored(2, changed({ source: 11, edit: types('not ann') }), {
    derived: new Map([[22, 1]])
  })
  const { refused, updates } = judge(yjs, [forged, honest])
  assert.equal(refused, [{ update: forged, reason: 'forged' }])
  assert.equal(
    updates.map(({ update }) => update),
    [honest]
  )
})

test('authors: of two logs from which one source derives, the higher rank counts, whatever comes first', () => {
  const one = authored(1, changed({ source: 7, edit: types('one') }), {
    derived: new Map([[7, 1]])
  })
  const other = authored(2, changed({ source: 7, edit: types('other') }), {
    derived: new Map([[7, 1]])
  })
  for (const updates of [
    [one, other],
    [other, one]
  ]) {
    const { refused } = judge(yjs, updates)
    assert.equal(refused, [{ update: other, reason: 'taken' }])
  }
})

test('authors: an import brings what nobody proves, and leaves out what its author does', () => {
  const ann = changed({ source: 11, edit: types('ann') })
  const both = changed({ source: 99, onto: [ann], edit: types(' and old', 3) })
  // What is imported claims to have letters of Ann's, and has other ones.
  const lie = changed({ source: 11, edit: types('nna') })
  const whole = yjs.pack([both, lie].map((each) => Y.convertUpdateFormatV2ToV1(asV2(each))))
  const imported = authored(2, whole, { isImport: true })
  const proven = authored(1, ann, { derived: new Map([[11, 1]]) })
  assert.equal(shown([imported, proven]), [[{ insert: 'ann and old' }], true])
  assert.equal(shown([proven, imported]), [[{ insert: 'ann and old' }], true])
})

test('authors: the same document imported by two devices is there once', () => {
  const old = changed({ source: 99, edit: types('old') })
  const longer = yjs.pack([
    Y.convertUpdateFormatV2ToV1(asV2(old)),
    Y.convertUpdateFormatV2ToV1(asV2(changed({ source: 99, onto: [old], edit: types('er', 3) })))
  ])
  const imports = [old, longer].map((bytes, i) => authored(i + 1, bytes, { isImport: true }))
  assert.equal(shown(imports), [[{ insert: 'older' }], true])
})

test('authors: any order in which updates come gives the same document, lies included', () => {
  for (let seed = 0; seed < 100; seed++) {
    const random = seededRandom(seed)
    const updates = randomUpdates(seed)
    assert.equal(shown(shuffled(updates, random)), shown(updates), `seed ${seed}`)
  }
})

/** Three writers, some of whom say things twice, import what is not theirs, or forge. */
function randomUpdates(seed: number, honesty = 1): readonly Authored[] {
  const random = seededRandom(seed)
  const all: Authored[] = []
  for (let i = 0; i < 12; i++) {
    const by = 1 + random.below(3)
    const isLie = random.below(4 * honesty) === 0
    const source = isLie ? 10 + random.below(5) : 10 + by
    const known = all.slice(0, random.below(all.length + 1)).map(({ bytes }) => bytes)
    const onto = isLie ? known.slice(0, random.below(3)) : [...known, ...ofWriter(all, by)]
    const edit = (doc: Y.Doc) => types(`${by}${i}`, random.below(doc.getText('t').length + 1))(doc)
    const bytes = changed({ source, onto, edit })
    const stamp = { ms: random.below(9) * 60_000, counter: 0, tag: b4a.alloc(8, by) }
    const isImport = random.below(5 * honesty) === 0
    all.push(
      authored(by, bytes, {
        number: i,
        stamp,
        derived: new Map([10 + by, 14].map((source) => [source, source])),
        isImport
      })
    )
  }
  return all
}

function ofWriter(all: readonly Authored[], by: number): readonly Uint8Array[] {
  return ofWriterWhole(all, by).map(({ bytes }) => bytes)
}

function ofWriterWhole(all: readonly Authored[], by: number): readonly Authored[] {
  return all.filter((each) => each.core[0] === by)
}

/** A packed update of Yjs, without what says how it is packed. */
function asV2(packed: Uint8Array): Uint8Array {
  return packed[0] === 1 ? Y.convertUpdateFormatV1ToV2(packed.subarray(1)) : packed.subarray(1)
}

test('authors: who judges them one by one, as they come, shows the same, or is told that it may not', () => {
  let contested = 0
  for (let seed = 0; seed < 200; seed++) {
    const random = seededRandom(seed)
    const updates = arriving(randomUpdates(seed, 1 + (seed % 20)), random)
    const authors = new Authors()
    const doc = yjs.create('d')
    const isUndisputed = updates.every((update) => {
      const bytes = authors.judge(yjs, update)
      if (bytes === 'contested' || !yjs.agrees(doc, update.bytes)) return false
      if (bytes !== 'forged') yjs.apply(doc, [bytes], null)
      return true
    })
    if (isUndisputed) assert.equal(shownOf(doc), shown(updates), `seed ${seed}`)
    else contested++
  }
  assert.ok(contested > 20 && contested < 180, `${contested} of 200 contested`)
})

test('authors: when each part was written is the same in any order, and after a row was kept', () => {
  for (let seed = 0; seed < 50; seed++) {
    const random = seededRandom(seed)
    const updates = randomUpdates(seed)
    const { authors } = judge(yjs, updates)
    const others = judge(yjs, shuffled(updates, random)).authors
    assert.equal(datesIn(others), datesIn(authors), `seed ${seed}`)
    assert.equal(datesIn(keptRow(authors)), datesIn(authors), `seed ${seed}`)
    assert.equal([...keptRow(authors)], [...authors], `seed ${seed}`)
  }
})

/** What stands in one log arrives in its order. */
function arriving(updates: readonly Authored[], random: SeededRandom): readonly Authored[] {
  const left = [1, 2, 3].map((by) => [...ofWriterWhole(updates, by)])
  return shuffled(updates, random).map(({ core: [by = 0] }) => left[by - 1]!.shift()!)
}

function datesIn({ minutes }: Authors): readonly unknown[] {
  return [...minutes].sort((a, b) => Number(a.source) - Number(b.source) || a.start - b.start)
}

function keptRow(authors: Authors): Authors {
  const size: State = { start: 0, end: 0, buffer: null }
  authors.preencode(size)
  const state: State = { start: 0, end: size.end, buffer: b4a.alloc(size.end) }
  authors.encode(state)
  assert.is(state.start, state.end)
  return Authors.decode({ ...state, start: 0 })
}

test.run()
