/** What the editor needs of its device: documents with titles, live texts, and how far the others are. */
import type { Awareness } from 'y-protocols/awareness'
import type * as Y from 'yjs'
import type { DocumentRow, SyncNotice } from './protocol.ts'

export interface Notebook {
  /** In the order of their titles. */
  list(): Promise<readonly DocumentRow[]>
  create(id: string, title: string): Promise<void>
  rename(id: string, title: string): Promise<void>
  delete(id: string): Promise<void>
  open(id: string): Promise<LiveDocument>
  sync(): SyncNotice
  /** The list or how far the others are has changed. @returns how to stop listening */
  onchange(listener: (what: 'documents' | 'sync') => void): () => void
  close(): Promise<void>
}

/** One opening of a document: each is closed by itself. */
export interface LiveDocument {
  readonly doc: Y.Doc
  readonly awareness: Awareness
  /** Resolves when what is in `doc` now is durable on this device. */
  whenDurable(): Promise<unknown>
  close(): Promise<void>
}
