/** What documents are made of, given by their space. */
import type { DocumentEngine, EngineDoc, EngineDocs, EngineName } from '../../crdt/index.ts'
import type { OwnLog } from '../../core/index.ts'
import type { AheadCodec, AheadUpdate } from './ahead.ts'
import type { DocumentCache } from './cache.ts'
import type { Refusals } from '../refusals.ts'
import type { Timers } from '../timers.ts'
import type { Union } from '../union.ts'
import type { WriteQueue } from '../write-queue.ts'
import type { AheadPath } from './unconfirmed.ts'

/** The one thing documents need of time: typing is gathered for some milliseconds. */
export type TypingTimers = Pick<Timers, 'after'>

/** When documents are saved, and made small. */
export interface Upkeep {
  /** A process that is killed reads so many changes again at most. */
  readonly changesPerSave: number
  /** Fewer entries are read as fast as one. */
  readonly minEntries: number
}

export const USUAL_UPKEEP: Upkeep = { changesPerSave: 512, minEntries: 100 }

/** Where documents come from on this device. */
export interface DocumentSupport {
  readonly timers: TypingTimers
  /** Default: as users are served best. */
  readonly upkeep?: Upkeep
  /** @throws DOCUMENTS_UNAVAILABLE when the engine's library is not installed */
  loadEngine<E extends EngineName>(name: E): Promise<DocumentEngine<EngineDocs[E]>>
}

/** The way to connected devices that is faster than the logs. */
export interface AheadOut {
  /** Whether anybody would hear anything now. */
  isHeard(): boolean
  /** Signs and sends an update of ours. @param key how its document's keys begin @returns whether anybody hears it */
  send(update: Pick<AheadUpdate, 'id' | 'number' | 'engine' | 'bytes'>, key: Uint8Array): boolean
  /** Sends what somebody else signed, as it is. @param from whence it came */
  passOn(signed: Uint8Array, from: AheadPath): void
}

/** What one open document works with. */
export interface DocumentParts<D extends EngineDoc> {
  readonly union: Union
  readonly own: OwnLog
  readonly queue: WriteQueue
  readonly refusals: Refusals
  readonly timers: TypingTimers
  readonly cache: DocumentCache
  readonly upkeep: Upkeep
  readonly codec: AheadCodec
  readonly ahead: AheadOut
  /** Makes the document listed, if it is not. */
  tellOf(): Promise<void>
  /** A sub-document is wanted. */
  onsubdoc(subdoc: D): void
}
