/** Yjs and two states of a document: what every engine must do, and what is its own. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { yjs } from '../../crdt/document/yjs.ts'
import { documentTimeContract } from '../contract/document-time.ts'
import { textWithout } from '../oracle/document-without.ts'
import { bytesOf, session, type Written } from '../support/document-session.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'

documentTimeContract<Y.Doc>({
  engine: yjs,
  edit(doc, random) {
    const text = doc.getText('t')
    const list = doc.getArray<unknown>('list')
    const page = doc.getXmlFragment('page')
    const at = random.below(text.length + 1)
    const rest = text.length - at
    const edits: readonly (() => void)[] = [
      () => void doc.getMap('m').set(`k${random.below(3)}`, random.below(100)),
      () => doc.getMap('m').delete(`k${random.below(3)}`),
      () => text.delete(at, Math.min(random.below(6), rest)),
      () => text.format(at, Math.min(random.below(6), rest), formatOf(random)),
      () => text.insert(at, 'bold', { bold: true }),
      () => text.insertEmbed(at, { image: random.below(9) }),
      () => list.insert(random.below(list.length + 1), [random.below(9), { deep: [1] }]),
      () => list.delete(0, Math.min(1, list.length)),
      () => void doc.getMap('m').set('nested', mapWith(random)),
      () => void nestedIn(doc)?.set(`n${random.below(2)}`, random.below(9)),
      () => page.insert(random.below(page.length + 1), [elementWith(random)]),
      () => page.delete(0, Math.min(1, page.length)),
      () => writeInPage(page, random)
    ]
    const what = random.below(2 * edits.length)
    if (what < edits.length) edits[what]?.()
    else text.insert(at, 'abcdefghij'.slice(0, 1 + random.below(9)))
  },
  says: (doc) => [
    joined(doc.getText('t').toDelta()),
    sorted(doc.getMap('m').toJSON()),
    doc.getArray('list').toJSON(),
    doc.getXmlFragment('page').toJSON()
  ],
  textAt: (doc, [root = '', ...path]) => plainText(typeAt(doc, String(root), path))
})

/** Yjs begins a new step where a format is said again. */
function joined(delta: readonly Step[]): readonly Step[] {
  const steps: Step[] = []
  for (const { insert, attributes = {} } of delta) {
    const last = steps.at(-1)
    const isMore =
      typeof insert === 'string' &&
      typeof last?.insert === 'string' &&
      JSON.stringify(sorted(last.attributes)) === JSON.stringify(sorted(attributes))
    if (isMore) steps.splice(-1, 1, { insert: `${String(last.insert)}${insert}`, attributes })
    else steps.push({ insert, attributes })
  }
  return steps.map((step) => ({ ...step, attributes: sorted(step.attributes) }))
}

interface Step {
  readonly insert: unknown
  readonly attributes?: unknown
}

function formatOf(random: SeededRandom): Record<string, unknown> {
  return random.below(2) === 0
    ? { bold: random.below(2) === 0 ? true : null }
    : { size: random.below(3) }
}

function mapWith(random: SeededRandom): Y.Map<unknown> {
  return new Y.Map<unknown>([['n0', random.below(9)]])
}

function nestedIn(doc: Y.Doc): Y.Map<unknown> | null {
  const nested = doc.getMap('m').get('nested')
  return nested instanceof Y.Map ? nested : null
}

function elementWith(random: SeededRandom): Y.XmlElement {
  const element = new Y.XmlElement('p')
  element.setAttribute('id', `${random.below(9)}`)
  element.insert(0, [new Y.XmlText('words')])
  return element
}

function writeInPage(page: Y.XmlFragment, random: SeededRandom): void {
  if (page.length === 0) return
  const element = page.get(random.below(page.length))
  if (!(element instanceof Y.XmlElement)) return
  if (random.below(2) === 0) element.setAttribute('id', `${random.below(9)}`)
  const [text] = element.toArray()
  if (text instanceof Y.XmlText) text.insert(random.below(text.length + 1), 'more')
}

/** By the path that a difference tells. */
function typeAt(doc: Y.Doc, root: string, path: readonly (string | number)[]): unknown {
  const roots: Record<string, unknown> = {
    t: doc.getText('t'),
    m: doc.getMap('m'),
    list: doc.getArray('list'),
    page: doc.getXmlFragment('page')
  }
  return path.reduce<unknown>((type, key) => {
    if (type instanceof Y.Map) return type.get(String(key))
    if (type instanceof Y.Array || type instanceof Y.XmlFragment) return type.get(Number(key))
    return undefined
  }, roots[root])
}

function plainText(type: unknown): string {
  if (!(type instanceof Y.Text)) return ''
  const steps = type.toDelta() as readonly { readonly insert: unknown }[]
  return steps.map(({ insert }) => (typeof insert === 'string' ? insert : '\ufffc')).join('')
}

/** Maps have no order. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, each]) => [key, sorted(each)])
}

function copyOf(doc: Y.Doc): Y.Doc {
  const copy = new Y.Doc()
  Y.applyUpdateV2(copy, Y.encodeStateAsUpdateV2(doc))
  return copy
}

test('yjs: restoring leaves cursors and what others write beside them in their places', () => {
  const doc = new Y.Doc()
  const text = doc.getText('t')
  text.insert(0, 'one two three')
  const then = copyOf(doc)
  text.delete(3, 4)
  text.insert(0, 'zero ')
  const cursor = Y.createRelativePositionFromTypeIndex(text, text.toJSON().indexOf('three'))
  const other = copyOf(doc)
  yjs.time.restore(doc, then)
  assert.is(text.toJSON(), 'one two three')
  assert.is(Y.createAbsolutePositionFromRelativePosition(cursor, doc)?.index, 8)
  other.getText('t').insert(other.getText('t').length, ' four')
  Y.applyUpdate(doc, Y.encodeStateAsUpdate(other))
  assert.is(text.toJSON(), 'one two three four')
})

test('yjs: an undo manager takes a restoring back, in one step', () => {
  const doc = new Y.Doc()
  const text = doc.getText('t')
  text.insert(0, 'one')
  const then = copyOf(doc)
  text.delete(0, 3)
  text.insert(0, 'two')
  const client = doc.clientID
  const undo = new Y.UndoManager(text)
  yjs.time.restore(doc, then)
  assert.is(text.toJSON(), 'one')
  assert.is(doc.clientID, client)
  undo.undo()
  assert.is(text.toJSON(), 'two')
  assert.is(undo.canUndo(), false)
  undo.redo()
  assert.is(text.toJSON(), 'one')
  undo.destroy()
})

test('yjs: what is the same already is not written again', () => {
  const doc = new Y.Doc()
  const text = doc.getText('t')
  text.insert(0, 'one two three')
  const then = copyOf(doc)
  text.delete(4, 4)
  let updates = 0
  doc.on('update', () => updates++)
  yjs.time.restore(doc, then)
  assert.is(text.toJSON(), 'one two three')
  const told = updates
  for (let i = 0; i < 3; i++) yjs.time.restore(doc, then)
  assert.is(text.toJSON(), 'one two three')
  assert.is(updates, told)
})

test('yjs: letters of two halves stay whole', () => {
  const doc = new Y.Doc()
  const text = doc.getText('t')
  text.insert(0, 'a \u{1f600}\u{1f601} b')
  const then = copyOf(doc)
  text.delete(2, 4)
  text.insert(2, '\u{1f602}\u{1fa01}')
  yjs.time.restore(doc, then)
  assert.is(text.toJSON(), 'a \u{1f600}\u{1f601} b')
})

test('yjs: what was written again does not come back once more, when who deleted it is undone later', () => {
  const doc = new Y.Doc()
  const updates: Uint8Array[] = []
  doc.on('update', (update: Uint8Array) => updates.push(yjs.pack([update])))
  const text = doc.getText('t')
  text.insert(0, 'one two three')
  const then = copyOf(doc)
  const written = updates.length
  text.delete(4, 4)
  const deleted = updates.splice(written)
  yjs.time.restore(doc, then)
  assert.is(yjs.time.without(updates, deleted).doc.getText('t').toJSON(), 'one two three')
})

test('yjs: without one writer’s later updates a text shows what the slow twin says, and reverting makes it so', () => {
  const typing = {
    engine: yjs,
    edit(doc: Y.Doc, random: SeededRandom) {
      const text = doc.getText('t')
      const at = random.below(text.length + 1)
      if (random.below(3) === 0) text.delete(at, Math.min(random.below(6), text.length - at))
      else text.insert(at, 'abcdefghij'.slice(0, 1 + random.below(9)))
    }
  }
  for (let seed = 0; seed < 60; seed++) {
    const random = seededRandom(seed)
    const all = session(typing, random, 80)
    const writer = random.below(3)
    const after = random.below(all.length + 1)
    const isLeft = (each: Written, i: number) => each.writer === writer && i >= after
    const [given, left] = [all.filter((each, i) => !isLeft(each, i)), all.filter(isLeft)]
    const { doc, kept } = yjs.time.without(bytesOf(given), bytesOf(left))
    const raw = (written: readonly Written[]) => written.map(({ update }) => update)
    const expected = textWithout('t', raw(given), raw(left))
    assert.is(doc.getText('t').toJSON(), expected, `seed ${seed}`)
    assert.is(kept, 0)
    const [live, now] = [yjs.create('d'), yjs.create('d')]
    for (const each of [live, now]) yjs.apply(each, bytesOf(all), null)
    live.getText('t').insert(0, 'NEWER') // than what is known of
    yjs.time.restore(live, doc, now)
    const reverted = live.getText('t').toJSON()
    assert.ok(reverted.includes('NEWER'))
    assert.is(reverted.replace('NEWER', ''), expected, `seed ${seed}: reverted`)
  }
})

test('yjs: the application decides afterwards what a type is that nobody had asked for', () => {
  const made = new Y.Doc()
  made.getXmlFragment('page').insert(0, [new Y.XmlElement('p')])
  const then = copyOf(made)
  made.getXmlFragment('page').delete(0, 1)
  const doc = copyOf(made)
  yjs.time.restore(doc, then)
  assert.is(doc.getXmlFragment('page').toJSON(), '<p></p>')
})

test('yjs: a difference tells values of keys, and what came into nested types', () => {
  const doc = new Y.Doc()
  const map = doc.getMap<unknown>('m')
  map.set('a', 1)
  map.set('inner', new Y.Text('one'))
  const before = copyOf(doc)
  map.set('a', 2)
  map.set('b', [1])
  const inner = map.get('inner')
  if (inner instanceof Y.Text) inner.insert(3, ' two')
  assert.equal(yjs.time.diff(before, doc), [
    { type: 'value', path: ['m', 'a'], before: 1, after: 2 },
    { type: 'value', path: ['m', 'b'], before: undefined, after: [1] },
    {
      type: 'text',
      path: ['m', 'inner'],
      changes: [{ kind: 'inserted', at: 3, text: ' two', source: doc.clientID }]
    }
  ])
})

test('yjs: a document nested a thousand times is compared and restored', () => {
  const doc = new Y.Doc()
  let inner = doc.getMap<unknown>('m')
  for (let i = 0; i < 1000; i++) {
    const next = new Y.Map<unknown>()
    inner.set('in', next)
    inner = next
  }
  const before = copyOf(doc)
  inner.set('end', 1)
  assert.is(yjs.time.diff(before, doc).length, 1)
  yjs.time.restore(doc, before)
  assert.equal(yjs.time.diff(before, doc), [])
})

test.run()
