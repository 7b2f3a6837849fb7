/** Composition: the union of many devices' logs, the database on it, spaces and devices. */

export { Device } from './device.ts'
export type {
  CreateSpaceOptions,
  DeviceEvents,
  DeviceParts,
  JoinOptions,
  LinkTarget,
  OpenSpaceOptions,
  RecoverOptions
} from './device.ts'

export { readShare } from './identity/shares.ts'
export type { ShareLabel, SplitOptions } from './identity/shares.ts'
export type { Certified, DeviceIdentity, RecoverIdentityOptions } from './identity/identity.ts'
export type { AskingByLink, DeviceInvite, JoinedDevice } from './identity/device-invite.ts'
export type {
  DeviceInviteOptions,
  EnteredSpace,
  JoinIdentityOptions,
  RecoverAllOptions,
  Recovery,
  Revocation,
  SpaceOutcome
} from './identity/own-devices.ts'

export { Space } from './space.ts'
export type { Behind, LogState, PeerState, SyncState } from './sync-state.ts'
export type { WriterInfo } from './space.ts'
export type { Sealed, SpaceEvents } from './space-events.ts'
export type { ExcludedEntry } from './members/excluded.ts'
export { epochCrypto } from './members/epoch-crypto.ts'
export type { ForkInfo } from './members/forks.ts'
export type {
  AskingDevice,
  BallotInfo,
  KeyInfo,
  ExcludedWork,
  FirstRole,
  GreaterRole,
  MemberDeviceInfo,
  MemberInfo,
  RoleOptions,
  Seen,
  SeenBy,
  SpaceMembers
} from './members/space-members.ts'

export type { InviteInfo, InviteOptions, NewInvite } from './members/space-invites.ts'

export type { Documents } from './documents/documents.ts'
export type { ListedDocument } from './documents/documents.ts'
export type { LiveDocument } from './documents/live-document.ts'
export type { DocumentSupport } from './documents/parts.ts'
export type { DocumentStatus } from './documents/own-updates.ts'
export type {
  DocumentDifference,
  DocumentMoment,
  DocumentRevertOptions,
  DocumentRevertReport,
  DocumentVersion,
  DocumentVersionsOptions
} from './documents/time.ts'

export type {
  Anchor,
  Anchors,
  Proof,
  ProofVerdict,
  ProvedAnchor,
  StoredAnchor,
  VerifyOptions
} from './anchors/anchors.ts'

export type { RestoreReport, RevertOptions, RevertReport, UndoOptions } from './undo.ts'
export type { AtOptions, Checkout } from './versions.ts'
export type { LinkOptions, LinkPlace, OpenLinkOptions } from './open-link.ts'

export { MultiBee } from './multibee.ts'
export type {
  Cas,
  CasOptions,
  Change,
  Conflict,
  Difference,
  Entry,
  HistoryEntry,
  HistoryStreamOptions,
  Misfit,
  MultiBeeEvents,
  PatchOf,
  Proposal,
  PutOptions,
  StreamOptions,
  Update
} from './multibee.ts'
export type { Encodings, SchemaOptions, SubOptions } from './sub-options.ts'
export type { Counter, Extreme, Flag, TypedValue, ValueSet } from './typed-values.ts'
export type { EntryWatcher } from './entry-watcher.ts'

export type { Finding, FindingCode } from './check.ts'
export type { CompactOptions, CompactReport } from './compact.ts'
export type { PurgeOptions, PurgePeer, PurgeReport } from './purge.ts'
export type { RepairReport } from './repair.ts'
export type { LogStats, SpaceStats } from './stats.ts'

export { explanationToText } from './explain-text.ts'
export type { ExplanationTextOptions } from './explain-text.ts'
export type {
  ExplainedEntry,
  ExplainedField,
  ExplainedSeen,
  Explanation,
  Note,
  Outcome,
  Rule
} from './explain.ts'
export type { SchemaIssue, SchemaMismatch } from './schema.ts'
export type { IndexedEntry, SecondaryIndex } from './secondary.ts'
export type { Indexable } from './ordered-value.ts'
export { openMultiBee } from './open.ts'
export type { MultiBeeOptions } from './open.ts'
export type { MultiBeeBatch } from './batch.ts'
export type { KeyEncoding, ValueEncoding } from './encodings.ts'
export { MAX_KEY_BYTES } from './keyspace.ts'
export type { Range, SubPath } from './keyspace.ts'

export type { ReadMode } from './indexed-reads.ts'
export type { IndexProgress, IndexRebuild } from './local-index.ts'

export { WriterList } from './writers.ts'
export type { Writer, Writers } from './writers.ts'
export type { Timers } from './timers.ts'
export type { Channel, ChannelEvents } from './channels/channel.ts'
export type { Presence, PresenceStats } from './presence/hub.ts'
export type { PresenceRefusal, PresenceRefusalReason } from './presence/counts.ts'
export type { PresenceChange, PresenceTopic, PresenceTopicEvents } from './presence/topic.ts'

export type { Refusal, RefusalReason } from './refusals.ts'

export { iterate } from './cursor.ts'
export type { Cursor } from './cursor.ts'
export { mergeSorted } from './merge.ts'
export type { Group, MergeOptions } from './merge.ts'

export { localPort, remotePort } from './port/client.ts'
export type { DevicePort } from './port/client.ts'
export { PortHost } from './port/host.ts'
export { SharedNetwork } from './port/network.ts'
export type { NetworkOptions } from './port/network.ts'
export type { PortContext, SpaceInfo, Where } from './port/context.ts'
export type {
  DeviceInfo,
  InvitingStep,
  JoiningStep,
  PlainOutcome
} from './port/device-operations.ts'
export type {
  ParamsOf,
  PlainRange,
  PlainWrite,
  ReadParams,
  Requests,
  Streams
} from './port/operations.ts'
export type {
  NewPlainAnchor,
  PlainAnchor,
  PlainStoredAnchor,
  PlainVerdict
} from './port/anchors.ts'
export type {
  PlainChange,
  PlainConflict,
  PlainDifference,
  PlainEntry,
  PlainHistory
} from './port/plain.ts'
export type { PortListener, PortWire } from './port/wire.ts'
