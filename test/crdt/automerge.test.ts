import * as A from '@automerge/automerge'
import { test } from 'uvu'
import { automerge } from '../../crdt/document/automerge.ts'
import type { AutomergeDocument } from '../../crdt/document/automerge-document.ts'
import { documentEngineContract } from '../contract/document-engine.ts'
import type { SeededRandom } from '../support/random.ts'

interface Shape {
  t?: string
  m?: Record<string, number>
}

documentEngineContract({
  engine: automerge,
  edit(doc: AutomergeDocument, random: SeededRandom) {
    const typed = doc as AutomergeDocument<Shape>
    typed.change((draft) => {
      const length = draft.t?.length ?? 0
      if (draft.t === undefined) draft.t = ''
      const at = random.below(length + 1)
      const what = random.below(5)
      if (what === 0) (draft.m ??= {})[`k${random.below(2)}`] = random.below(100)
      else if (what === 1) A.splice(draft, ['t'], at, Math.min(random.below(6), length - at))
      else
        A.splice(
          draft,
          ['t'],
          at,
          0,
          Array.from({ length: 1 + random.below(40) }, () =>
            String.fromCharCode(97 + random.below(26))
          ).join('')
        )
    })
  },
  paste(doc: AutomergeDocument, text: string) {
    const typed = doc as AutomergeDocument<Shape>
    typed.change((draft) => {
      draft.t ??= ''
      A.splice(draft, ['t'], draft.t.length, 0, text)
    })
  },
  shown: (doc) => [A.toJS(doc.value), [...A.getHeads(doc.value)].sort()],
  throwOnChange(doc, error) {
    doc.on('update', () => {
      throw error
    })
  }
})

test.run()
