/** What documents are made of, given by their space. */
import type { DocumentEngine, EngineDoc } from '../../crdt/index.ts'
import type { OwnLog } from '../../core/index.ts'
import type { DocumentCache } from './cache.ts'
import type { Refusals } from '../refusals.ts'
import type { Timers } from '../timers.ts'
import type { Union } from '../union.ts'
import type { WriteQueue } from '../write-queue.ts'

/** The one thing documents need of time: typing is gathered for some milliseconds. */
export type TypingTimers = Pick<Timers, 'after'>

/** Where documents come from on this device. */
export interface DocumentSupport {
  readonly timers: TypingTimers
  /** @throws DOCUMENTS_UNAVAILABLE when the engine's library is not installed */
  loadEngine(): Promise<DocumentEngine>
}

/** What one open document works with. */
export interface DocumentParts {
  readonly union: Union
  readonly own: OwnLog
  readonly queue: WriteQueue
  readonly refusals: Refusals
  readonly timers: TypingTimers
  readonly cache: DocumentCache
  /** Makes the document listed, if it is not. */
  tellOf(): Promise<void>
  /** A sub-document is wanted. */
  onsubdoc(subdoc: EngineDoc): void
}
