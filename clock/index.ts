/** Who wrote when: stamps and the hybrid logical clock. Pure; a leaf that imports nothing of ours. */

export {
  compareStamps,
  decodeStamp,
  decodeTime,
  encodeStamp,
  encodeStampInto,
  encodeTimeInto,
  MAX_COUNTER,
  MAX_MS,
  STAMP_BYTES,
  stampToText,
  TAG_BYTES,
  tagOf,
  textToStamp,
  TIME_BYTES
} from './stamp.ts'
export type { Stamp } from './stamp.ts'

export { DEFAULT_MAX_DRIFT, HybridLogicalClock } from './hlc.ts'
export type { ClockOptions, ClockRepair, Observation } from './hlc.ts'

export { decodeVersion, encodeVersion, SPACE_TAG_BYTES } from './version.ts'
export type { CoreLength, Version } from './version.ts'
