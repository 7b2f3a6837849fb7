/**
 * Who is in a space, as this device knows it: the membership logs, what they say of the writers, and who waits to be let in.
 * Composition only; who may what is decided in `acl/`.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import type { Key, Membership, Role } from '../../acl/index.ts'
import type { Hypercore, DeviceStore, SpaceRecord } from '../../core/index.ts'
import type { OwnLogs } from '../own-logs.ts'
import type { Union } from '../union.ts'
import type { Writer, WriterList } from '../writers.ts'
import { AclLogs } from './acl-logs.ts'
import { Acts } from './acts.ts'
import { Admissions } from './admissions.ts'
import { bytesOf, keyOf, type Credentials } from './credentials.ts'
import { countedLength, sealWriters, type LoweredSeal } from './seals.ts'
import { Succession } from './succession.ts'

export interface MembersParts {
  readonly store: DeviceStore
  readonly record: SpaceRecord
  readonly own: OwnLogs
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
    /** Who is in, or with which rights, has changed. */
    change: []
  }>()
  readonly #logs: AclLogs
  readonly #own: OwnLogs
  readonly #succession: Succession
  readonly #admissions: Admissions
  readonly #writers: WriterList
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
    const { store, record, own } = parts
    const { address: space } = record
    const openLog = (core: Uint8Array) => store.remoteLog(core)
    const known = [...record.acl, ...own.earlier.map(({ acl }) => acl)]
    const logs = await AclLogs.open({ space, own: own.acl, openLog }, known)
    try {
      const succession = new Succession({ store, space, own, logs })
      const isFounder = b4a.equals(own.acl.core.key, space)
      if (isFounder && own.acl.core.length === 0) {
        await logs.write({ kind: 'found', ...succession.credentials })
      }
      await succession.begin()
      return new Members({ ...parts, logs, succession, writers })
    } catch (error) {
      await logs.close()
      throw error
    }
  }

  private constructor({ logs, own, succession, record, writers }: Opened) {
    this.#logs = logs
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
      isChosen: (asking) => writers.has(bytesOf(asking))
    })
    // Before anybody reads: what was sealed when the space was closed is so from the first moment on.
    sealWriters(writers, logs.membership)
    logs.events.on('change', () => this.#changed())
  }

  /** What was known at opening, too. To be called once those who listen do. */
  start(): void {
    this.#changed()
  }

  /** Why this device's data log does not count any more, or null. Who was not let in yet writes, to be read once it is. */
  get exclusion(): string | null {
    if (this.isVoid) return 'another copy of it went on from its logs, so these do not count'
    const standing = this.membership.cores.get(keyOf(this.#own.data.core.key))
    // New logs of a device that was in are known by what they go on from.
    if (standing === undefined) return this.#roleOf(this.device) === null ? ENDED : null
    if (countedLength(standing) === Infinity) return null
    return standing.length === Infinity ? 'it only reads' : ENDED
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
    return this.#roleOf(keyOf(device)) !== null
  }

  /** Undefined for a device that nobody let in. */
  #roleOf(device: Key): Role | null | undefined {
    const known = [...this.membership.members.values()].flatMap(({ devices }) => devices)
    return known.find((each) => each.device === device)?.role
  }

  /** To act on others. */
  acts(union: Union): Acts {
    return new Acts(this.#logs, union, this.identity)
  }

  get membership(): Membership {
    return this.#logs.membership
  }

  /** The logs to offer to peers. */
  cores(): readonly Hypercore[] {
    return this.#logs.cores()
  }

  /** Keys of the logs of other devices that are held here. */
  logKeys(): readonly Uint8Array[] {
    const own = this.#own.acl.core.key
    return this.cores().flatMap(({ key }) => (b4a.equals(key, own) ? [] : key))
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
  admit(credentials: Credentials, role: Role): Promise<void> {
    return this.#admissions.admit(credentials, role)
  }

  /** Others were chosen, or have asked: lets in who may be. */
  settle(): void {
    void this.#admissions.settle()
  }

  async close(): Promise<void> {
    this.events.removeAllListeners()
    await this.#succession.close()
    await this.#logs.close()
  }

  #changed(): void {
    // What this device goes on from may have come back. What the disk refuses now is tried again with the next change.
    this.#succession.begin().catch(() => {})
    const { membership } = this.#logs
    const { missing, lowered } = sealWriters(this.#writers, membership)
    if (missing.length > 0) this.events.emit('writers', missing)
    if (lowered.length > 0) this.events.emit('lowered', lowered)
    const logs = this.cores().length
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

const NOTHING = { members: null, logs: 0 }

const ENDED = 'its rights have ended'

interface Opened extends MembersParts {
  readonly logs: AclLogs
  readonly succession: Succession
  readonly writers: WriterList
}
