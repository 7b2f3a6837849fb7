/** Entries and folds: what a core says about a key, and how several cores' sayings become one value. Pure. */

export { decodeEntry, encodeEntry } from './entry.ts'
export type { DecodedEntry, Entry, EntryRefusal, Register } from './entry.ts'

export { isSameCore, isWrittenInPlace, MAX_SEEN, withPosition } from './head.ts'
export type { Head, Position } from './head.ts'

export { compareRegisters, foldRegisters, judgeRegisters } from './register.ts'
export type {
  AdmittedLength,
  Deletes,
  Folded,
  JudgedCover,
  Judgement,
  PlacedRegister
} from './register.ts'

export {
  copyValue,
  decodeValue,
  encodeValue,
  isSameValue,
  MAX_VALUE_BYTES,
  MAX_VALUE_DEPTH,
  roughSize
} from './value.ts'
export type { Value } from './value.ts'

export { foldEntries } from './fold.ts'
export type { Conflict, FoldedEntry, FoldOptions, Shown } from './fold.ts'
export { foldFields } from './fields.ts'
export type { PlacedEntry } from './fields.ts'

export { defineMergeType, MergeTypes } from './merge-type.ts'
export type { AnyMergeType, Contribution, MergeType, Moment } from './merge-type.ts'

export { checkEntrySize } from './entry-size.ts'
export type { TypedEntry } from './typed-entry.ts'
export { packEntry } from './pack-entry.ts'
export { unpackEntry } from './unpack-entry.ts'
export type { UnpackedEntry, UnpackRefusal } from './unpack-entry.ts'

export { writeEntry } from './write.ts'
export { seenWhole } from './write-alone.ts'
export type { WriteContext, WriteOperation } from './write.ts'
export { copyPatch } from './patch.ts'
export type { Patch } from './patch.ts'

export { pruneEntry, restoreEntry } from './prune.ts'
export type { PruneGrounds } from './prune.ts'

export { encodeOpaque } from './document/opaque.ts'
export { decodeUpdate, encodeUpdate, TYPE_DOCUMENT_UPDATE } from './document/update.ts'
export type { DocumentUpdate, UpdateKind } from './document/update.ts'
export { decodeStatement, encodeStatement } from './document/statement.ts'
export type { Statement } from './document/statement.ts'
export { dateOf, Minutes } from './document/minutes.ts'
export { Authors, isForged, judge } from './document/authors.ts'
export type { Author, Authored, Counted } from './document/authors.ts'
export { contentOf, neededBy } from './document/content.ts'
export type { Content } from './document/content.ts'
export { clientIdOf } from './document/client-id.ts'
export { ENGINE_NAMES, loadEngine } from './document/load.ts'
export type {
  Binding,
  DocumentEngine,
  EngineDoc,
  EngineDocs,
  EngineName,
  Missing,
  TextRun
} from './document/engine.ts'
export type { AutomergeDocument } from './document/automerge-document.ts'
export { Spans } from './document/spans.ts'
export type { Source, Span } from './document/spans.ts'
export type {
  DifferenceBy,
  DocumentPath,
  ListChange,
  SourceDifference,
  TextChange,
  ValueDifference
} from './document/time.ts'

export { isReadable, lastWritten, readValue, valueAlone } from './alone.ts'
export type { WrittenValue } from './alone.ts'
export { isFields } from './paths.ts'
export type { Path } from './paths.ts'
