/** Yjs as a document engine: what every engine must do. What is its own is in document.test.ts and yjs-seal.test.ts. */
import { test } from 'uvu'
import type * as Y from 'yjs'
import { yjs } from '../../crdt/document/yjs.ts'
import { shownIn } from '../../crdt/document/yjs-shown.ts'
import { documentEngineContract } from '../contract/document-engine.ts'
import type { SeededRandom } from '../support/random.ts'

documentEngineContract<Y.Doc>({
  engine: yjs,
  edit(doc, random: SeededRandom) {
    const text = doc.getText('t')
    const at = random.below(text.length + 1)
    const what = random.below(6)
    if (what === 0) doc.getMap('m').set(`k${random.below(2)}`, random.below(100))
    else if (what === 1) doc.getMap('m').delete(`k${random.below(2)}`)
    else if (what < 4) text.delete(at, Math.min(random.below(6), text.length - at))
    else text.insert(at, 'abcdefghij'.slice(0, 1 + random.below(9)))
  },
  paste(doc, text) {
    const all = doc.getText('t')
    all.insert(all.length, text)
  },
  shown: (doc) => [doc.getText('t').toDelta(), doc.getMap('m').toJSON(), shownIn(doc)],
  throwOnChange(doc, error) {
    doc.on('update', () => {
      throw error
    })
  }
})

test.run()
