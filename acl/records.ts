/**
 * What stands in `acl` logs. A record is a statement of the device that owns the log; whether it counts is decided by nobody
 * who receives it alone but by `resolveMembership`, from all logs. Keys, cores and hashes are text here (64 hex digits in real
 * spaces): they are compared and looked up far more often than they are written. Byte by byte: docs/FORMAT.md.
 */

/** A key or hash as text. Compared as text; what it is made of does not matter here. */
export type Key = string

/** In rising order. */
export const ROLES = ['mirror', 'reader', 'writer', 'admin', 'owner'] as const

export type Role = (typeof ROLES)[number]

/** Below zero where the first may less than the second. */
export function compareRoles(a: Role, b: Role): number {
  return ROLES.indexOf(a) - ROLES.indexOf(b)
}

/** One core up to a length, and which of its histories is meant. */
export interface Head {
  readonly core: Key
  readonly length: number
  readonly treeHash: Key
}

/** A core that a device says is its own, with the device's signature over (space, core, device, identity). */
export interface CoreClaim {
  readonly core: Key
  readonly use: 'acl' | 'data'
  readonly signature: Uint8Array
}

/** A device that an identity says is its own. */
export interface DeviceClaim {
  readonly identity: Key
  readonly device: Key
  /** The identity's word for the device. */
  readonly attestation: Uint8Array
}

interface Statement {
  /** The acl logs as far as the author had seen them: its causal past. */
  readonly heads: readonly Head[]
}

/** The first record of the root, and only there: who founds the space. */
export interface FoundRecord extends Statement {
  readonly kind: 'found'
  readonly member: DeviceClaim
  readonly cores: readonly CoreClaim[]
}

/** Lets cores of one device count, under a role. A demotion is a revocation followed by a grant of less. */
export interface GrantRecord extends Statement {
  readonly kind: 'grant'
  readonly member: DeviceClaim
  readonly role: Role
  /** What a writer may write below; null is everything. */
  readonly prefixes: readonly Uint8Array[] | null
  readonly cores: readonly CoreClaim[]
  /** The record of the invite that the device came with, if it did. */
  readonly invite?: Head
}

/**
 * Whoever holds this key's secret is to be let in, as one of so many devices, until then. Lets nobody in by itself: that takes a grant,
 * whose author says that it has checked the rest.
 */
export interface InviteRecord extends Statement {
  readonly kind: 'invite'
  readonly key: Key
  readonly role: Role
  readonly prefixes: readonly Uint8Array[] | null
  /** How many devices it may let in. */
  readonly uses: number
  /** In ms since 1970, by the clock of whoever lets in. */
  readonly expires: number
}

/** Takes an invite back. Whom it has let in stays. */
export interface WithdrawRecord extends Statement {
  readonly kind: 'withdraw'
  readonly invite: Head
}

/** Ends an identity's rights, or one device's: its cores count up to these lengths, all others not at all. */
export interface RevokeRecord extends Statement {
  readonly kind: 'revoke'
  readonly identity: Key
  /** Null: every device. */
  readonly device: Key | null
  readonly cuts: readonly Head[]
}

/** Says up to where cores count, and touches nothing else. With a greater length than before, it restores. */
export interface SealRecord extends Statement {
  readonly kind: 'seal'
  readonly cuts: readonly Head[]
}

/** The author holds these cores, data and acl, up to these lengths. */
export interface AckRecord extends Statement {
  readonly kind: 'ack'
  readonly lengths: readonly Head[]
}

export type BallotChange =
  | { readonly kind: 'add'; readonly member: DeviceClaim; readonly cores: readonly CoreClaim[] }
  | { readonly kind: 'remove'; readonly identity: Key; readonly cuts: readonly Head[] }

/** An owner's vote on the list of owners. */
export interface VoteRecord extends Statement {
  readonly kind: 'vote'
  /** The list that is to change, by the ballots that led to it. */
  readonly generation: Key
  readonly change: BallotChange
}

/** A device goes on under new cores: the first record of its new acl core. */
export interface SuccessorRecord extends Statement {
  readonly kind: 'successor'
  readonly member: DeviceClaim
  /** The old cores as far as the device knows them, the acl core among them. */
  readonly old: readonly Head[]
  /** The new core that continues an old one of the same use; the acl core is the one this stands in. */
  readonly cores: readonly CoreClaim[]
  /** The device's, over the core this stands in and all of the above. */
  readonly signature: Uint8Array
}

/** The recovery key speaks: the first record of a new acl core, whose device it admits. */
export interface RecoveryRecord extends Statement {
  readonly kind: 'recovery'
  readonly member: DeviceClaim
  readonly cores: readonly CoreClaim[]
  /** Devices of the same identity that it revokes, whole. */
  readonly revoked: readonly Key[]
  readonly cuts: readonly Head[]
  /** The identity's vote as an owner is from now on given in this core. */
  readonly movesVote: boolean
  /** The identity's, over the core this stands in and all of the above. */
  readonly signature: Uint8Array
}

/** Two signed heads of one core that agree up to `common` and not beyond. Proves itself, whoever publishes it. */
export interface ForkRecord extends Statement {
  readonly kind: 'fork'
  readonly core: Key
  readonly common: number
  readonly proof: Uint8Array
}

/** The author's device leaves, and those that its identity admitted after it. Of an owner it only announces the wish. */
export interface LeaveRecord extends Statement {
  readonly kind: 'leave'
  readonly cuts: readonly Head[]
}

/** The key of an epoch, sealed to one device. */
export interface KeyShare {
  readonly device: Key
  readonly box: Uint8Array
}

/** The key of an earlier epoch, encrypted under that of a later one. */
export interface WrappedKey {
  readonly epoch: Key
  readonly box: Uint8Array
}

/** A new key for content, by its hash. Who has it has its parents' as well, and so all history. */
export interface EpochRecord extends Statement {
  readonly kind: 'epoch'
  readonly epoch: Key
  readonly parents: readonly WrappedKey[]
  readonly shares: readonly KeyShare[]
}

/** Gives more devices the key of an epoch. Of 80 zeros with oneself: says that one has no key of it (epoch-asking.ts). */
export interface ShareRecord extends Statement {
  readonly kind: 'share'
  readonly epoch: Key
  readonly shares: readonly KeyShare[]
}

export type AclRecord =
  | FoundRecord
  | GrantRecord
  | RevokeRecord
  | SealRecord
  | AckRecord
  | VoteRecord
  | SuccessorRecord
  | RecoveryRecord
  | ForkRecord
  | LeaveRecord
  | InviteRecord
  | WithdrawRecord
  | EpochRecord
  | ShareRecord

/** Why bytes are no record. Both are kept and passed on; an unsupported one is of a newer version. */
export type Unreadable = 'malformed' | 'unsupported'

/** One block of an acl log. */
export interface LoggedRecord {
  /** A string where the block could not be read. */
  readonly record: AclRecord | Unreadable
  /** Of the log with this block as its last. It commits to all blocks up to here. */
  readonly treeHash: Key
}

/** What is held of one acl core, from its first block. Of a forked core there may be several, one for each branch. */
export interface AclLog {
  readonly core: Key
  readonly records: readonly LoggedRecord[]
}
