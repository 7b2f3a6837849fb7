/** One random edit each of the types that the tester compares: an array, a map, a text and an XML element. */
import * as Y from 'yjs'
import type { SeededRandom } from '../../support/random.ts'

type Edit = (doc: Y.Doc, random: SeededRandom) => void

const VALUES = [0, 1.5, -7, true, null, '', 'größer 😀', { a: [1, { b: null }] }, [1, 'two']]
const FORMATS = [{ bold: true }, { bold: null }, { italic: true }, { color: '#30bced' }]

function pick<T>(random: SeededRandom, values: readonly [T, ...T[]]): T {
  return values[random.below(values.length)] ?? values[0]
}

function value(random: SeededRandom) {
  return VALUES[random.below(VALUES.length)] ?? null
}

/** A place, and how much there may be taken away at it. */
function span(random: SeededRandom, length: number, most: number) {
  const at = random.below(length + 1)
  return { at, count: Math.min(random.below(most + 1), length - at) }
}

function nested(random: SeededRandom): Y.Array<number> | Y.Map<unknown> {
  return random.below(2) === 0
    ? Y.Array.from([1, 2, 3, 4])
    : new Y.Map<unknown>([
        ['somekey', value(random)],
        ['other', 'x']
      ])
}

const edits: readonly [Edit, ...Edit[]] = [
  (doc, random) => {
    const array = doc.getArray('array')
    const { at } = span(random, array.length, 0)
    array.insert(
      at,
      Array.from({ length: 1 + random.below(4) }, () => value(random))
    )
  },
  (doc, random) => {
    const array = doc.getArray('array')
    array.insert(span(random, array.length, 0).at, [nested(random)])
  },
  (doc, random) => {
    const array = doc.getArray('array')
    const { at, count } = span(random, array.length, 3)
    const inner = array.get(at)
    if (inner instanceof Y.Array && inner.length > 0) inner.delete(0, 1)
    else if (inner instanceof Y.Map) inner.set('somekey', value(random))
    else array.delete(at, count)
  },
  (doc, random) => {
    const key = pick(random, ['one', 'two', 'three'])
    doc.getMap('map').set(key, random.below(3) === 0 ? nested(random) : value(random))
  },
  (doc, random) => doc.getMap('map').delete(pick(random, ['one', 'two', 'three'])),
  (doc, random) => {
    const text = doc.getText('text')
    const { at } = span(random, text.length, 0)
    const inserted = pick(random, ['a', 'word ', 'some more words ', '\n'])
    if (random.below(3) === 0) text.insert(at, inserted, pick(random, [{ bold: true }, {}]))
    else text.insert(at, inserted)
  },
  (doc, random) => {
    const text = doc.getText('text')
    text.insertEmbed(span(random, text.length, 0).at, { image: `${random.below(9)}.png` })
  },
  (doc, random) => {
    const text = doc.getText('text')
    const { at, count } = span(random, text.length, 8)
    if (random.below(2) === 0) text.delete(at, count)
    else text.format(at, count, FORMATS[random.below(FORMATS.length)] ?? {})
  },
  (doc, random) => {
    const xml = doc.get('xml', Y.XmlElement)
    const { at, count } = span(random, xml.length, 2)
    switch (random.below(4)) {
      case 0:
        return xml.insert(at, [new Y.XmlElement('p'), new Y.XmlText('text')])
      case 1:
        return xml.setAttribute(pick(random, ['class', 'id']), `${random.below(100)}`)
      case 2:
        return xml.removeAttribute(pick(random, ['class', 'id']))
      default:
        return xml.delete(at, count)
    }
  }
]

/** Now and then several edits are one transaction. */
export function editAtRandom(doc: Y.Doc, random: SeededRandom): void {
  const some = 1 + (random.below(5) === 0 ? random.below(5) : 0)
  doc.transact(() => {
    for (let i = 0; i < some; i++) pick(random, edits)(doc, random)
  })
}
