/** Who wrote when: stamps and the hybrid logical clock. Pure; a leaf that imports nothing of ours. */

export {
  compareStamps,
  decodeStamp,
  encodeStamp,
  encodeStampInto,
  MAX_COUNTER,
  MAX_MS,
  STAMP_BYTES,
  stampToText,
  TAG_BYTES,
  textToStamp
} from './stamp.ts'
export type { Stamp } from './stamp.ts'

export { DEFAULT_MAX_DRIFT, HybridLogicalClock } from './hlc.ts'
export type { ClockOptions, ClockRepair, Observation } from './hlc.ts'
