/** Automerge and two states of a document: what every engine must do, and what is its own. */
import * as A from '@automerge/automerge'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { automerge } from '../../crdt/document/automerge.ts'
import { AutomergeDocument } from '../../crdt/document/automerge-document.ts'
import { documentTimeContract } from '../contract/document-time.ts'
import type { SeededRandom } from '../support/random.ts'

interface Shape {
  t?: string
  m?: Record<string, number>
  list?: (number | string)[]
}

type Doc = AutomergeDocument<Shape>

documentTimeContract({
  engine: automerge,
  edit(doc, random: SeededRandom) {
    const typed = doc as Doc
    typed.change((draft) => {
      draft.t ??= ''
      const at = random.below(draft.t.length + 1)
      const what = random.below(8)
      const key = `k${random.below(3)}`
      if (what === 0) (draft.m ??= {})[key] = random.below(100)
      else if (what === 1) delete draft.m?.[key]
      else if (what === 2) (draft.list ??= []).splice(0, 0, random.below(9))
      else if (what === 3) draft.list?.splice(0, 1)
      else if (what === 4)
        A.splice(draft, ['t'], at, Math.min(random.below(6), draft.t.length - at))
      else A.splice(draft, ['t'], at, 0, 'abcdefghij'.slice(0, 1 + random.below(9)))
    })
  },
  says: (doc) => sorted(A.toJS(doc.value)),
  textAt: (doc, path) =>
    String(path.reduce<unknown>((at, key) => Reflect.get(Object(at), key), doc.value))
})

/** Maps have no order. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return entries.map(([key, each]) => [key, sorted(each)])
}

test('automerge: what differs in maps and lists is told, and goes back', () => {
  const doc: Doc = new AutomergeDocument('d')
  doc.change((draft) => Object.assign(draft, { t: 'one', m: { a: 1, b: 2 }, list: [1, 2, 3] }))
  const then: Doc = new AutomergeDocument('d')
  then.merge(doc.value)
  doc.change((draft) => {
    delete draft.m?.['a']
    if (draft.m !== undefined) draft.m['c'] = 3
    draft.list?.splice(1, 1, 'x', 'y')
  })
  const differences = automerge.time.diff(then, doc)
  const by = { source: A.getActorId(doc.value) }
  assert.equal(
    differences.find(({ type }) => type === 'list'),
    {
      type: 'list',
      path: ['list'],
      changes: [
        { kind: 'inserted', at: 1, values: ['x', 'y'], ...by },
        { kind: 'deleted', at: 3, values: [2], source: null }
      ]
    }
  )
  const values = differences.filter(({ type }) => type === 'value')
  assert.equal(
    new Set(values),
    new Set([
      { type: 'value', path: ['m', 'a'], before: 1, after: undefined },
      { type: 'value', path: ['m', 'c'], before: undefined, after: 3 }
    ])
  )
  automerge.time.restore(doc, then)
  assert.equal(A.toJS(doc.value), A.toJS(then.value))
})

test.run()
