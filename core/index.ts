/** The device and its wires: the only folder that imports the Hypercore stack. This is its portable surface. */

export {
  deriveKeyPair,
  hash,
  isSigned,
  keyedHash,
  openBox,
  openWith,
  randomBytes,
  sealBox,
  sealWith,
  sign
} from './crypto.ts'

export {
  attestFirst,
  attestNext,
  isAttested,
  MAX_ATTESTED,
  readAttestation
} from './identity/proof.ts'
export { entropyOf, identityKeyPair, phraseOf } from './identity/phrase.ts'

export type { Progress, Work } from './progress.ts'

export type { default as Hypercore, KeyPair } from 'hypercore'

export { blockKey, constantKeys, EPOCH_ID_BYTES, epochHash } from './block-keys.ts'
export type { BlockKey, BlockKeys, LogEncryption } from './block-keys.ts'

export { BoxOpener, sealTo } from './key-boxes.ts'
export { logKeyOf, ownLogKey, OwnLog, saltsOf, treeHashOf } from './store.ts'
export type {
  AppendGuard,
  DeviceStore,
  Durability,
  IdentitySecrets,
  Secrets,
  SpaceRecord,
  SpaceSecrets
} from './store.ts'

export { fillArchive, isWhole, type Pin } from './archive.ts'
export { checkForkProof, checkPrefix, encodeForkProof, signedPrefix } from './signed-prefix.ts'
export { commonLength, hashAt } from './tree-hashes.ts'
export { BlockLog } from './block-log.ts'
export { LogReader } from './tree/log.ts'
export type { LogOptions } from './tree/log.ts'
export type { Branch } from './tree/context.ts'
export type { BatchBounds } from './tree/batches.ts'
export type { ClearedLog, ClearingHooks } from './tree/cleared.ts'
export { countBlocks, isIn, joinRanges } from './tree/ranges.ts'
export type { BlockRange } from './tree/ranges.ts'
export { isWaitingForKey, TreeRefusal } from './tree/refusal.ts'
export type { TreeRefusalReason } from './tree/refusal.ts'
export type { ReadOptions, TreeSnapshot } from './tree/snapshot.ts'
export { isInRange } from './tree/cursor.ts'
export type { TreeCursor, TreeEntry, TreeRange } from './tree/cursor.ts'
export { TreeDiff } from './tree/diff.ts'
export type { TreeChange } from './tree/diff.ts'
export { placeOf } from './tree/linked.ts'
export type { OrderedChange, OrderedCursor, OrderedRow, OrderedStore } from './ordered-store.ts'
export type { TreePut, TreeWrite } from './tree/writer.ts'
export type { WrittenBlock } from './tree/written.ts'

export { Connection, secureStream, topicOf } from './net/connection.ts'
export type { ClearedUpTo, SpaceLink, SpacePeer } from './net/connection.ts'
export type { Meeting, Question } from './net/meeting.ts'
export { MemoryNetwork } from './net/memory.ts'
export type { Transport, TransportFactory } from './net/transport.ts'
