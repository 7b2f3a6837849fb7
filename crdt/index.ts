/** Entries and folds: what a core says about a key, and how several cores' sayings become one value. Pure. */

export { decodeEntry, encodeEntry, MAX_SEEN, withPosition } from './entry.ts'
export type { DecodedEntry, Entry, EntryRefusal, Position, Register } from './entry.ts'

export { compareRegisters, foldRegisters, judgeRegisters } from './register.ts'
export type { AdmittedLength, Folded, JudgedCover, Judgement, PlacedRegister } from './register.ts'

export { decodeValue, encodeValue, MAX_VALUE_BYTES, MAX_VALUE_DEPTH } from './value.ts'
export type { Value } from './value.ts'
