/** The letters of a Y.Text, one by one: what its own methods do not tell is who made which, and what was deleted. */
import * as Y from 'yjs'
import type { Spans } from '../../crdt/document/spans.ts'

export interface Letter {
  readonly id: Y.ID
  /** Empty where it was deleted, and forgotten. */
  readonly letter: string
  readonly isDeleted: boolean
}

export function* itemsOf(text: Y.Text): Generator<Y.Item> {
  for (let item = text._start; item !== null; item = item.right) yield item
}

export function* lettersOf(text: Y.Text): Generator<Letter> {
  for (const { id, content, length, deleted } of itemsOf(text)) {
    const letters = content instanceof Y.ContentString ? content.str : ''
    for (let i = 0; i < length; i++) {
      const here = Y.createID(id.client, id.clock + i)
      yield { id: here, letter: letters.charAt(i), isDeleted: deleted }
    }
  }
}

/** What is shown of these spans. */
export function shownIn(text: Y.Text, spans: Spans): string {
  let shown = ''
  for (const { id, letter, isDeleted } of lettersOf(text))
    if (!isDeleted && spans.has(id.client, id.clock)) shown += letter
  return shown
}
