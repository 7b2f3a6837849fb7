/** Seals in Yjs documents: what is built without sealed updates shows what a document shows that had them and is struck. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { canStrike, neededOf, spansOf, strike } from '../../crdt/document/yjs-seal.ts'
import { shownIn } from '../../crdt/document/yjs-shown.ts'
import { encode, runsOf, type Decoded } from '../../crdt/document/yjs-update.ts'
import { Spans } from '../../crdt/document/spans.ts'
import { seededRandom, shuffled, type SeededRandom } from '../support/random.ts'

interface Written {
  readonly writer: number
  readonly update: Uint8Array
}

const WRITERS = 3

/** Random edits of writers who now and then hear of each other; everybody's updates, in an order of causes. */
function session(random: SeededRandom, isRich: boolean): readonly Written[] {
  const written: Written[] = []
  const heard = Array.from({ length: WRITERS }, () => 0)
  const docs = heard.map((_, writer) => {
    const doc = new Y.Doc()
    doc.clientID = writer + 1
    doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin === null) written.push({ writer, update })
    })
    return doc
  })
  for (let i = 0; i < 50; i++) {
    const writer = random.below(WRITERS)
    const doc = docs[writer]!
    if (random.below(3) > 0) edit(doc, random, isRich)
    else {
      const news = written.slice(heard[writer])
      for (const each of news) if (each.writer !== writer) Y.applyUpdate(doc, each.update, 'heard')
      heard[writer] = written.length
    }
  }
  return written
}

function edit(doc: Y.Doc, random: SeededRandom, isRich: boolean): void {
  const text = doc.getText('t')
  const at = random.below(text.length + 1)
  const what = random.below(isRich ? 9 : 6)
  if (what === 6) doc.getMap('m').set(`k${random.below(2)}`, random.below(100))
  else if (what === 7) doc.getMap('m').delete(`k${random.below(2)}`)
  else if (what === 8) editNested(doc.getArray<Y.Text>('a'), random)
  else if (what < 2) text.delete(at, Math.min(random.below(6), text.length - at))
  else if (what === 2)
    text.format(at, Math.min(3, text.length - at), { bold: random.below(2) === 0 })
  else text.insert(at, 'abcdefghij'.slice(0, 1 + random.below(9)))
}

/** A text of somebody's, in which others write. */
function editNested(array: Y.Array<Y.Text>, random: SeededRandom): void {
  const text = array.length === 0 ? undefined : array.get(random.below(array.length))
  if (text === undefined || random.below(3) === 0)
    array.insert(random.below(array.length + 1), [new Y.Text('n')])
  else text.insert(random.below(text.length + 1), 'xyz')
}

interface Cut {
  readonly admitted: readonly Decoded[]
  readonly past: readonly Decoded[]
  /** Past ones that are brought in. */
  readonly needed: readonly Decoded[]
  readonly struck: Spans
}

/** One writer's updates from some point on are past its seal. */
function cut(all: readonly Written[], sealed: number, from: number): Cut {
  const isPast = ({ writer }: Written, i: number) => writer === sealed && i >= from
  const decoded = (each: Written) => Y.decodeUpdate(each.update)
  const admitted = all.filter((each, i) => !isPast(each, i)).map(decoded)
  const past = all.filter(isPast).map(decoded)
  const needed = neededOf(admitted, past).map((i) => past[i]!)
  return { admitted, past, needed, struck: new Spans(past.flatMap((each) => [...spansOf(each)])) }
}

function build(all: readonly Written[], sealed: number, from: number, random: SeededRandom): Y.Doc {
  const { needed, struck } = cut(all, sealed, from)
  const updates = [
    ...all
      .filter(({ writer }, i) => writer !== sealed || i < from)
      .map(({ update }) => Y.convertUpdateFormatV1ToV2(update)),
    ...needed.map(({ structs }) => encode(runsOf(structs), null))
  ]
  const doc = new Y.Doc()
  for (const update of shuffled(updates, random)) Y.applyUpdateV2(doc, update)
  strike(doc, struck)
  return doc
}

function shown(doc: Y.Doc): unknown {
  const texts = doc.getArray<Y.Text>('a').map((text) => text.toDelta() as unknown)
  return [doc.getText('t').toDelta(), doc.getMap('m').toJSON(), texts, shownIn(doc)]
}

let taken = 0
let strikable = 0

for (const isRich of [false, true]) {
  const kind = isRich ? 'maps and nested texts' : 'one text'
  test(`seal: whoever builds a document of ${kind} without what was sealed shows the same, and nothing admitted waits`, () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = seededRandom(seed)
      const all = session(random, isRich)
      const sealed = random.below(WRITERS)
      const from = random.below(all.length + 1)
      const [one, other] = [build(all, sealed, from, random), build(all, sealed, from, random)]
      assert.equal(shown(one), shown(other), `seed ${seed}`)
      assert.is(one.store.pendingStructs, null, `seed ${seed}`)
      taken += cut(all, sealed, from).needed.length
    }
  })

  test(`seal: a live document of ${kind} that is struck shows what one shows that is built anew`, () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = seededRandom(seed)
      const all = session(random, isRich)
      const sealed = random.below(WRITERS)
      const from = random.below(all.length + 1)
      const { past, struck } = cut(all, sealed, from)
      if (!past.every((update) => canStrike(update, struck))) continue
      strikable++
      const live = new Y.Doc()
      for (const { update } of all) Y.applyUpdate(live, update)
      strike(live, struck)
      assert.equal(shown(live), shown(build(all, sealed, from, random)), `seed ${seed}`)
    }
  })
}

test('seal: some updates past a seal were needed, and some seals could be met by striking', () => {
  assert.ok(taken > 40, `${taken}`)
  assert.ok(strikable > 15, `${strikable}`)
})

test('seal: no undo brings sealed text back, whoever had deleted it', () => {
  const ann = new Y.Doc()
  const bob = new Y.Doc()
  ann.getText('t').insert(0, 'ann')
  Y.applyUpdate(bob, Y.encodeStateAsUpdate(ann), 'heard')
  const before = Y.encodeStateVector(bob)
  bob.getText('t').insert(3, ' and bob')
  const sealed = Y.encodeStateAsUpdate(bob, before)
  Y.applyUpdate(ann, sealed, 'heard')
  const undo = new Y.UndoManager(ann.getText('t'))
  ann.getText('t').delete(1, 8) // Ann deletes some of her own and some of Bob's
  assert.is(ann.getText('t').toJSON(), 'aob')
  strike(ann, spansOf(Y.decodeUpdate(sealed)))
  assert.is(ann.getText('t').toJSON(), 'a')
  undo.undo()
  assert.is(ann.getText('t').toJSON(), 'ann')
  undo.redo()
  assert.is(ann.getText('t').toJSON(), 'a')
})

test('seal: striking a container leaves it where something admitted stands in it', () => {
  const bob = new Y.Doc()
  const [own, shared] = [new Y.Text('bob'), new Y.Text('both')]
  bob.getArray<Y.Text>('a').push([own, shared])
  const sealed = Y.encodeStateAsUpdate(bob)
  const ann = new Y.Doc()
  Y.applyUpdate(ann, sealed)
  ann.getArray<Y.Text>('a').get(1).insert(4, ' ann')
  strike(ann, spansOf(Y.decodeUpdate(sealed)))
  assert.equal(ann.getArray('a').toJSON(), [' ann'])
})

test.run()
