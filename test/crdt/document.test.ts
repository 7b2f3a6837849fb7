/** Document engines: packing, and the snapshot of what one writer brought in. */
import b4a from 'b4a'
import { deflateSync } from 'fflate/browser'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { decodeUpdate, encodeUpdate } from '../../crdt/index.ts'
import { yjs } from '../../crdt/document/yjs.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'

interface Written {
  readonly writer: number
  readonly bytes: Uint8Array
}

/** Random edits of three writers who now and then hear of each other; everybody's updates in an order of causes. */
function session(random: SeededRandom): readonly Written[] {
  const written: Written[] = []
  const docs = [0, 1, 2].map((writer) => {
    const doc = new Y.Doc()
    doc.clientID = writer + 1
    doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin === null) written.push({ writer, bytes: yjs.pack([update]) })
    })
    return doc
  })
  const heard = [0, 0, 0]
  for (let i = 0; i < 60; i++) {
    const writer = random.below(3)
    const doc = docs[writer]
    if (doc === undefined) continue
    if (random.below(4) > 0) edit(doc, random)
    else {
      const news = written.slice(heard[writer]).filter((each) => each.writer !== writer)
      yjs.apply(
        doc,
        news.map(({ bytes }) => bytes),
        'heard'
      )
      heard[writer] = written.length
    }
  }
  return written
}

function edit(doc: Y.Doc, random: SeededRandom): void {
  const text = doc.getText('t')
  const at = random.below(text.length + 1)
  const what = random.below(6)
  if (what === 0) doc.getMap('m').set(`k${random.below(2)}`, random.below(100))
  else if (what === 1) doc.getMap('m').delete(`k${random.below(2)}`)
  else if (what < 4) text.delete(at, Math.min(random.below(6), text.length - at))
  else text.insert(at, 'abcdefghij'.slice(0, 1 + random.below(9)))
}

function shown(updates: readonly Uint8Array[]): unknown {
  const doc = yjs.create('d')
  assert.equal(yjs.apply(doc, updates, null).refused, [])
  return [doc.getText('t').toJSON(), doc.getMap('m').toJSON()]
}

test('yjs: a snapshot of what one writer brought in says what its updates said, whoever else is there', () => {
  for (let seed = 0; seed < 150; seed++) {
    const random = seededRandom(seed)
    const all = session(random)
    const writer = random.below(3)
    const own = all.filter((each) => each.writer === writer).map(({ bytes }) => bytes)
    const snapshot = yjs.contribution(
      all.map((each) => ({ bytes: each.bytes, isOwn: each.writer === writer }))
    )
    assert.ok(snapshot, `seed ${seed}`)
    const others = all.filter((each) => each.writer !== writer)
    // All the others, none, and logs cut short, as a seal cuts them.
    for (const cut of [others.length, 0, random.below(others.length + 1)]) {
      const rest = others.slice(0, cut).map(({ bytes }) => bytes)
      assert.equal(shown([snapshot, ...rest]), shown([...own, ...rest]), `seed ${seed}, cut ${cut}`)
    }
  }
})

test('yjs: what somebody else deleted is still in a snapshot, what its writer deleted is not', () => {
  const ann = new Y.Doc()
  const updates: Uint8Array[] = []
  ann.on('update', (update: Uint8Array, origin: unknown) => {
    if (origin === null) updates.push(update)
  })
  ann.getText('t').insert(0, `${'kept '.repeat(20)}${'gone '.repeat(20)}`)
  const bob = new Y.Doc()
  Y.applyUpdate(bob, Y.encodeStateAsUpdate(ann))
  const before = Y.encodeStateVector(bob)
  bob.getText('t').delete(0, 100)
  const deletion = Y.encodeStateAsUpdate(bob, before)
  Y.applyUpdate(ann, deletion, 'bob')
  ann.getText('t').delete(0, 100)
  const snapshot = yjs.contribution([
    ...updates.map((update) => ({ bytes: yjs.pack([update]), isOwn: true })),
    { bytes: yjs.pack([deletion]), isOwn: false }
  ])
  assert.ok(snapshot)
  assert.equal(shown([snapshot]), ['kept '.repeat(20), {}])
  assert.ok(!b4a.toString(snapshot, 'latin1').includes('gone'))
})

test('yjs: no snapshot is made while something that its updates stand on is not here', () => {
  const ann = new Y.Doc()
  ann.getText('t').insert(0, 'ann')
  const bob = new Y.Doc()
  Y.applyUpdate(bob, Y.encodeStateAsUpdate(ann))
  const before = Y.encodeStateVector(bob)
  bob.getText('t').insert(1, 'bob')
  const bytes = yjs.pack([Y.encodeStateAsUpdate(bob, before)])
  assert.is(yjs.contribution([{ bytes, isOwn: true }]), null)
})

test('yjs: thousands of updates of several writers, packed together in any order, say what they say one by one', () => {
  const docs = [new Y.Doc(), new Y.Doc()]
  const updates: Uint8Array[] = []
  for (const doc of docs) doc.on('update', (update: Uint8Array) => updates.push(update))
  for (let i = 0; i < 3000; i++) {
    const text = docs[i % 2]!.getText('t')
    if (i % 7 === 6) text.delete((i * 31) % text.length, 1)
    else text.insert((i * 17) % (text.length + 1), 'a')
  }
  const oneByOne = new Y.Doc()
  for (const update of updates) Y.applyUpdate(oneByOne, update)
  const packed = new Y.Doc()
  assert.equal(yjs.apply(packed, [yjs.pack(updates.toReversed())], null).refused, [])
  assert.is(packed.getText('t').toJSON(), oneByOne.getText('t').toJSON())
  assert.equal(Y.encodeStateAsUpdate(packed), Y.encodeStateAsUpdate(oneByOne))
})

test('yjs: a burst is packed smaller than its keystrokes, and says the same', () => {
  const doc = new Y.Doc()
  const updates: Uint8Array[] = []
  doc.on('update', (update: Uint8Array) => updates.push(update))
  for (let i = 0; i < 500; i++) doc.getText('t').insert(i, 'x')
  const bytes = yjs.pack(updates)
  assert.ok(bytes.byteLength < updates.length * 4, `${bytes.byteLength}`)
  assert.equal(shown([bytes]), ['x'.repeat(500), {}])
})

/** Prose, so that deflating pays. */
function prose(words: number): string {
  const random = seededRandom(words)
  const list = ['the', 'hands', 'of', 'many', 'writers', 'meet', 'in', 'one', 'document']
  return Array.from({ length: words }, () => list[random.below(list.length)]).join(' ')
}

test('yjs: what is large is deflated, an update as well as a snapshot, and says the same', () => {
  const doc = new Y.Doc()
  doc.getText('t').insert(0, prose(2000))
  const plain = Y.encodeStateAsUpdateV2(doc)
  const update = yjs.pack([Y.encodeStateAsUpdate(doc)])
  const snapshot = yjs.contribution([{ bytes: update, isOwn: true }])
  for (const packed of [update, snapshot]) {
    assert.ok(packed)
    assert.is(packed[0], 3)
    assert.ok(packed.byteLength < plain.byteLength / 2, `${packed.byteLength}`)
    assert.equal(shown([packed]), [prose(2000), {}])
  }
})

test('yjs: what shrinks more than anybody would let it grow again is stored as it is', () => {
  const doc = new Y.Doc()
  doc.getText('t').insert(0, 'x'.repeat(100_000))
  const packed = yjs.pack([Y.encodeStateAsUpdate(doc)])
  assert.ok(packed[0] !== 3 && packed.byteLength > 100_000)
  assert.equal(shown([packed]), ['x'.repeat(100_000), {}])
})

test('yjs: a bomb is refused before it has grown, and so is what is cut off or no DEFLATE', () => {
  const state = new Y.Doc()
  state.getText('t').insert(0, prose(2000))
  const whole = yjs.pack([Y.encodeStateAsUpdate(state)])
  const bomb = b4a.concat([b4a.from([3]), deflateSync(new Uint8Array(8 * 1024 * 1024))])
  const bad = [bomb, whole.subarray(0, -5), b4a.from([3]), b4a.from([3, 7, 7, 7])]
  const doc = yjs.create('d')
  const { refused } = yjs.apply(doc, [...bad, whole], null)
  assert.equal(refused, [0, 1, 2, 3])
  assert.is(doc.getText('t').toJSON(), prose(2000))
})

test('yjs: an update is taken alone when all that it stands on is here, and nothing of it waits in the document', () => {
  const ann = new Y.Doc()
  const updates: Uint8Array[] = []
  ann.on('update', (update: Uint8Array) => updates.push(yjs.pack([update])))
  ann.getText('t').insert(0, 'one ')
  ann.getText('t').insert(4, 'two')
  ann.getText('t').delete(0, 2)
  ann.getMap('m').set('k', new Y.Array())
  const [one, two, gone, map] = updates
  assert.ok(one && two && gone && map)
  const doc = yjs.create('d')
  const take = (update: Uint8Array) => yjs.take(doc, update, null).outcome
  assert.is(take(two), 'early')
  assert.is(take(gone), 'early')
  assert.is(take(b4a.from([1, 9, 9])), 'refused')
  assert.equal([doc.store.pendingStructs, doc.store.pendingDs], [null, null])
  assert.equal([one, one, two, gone, gone, map, two].map(take), [
    'done',
    'known',
    'done',
    'done',
    'known',
    'done',
    'known'
  ])
  assert.equal(Y.encodeStateAsUpdate(doc), Y.encodeStateAsUpdate(ann))
})

test('yjs: whatever an update needs of another is among what it refers to and the other brings', () => {
  for (let seed = 0; seed < 5; seed++) {
    const all = session(seededRandom(seed))
    all.forEach(({ bytes, writer }, i) => {
      const others = all.slice(0, i).filter((each) => each.writer !== writer)
      const named = others.filter((other) => isNamed(bytes, other.bytes))
      // With all of its own writer's and what it names, and what these name, it is taken.
      const ground = closure(all.slice(0, i), [bytes, ...named.map((each) => each.bytes)], writer)
      const doc = yjs.create('d')
      yjs.apply(doc, ground, null)
      const { outcome } = yjs.take(doc, bytes, null) // what two deleted is known
      assert.ok(outcome === 'done' || outcome === 'known', `seed ${seed}, update ${i}: ${outcome}`)
    })
  }
})

function isNamed(update: Uint8Array, other: Uint8Array): boolean {
  const brought = yjs.brings(other)
  return yjs
    .refersTo(update)
    .some(({ source, start, end }) =>
      brought.some((span) => span.source === source && span.start < end && start < span.end)
    )
}

/** What was written before of one writer, and of the others what any of it names, in the order in which it was written. */
function closure(
  before: readonly Written[],
  wanted: readonly Uint8Array[],
  writer: number
): readonly Uint8Array[] {
  const needed = new Set<Uint8Array>(wanted)
  for (const each of before.toReversed()) {
    const isNeeded = each.writer === writer || [...needed].some((one) => isNamed(one, each.bytes))
    // Of one source, what came earlier is needed by what came later.
    const isBefore = before.some(
      (one) => needed.has(one.bytes) && one.writer === each.writer && one !== each
    )
    if (isNeeded || isBefore) needed.add(each.bytes)
  }
  return before.filter(({ bytes }) => needed.has(bytes)).map(({ bytes }) => bytes)
}

test('document update: what is large goes into several payloads, and reads back', () => {
  const bytes = b4a.alloc(2 * 1024 * 1024 + 1, 7)
  const pieces = encodeUpdate(1, 'snapshot', bytes).map((payload) => decodeUpdate(payload))
  assert.equal(
    pieces.map((piece) => [piece?.engine, piece?.kind, piece?.isContinued]),
    [
      [1, 'snapshot', true],
      [1, 'snapshot', true],
      [1, 'snapshot', false]
    ]
  )
  assert.equal(b4a.concat(pieces.map((piece) => piece?.bytes ?? b4a.alloc(0))), bytes)
  assert.equal(encodeUpdate(1, 'update', b4a.from([5, 6])), [b4a.from([1, 0, 5, 6])]) // golden
  assert.equal(encodeUpdate(1, 'quote', b4a.from([5])), [b4a.from([1, 4, 5])]) // golden
  assert.is(decodeUpdate(b4a.from([1, 4, 5]))?.kind, 'quote')
  assert.equal([b4a.from([]), b4a.from([1]), b4a.from([1, 5, 0])].map(decodeUpdate), [
    null,
    null,
    null
  ])
})

test.run()
