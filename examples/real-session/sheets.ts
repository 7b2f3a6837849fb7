/**
 * The text, by each of the two libraries: what one person types on (`Paper`), and what the device keeps (`Sheet`). Updates are
 * the library's own, in an order in which they can be applied.
 */
import * as A from '@automerge/automerge'
import * as Y from 'yjs'
import type { LiveDocument, Space } from '../../index.ts'
import type { Patch, Person } from './session.ts'

export interface Paper {
  readonly content: string
  type(patches: readonly Patch[]): void
  take(updates: readonly Uint8Array[]): void
}

export interface Sheet {
  readonly content: string
  /** Where nobody types, two sheets that measure the same are the same. */
  readonly measure: string
  write(update: Uint8Array, origin: unknown): void
  onupdate(listener: (update: Uint8Array, origin: unknown) => void): void
  flush(): Promise<void>
  close(): Promise<void>
}

export interface Library {
  readonly name: string
  paper(person: Person, ontyped: (update: Uint8Array) => void): Paper
  open(space: Space): Promise<Sheet>
}

const yjs: Library = {
  name: 'Yjs',

  /**
   * Yjs settles by client ids, which are random else, who comes first where two insert at one place. In the recording it was person
   * 0; the other way round 14 of the 21,362 characters come out elsewhere.
   */
  paper(person, ontyped) {
    const doc = new Y.Doc()
    const text = doc.getText('text')
    const taken = {}
    doc.clientID = person + 1
    doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== taken) ontyped(update)
    })
    return {
      get content() {
        return text.toJSON()
      },
      type(patches) {
        doc.transact(() => {
          for (const [position, deleted, inserted] of patches) {
            if (deleted > 0) text.delete(position, deleted)
            if (inserted !== '') text.insert(position, inserted)
          }
        })
      },
      take(updates) {
        for (const update of updates) Y.applyUpdate(doc, update, taken)
      }
    }
  },

  async open(space) {
    const live = await space.documents.open('friends')
    const text = live.doc.getText('text')
    return {
      get content() {
        return text.toJSON()
      },
      // Of what may be missing, each insertion moves a clock, and a deletion alone makes the text shorter.
      get measure() {
        return `${Buffer.from(Y.encodeStateVector(live.doc)).toString('hex')} ${text.length}`
      },
      write: (update, origin) => Y.applyUpdate(live.doc, update, origin),
      onupdate: (listener) => live.doc.on('update', listener),
      ...ends(live)
    }
  }
}

interface Shape {
  text: string
}

/** The text has to be made once, by somebody: this change is the same, whoever makes it. */
function blank(actor: string): A.Doc<Shape> {
  const made = A.change(A.init<Shape>('00'.repeat(16)), { time: 0 }, (draft) => {
    draft.text = ''
  })
  return A.clone(made, actor)
}

const automerge: Library = {
  name: 'Automerge',

  paper(person, ontyped) {
    let doc = blank(`0${person + 1}`.repeat(16))
    return {
      get content() {
        return doc.text
      },
      type(patches) {
        const before = doc
        doc = A.change(doc, (draft) => {
          for (const [position, deleted, inserted] of patches)
            A.splice(draft, ['text'], position, deleted, inserted)
        })
        for (const change of A.getChanges(before, doc)) ontyped(change)
      },
      // All at once: Automerge goes through the whole document each time.
      take(updates) {
        doc = A.applyChanges(doc, [...updates])[0]
      }
    }
  },

  async open(space) {
    const live = await space.documents.open<Shape>('friends', { engine: 'automerge' })
    live.doc.merge(blank('00'.repeat(16)))
    return {
      get content() {
        return live.doc.value.text
      },
      get measure() {
        return A.getHeads(live.doc.value).toSorted().join()
      },
      write: (update, origin) => live.doc.bringIn([update], origin),
      onupdate: (listener) =>
        live.doc.on('update', (changes, origin) => {
          for (const change of changes) listener(change, origin)
        }),
      ...ends(live)
    }
  }
}

function ends(live: Pick<LiveDocument, 'flush' | 'close'>): Pick<Sheet, 'flush' | 'close'> {
  return { flush: () => live.flush(), close: () => live.close() }
}

export const LIBRARIES = { yjs, automerge } as const
