/** Texts of documents, and timers that a test turns by hand. */
import type { Doc } from 'yjs'
import { encodeStatement, Minutes } from '../../crdt/index.ts'

/** What a document's text says. */
export function textOf({ doc }: { readonly doc: Doc }): string {
  return doc.getText('t').toJSON()
}

export function type({ doc }: { readonly doc: Doc }, text: string, at = 0): void {
  doc.getText('t').insert(at, text)
}

/** What is said of an update that proves nothing. */
export function imported(update: Uint8Array): Uint8Array {
  return encodeStatement({ sessions: [], isImport: true, minutes: new Minutes(), update })
}
