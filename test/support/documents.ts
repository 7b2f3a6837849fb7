/** Texts of documents, and timers that a test turns by hand. */
import type { Doc } from 'yjs'

/** What a document's text says. */
export function textOf({ doc }: { readonly doc: Doc }): string {
  return doc.getText('t').toJSON()
}

export function type({ doc }: { readonly doc: Doc }, text: string, at = 0): void {
  doc.getText('t').insert(at, text)
}
