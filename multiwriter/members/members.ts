/**
 * Who is in a space, as this device knows it: the membership logs, what they say of the writers, and who waits to be let in.
 * Composition only; who may what is decided in `acl/`.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import type { CoreStanding, Key, Membership, Role } from '../../acl/index.ts'
import type { Hypercore, DeviceStore, KeyPair, SpaceRecord } from '../../core/index.ts'
import type { OwnLogs } from '../own-logs.ts'
import type { SpaceLogs } from '../space-logs.ts'
import { isWithin, prefixToText, type Prefixes } from '../prefixes.ts'
import type { Union } from '../union.ts'
import { ManyhandsError } from '../../errors.ts'
import type { Timers } from '../timers.ts'
import type { Writer, WriterList } from '../writers.ts'
import { AclLogs, forkedHere } from './acl-logs.ts'
import { Acts } from './acts.ts'
import { Admissions } from './admissions.ts'
import { Archives } from './archives.ts'
import type { ContentKeys } from './content-keys.ts'
import { bytesOf, keyOf, type Credentials } from './credentials.ts'
import type { Found } from './fork-watch.ts'
import { Invites, type InvitesParts } from './invites.ts'
import { PastMembership } from './past.ts'
import { countedLength, sealWriters, type LoweredSeal } from './seals.ts'
import { Succession } from './succession.ts'

export interface MembersParts {
  readonly store: DeviceStore
  readonly spaceLogs: SpaceLogs
  readonly record: SpaceRecord
  readonly own: OwnLogs
  /** Of its content; null where that is not encrypted. */
  readonly keys: ContentKeys | null
  readonly timers: Timers
  /** What this device's newest logs begin with is to be the recovery key's word, which `recover` says. */
  readonly isRecovering: boolean
}

export class Members {
  /** This device's. */
  readonly identity: Key
  readonly device: Key
  readonly events = new EventEmitter<{
    /** Cores that are to be read and are not yet. */
    writers: [readonly Writer[]]
    /** Cores that count less far than they did. */
    lowered: [readonly LoweredSeal[]]
    /** There are other logs to offer and to ask for, or other devices that ask. */
    logs: []
    /** Who is in, with which rights, or the keys that are here have changed. */
    change: []
    /** A record has come, whatever it changes. */
    record: []
  }>()
  /** Logs that are read in another history than the one that is held. */
  readonly archives: Archives
  /** Membership at versions. */
  readonly past: PastMembership
  readonly #logs: AclLogs
  readonly #own: OwnLogs
  readonly #keys: ContentKeys | null
  readonly #succession: Succession
  readonly #admissions: Admissions
  readonly #writers: WriterList
  readonly #timers: Timers
  #isRecovering: boolean
  /** Worked out when it is asked for first. */
  #continued: { readonly cores: Membership['cores'] | null; readonly old: ReadonlySet<Key> } = {
    cores: null,
    old: new Set()
  }
  /** What those who listen know of. */
  #told: { readonly members: Membership['members'] | null; readonly logs: number } = NOTHING

  /**
   * Opens the logs; of a space that this device makes, the first record is its founding, and of new logs that it goes on under, what
   * they go on from. Closes its own log with them.
   */
  static async open(parts: MembersParts, writers: WriterList): Promise<Members> {
    const { store, spaceLogs, record, own, keys, timers } = parts
    const { address: space } = record
    const openLog = (core: Uint8Array) => spaceLogs.remote('acl', core)
    const known = [...record.acl, ...own.earlier.map(({ acl }) => acl)]
    const logs = await AclLogs.open({ space, own: own.acl, openLog }, known)
    try {
      const succession = new Succession({ store, spaceLogs, space, own, logs })
      const isFounder = b4a.equals(own.acl.core.key, space)
      if (isFounder && own.acl.core.length === 0) {
        await logs.write({ kind: 'found', ...succession.credentials })
      }
      keys?.attach({ logs, own })
      // A founder that was killed between the two makes it when it writes.
      if (isFounder && own.acl.core.length === 1) await keys?.renew()
      const archives = new Archives({ spaceLogs, logs, timers })
      await settleAll(archives, logs)
      if (!parts.isRecovering) await succession.begin()
      return new Members({ ...parts, logs, archives, succession, writers })
    } catch (error) {
      await keys?.close()
      await logs.close()
      throw error
    }
  }

  private constructor({ logs, archives, own, keys, succession, record, writers, ...rest }: Opened) {
    this.#logs = logs
    this.past = new PastMembership(logs)
    this.#keys = keys
    this.#isRecovering = rest.isRecovering
    this.#timers = rest.timers
    this.archives = archives
    this.#own = own
    this.#succession = succession
    const { member } = succession.credentials
    this.identity = member.identity
    this.device = member.device
    this.#writers = writers
    this.#admissions = new Admissions({
      logs,
      space: record.address,
      identity: member.identity,
      own: () => succession.credentials,
      ongrant: async () => keys?.heal(),
      revoked: () => rest.store.secrets.revoked,
      isChosen: (asking) => writers.has(bytesOf(asking))
    })
    // Before anybody reads: what was sealed when the space was closed is so from the first moment on.
    sealWriters(writers, logs.membership, this.lengthOf)
    logs.events.on('change', () => {
      this.#changed()
      this.events.emit('record')
      void archives.settle()
    })
    keys?.events.on('change', () => this.events.emit('change'))
    keys?.events.on('bad', () => this.events.emit('record'))
    archives.events.on('change', () => {
      this.#changed()
      this.events.emit('logs')
    })
  }

  /** What was known at opening, too. To be called once those who listen do. */
  start(): void {
    this.#changed()
    this.events.emit('record')
    void this.archives.settle()
  }

  /** How far a log counts, of what can be read here; null while that is not known. */
  readonly lengthOf = (standing: CoreStanding): number | null => this.archives.lengthOf(standing)

  /**
   * Why this device may not write this, or nothing at all; null where it may. Who was not let in yet writes, to be read once it is.
   */
  exclusion(writes: readonly { readonly key: Uint8Array }[]): ManyhandsError | null {
    const ending = this.#ending()
    if (ending === 'fork') return forkedHere()
    const { prefixes = null, role } = this.#standing ?? {}
    if (ending !== null) return excluded(ending === 'reads' ? `it is a ${role}` : ENDINGS[ending])
    if (prefixes === null || writes.every(({ key }) => isWithin(key, prefixes))) return null
    return excluded(`it writes only below ${prefixes.map(prefixToText).join(', ')}`)
  }

  /** What its data log comes to. */
  get #standing(): CoreStanding | undefined {
    return this.membership.cores.get(keyOf(this.#own.data.core.key))
  }

  /** Whether what would go on from this device's logs counts no more than they do. */
  get hasEnded(): boolean {
    return this.#ending() === 'ended'
  }

  #ending(): Ending | null {
    if (this.isVoid) return 'void'
    const standing = this.#standing
    // New logs of a device that was in are known by what they go on from.
    if (standing === undefined) return this.#roleOf(this.device) === null ? 'ended' : null
    if (standing.endedBy === 'fork') return 'fork'
    if (countedLength(standing, () => standing.length) === Infinity) return null
    return standing.length === Infinity ? 'reads' : 'ended'
  }

  /** @see Succession.isVoid */
  get isVoid(): boolean {
    return this.#succession.isVoid && this.#roleOf(this.device) !== null
  }

  /** Whether another log of the same device goes on from a data log: who writes it writes there from now on. */
  isContinued(data: Uint8Array): boolean {
    if (this.#own.earlier.some((pair) => b4a.equals(pair.data, data))) return true
    const { cores } = this.membership
    if (this.#continued.cores !== cores) this.#continued = { cores, old: continuedIn(cores) }
    return this.#continued.old.has(keyOf(data))
  }

  /** Whether a device may have data: whoever is known to have lost its rights may not. */
  admits(device: Uint8Array): boolean {
    const key = keyOf(device)
    const own = this.#roleOf(key)
    return own !== null || (this.#isMember(key) && this.#isForked(key))
  }

  /** Whether a device only keeps and serves what it cannot read, as far as is known here. */
  isMirror(device: Uint8Array): boolean {
    return this.#roleOf(keyOf(device)) === 'mirror'
  }

  /** Whether a device was let in, as more than a mirror, as far as is known here. */
  isReader(device: Uint8Array): boolean {
    const role = this.#roleOf(keyOf(device)) ?? null
    return role !== null && role !== 'mirror'
  }

  /** Whether this device is or was a member. */
  get isLetIn(): boolean {
    return this.#roleOf(this.device) !== undefined
  }

  /** Undefined for a device that nobody let in. */
  #roleOf(device: Key): Role | null | undefined {
    const known = [...this.membership.members.values()].flatMap(({ devices }) => devices)
    return known.find((each) => each.device === device)?.role
  }

  /** Whether a device is of somebody who has rights. */
  #isMember(device: Key): boolean {
    const members = [...this.membership.members.values()]
    return members.some(
      ({ role, devices }) => role !== null && devices.some((each) => each.device === device)
    )
  }

  /** A fork costs a log, and not its device. */
  #isForked(device: Key): boolean {
    const cores = [...this.membership.cores.values()].filter((core) => core.device === device)
    return cores.some(({ endedBy }) => endedBy === 'fork')
  }

  /**
   * Says in this device's membership log that a log has two histories. First, what is held here is acknowledged: it is what the choice
   * between them goes by. @returns false where this device may not: what it wrote would not count, or would be one more fork
   */
  async publishFork(acts: Pick<Acts, 'acknowledge'>, { core, common, proof }: Found) {
    const own = this.membership.cores.get(keyOf(this.#own.acl.core.key))
    if (own?.length !== Infinity || this.membership.cores.get(core)?.device === this.device)
      return false
    await acts.acknowledge().catch(() => {}) // what is not here now must not keep the proof back
    await this.#logs.write({ kind: 'fork', core, common, proof })
    return true
  }

  /** Whether nothing stands in this device's membership log. */
  get isUnbegun(): boolean {
    return this.#own.acl.core.length === 0
  }

  /** Devices of this one's identity that have rights, but for itself. @throws NOT_ALLOWED where it is no member */
  others(): readonly Key[] {
    const member = this.membership.members.get(this.identity)
    if (member === undefined || member.role === null) throw noMember()
    return member.devices.flatMap(({ device, role }) =>
      device === this.device || role === null ? [] : device
    )
  }

  /**
   * Comes back by the recovery key: this device takes the place of those that are lost, vote included.
   * @throws NOT_ALLOWED where that gives nothing, BLOCK_UNAVAILABLE, STORE_ codes
   */
  async recover(acts: Acts, identity: KeyPair, lost: readonly Key[]): Promise<void> {
    await this.#succession.recover(identity, lost, await acts.headsOfLost(lost, this.#timers))
    this.#isRecovering = false
    if (!this.#logs.isOwnCounted) throw noMember()
    // As with any removal: whoever has the lost devices reads nothing that is written from now on.
    await this.#keys?.renew()
  }

  /** Where the histories of a log part, as was proved. */
  provedFork(core: Key): number | null {
    return this.#logs.provedFork(core)?.length ?? null
  }

  /** Proofs that prove nothing. */
  get unproved(): AclLogs['unproved'] {
    return this.#logs.unproved
  }

  /** Membership logs that are followed. */
  followed(): readonly Key[] {
    return this.#logs.keys()
  }

  /** Another text whenever more is known. */
  get state(): string {
    const heads = this.#logs.heads()
    return heads.map(({ core, length }) => `${core} ${length}`).join()
  }

  /** A membership log that is followed, as its writer shows it here. */
  log(core: Key): Hypercore | null {
    return this.#logs.log(core)
  }

  /** To act on others. */
  acts(union: Union): Acts {
    return new Acts({ logs: this.#logs, union, own: this, keys: this.#keys })
  }

  /** @see ContentKeys.renew */
  async renewKeys(): Promise<void> {
    await this.#keys?.renew()
  }

  /** @see ContentKeys.bad */
  badKeys(): readonly { readonly core: Uint8Array; readonly seq: number }[] {
    return (this.#keys?.bad() ?? []).map(({ core, seq }) => ({ core: bytesOf(core), seq }))
  }

  /** Which key is written under here, and which are here at all. */
  get keys(): Pick<ContentKeys, 'currentEpoch' | 'has'> | null {
    return this.#keys
  }

  /** To invite others, and to let them in. */
  invites(parts: Omit<InvitesParts, 'logs' | 'identity' | 'ongrant'>): Invites {
    const ongrant = async () => this.#keys?.heal()
    return new Invites({ ...parts, ongrant, logs: this.#logs, identity: this.identity })
  }

  /** Whether this device is in, as far as it knows, with what it takes to read. */
  get isReady(): boolean {
    const role = this.#roleOf(this.device) ?? null
    if (role === null || role === 'mirror' || this.#keys === null) return role !== null
    return this.#keys.currentEpoch !== null
  }

  /** Whether the person whose this device is, is in. */
  get isOfMember(): boolean {
    return (this.membership.members.get(this.identity)?.role ?? null) !== null
  }

  get membership(): Membership {
    return this.#logs.membership
  }

  /** The logs to offer to peers. */
  cores(): readonly Hypercore[] {
    return [...this.#logs.cores(), ...this.archives.cores('acl')]
  }

  /** Keys of the logs of other devices that are held here. */
  logKeys(): readonly Uint8Array[] {
    const own = keyOf(this.#own.acl.core.key)
    return this.followed().flatMap((key) => (key === own ? [] : bytesOf(key)))
  }

  /** @see SpaceLink.askers */
  askers(): readonly Uint8Array[] {
    return this.#admissions.told()
  }

  /** @see Admissions.hear */
  hear(asker: Uint8Array): boolean | null {
    const isNews = this.#admissions.hear(asker)
    if (isNews === true) this.events.emit('logs')
    if (isNews === true) this.settle()
    return isNews
  }

  /** Who waits to be let in. */
  asking(): readonly Credentials[] {
    return this.#admissions.asking()
  }

  /** @see Admissions.admit */
  admit(credentials: Credentials, role: Role, prefixes: Prefixes): Promise<void> {
    return this.#admissions.admit(credentials, role, prefixes)
  }

  /** Others were chosen, or have asked: lets in who may be. */
  settle(): void {
    void this.#admissions.settle()
  }

  async close(): Promise<void> {
    this.events.removeAllListeners()
    await this.archives.close()
    await this.#succession.close()
    await this.#keys?.close()
    await this.#logs.close()
  }

  #changed(): void {
    // What this device goes on from may have come back. What the disk refuses now is tried again with the next change.
    if (!this.#isRecovering) this.#succession.begin().catch(() => {})
    const { membership } = this.#logs
    const { missing, lowered } = sealWriters(this.#writers, membership, this.lengthOf)
    if (missing.length > 0) this.events.emit('writers', missing)
    if (lowered.length > 0) this.events.emit('lowered', lowered)
    const logs = this.followed().length
    // Acknowledgements leave the members as they are, and most records the logs.
    const isChanged = membership.members !== this.#told.members
    const isNews = isChanged || logs !== this.#told.logs
    this.#told = { members: membership.members, logs }
    if (isNews) this.events.emit('logs')
    if (isChanged) this.events.emit('change')
    this.settle()
  }
}

/** Data logs that another one goes on from. */
function continuedIn(cores: Membership['cores']): ReadonlySet<Key> {
  return new Set(
    [...cores.values()].flatMap(({ use, continues, length }) =>
      use === 'data' && length > 0 && continues !== null ? continues.core : []
    )
  )
}

/** What is found may be a history that more is to be looked for in. */
async function settleAll(archives: Archives, logs: AclLogs): Promise<void> {
  for (let before = null; before !== logs.membership;) {
    before = logs.membership
    await archives.settle()
  }
}

const NOTHING = { members: null, logs: 0 }

/** Why this device's data log does not count. */
type Ending = 'void' | 'fork' | 'reads' | 'ended'

const ENDINGS = {
  void: 'another copy of it went on from its logs, so these do not count',
  ended: 'its rights have ended'
}

function noMember(): ManyhandsError {
  const why = 'its person is no member, as far as is known here'
  return new ManyhandsError('NOT_ALLOWED', `This device may not come back: ${why}`)
}

function excluded(why: string): ManyhandsError {
  return new ManyhandsError('NOT_ALLOWED', `This device may not write: ${why}`)
}

interface Opened extends MembersParts {
  readonly logs: AclLogs
  readonly archives: Archives
  readonly succession: Succession
  readonly writers: WriterList
}
