/**
 * Who is in a space, as this device knows it: the membership logs, what they say of the writers, and who waits to be let in.
 * Composition only; who may what is decided in `acl/`.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import type { Key, Membership, Role } from '../../acl/index.ts'
import type { Hypercore, DeviceStore, OwnLog, SpaceRecord } from '../../core/index.ts'
import { isWithin, prefixToText, type Prefixes } from '../prefixes.ts'
import type { Union } from '../union.ts'
import type { Writer, WriterList } from '../writers.ts'
import { AclLogs } from './acl-logs.ts'
import { Acts } from './acts.ts'
import { Admissions } from './admissions.ts'
import { bytesOf, keyOf, ownCredentials, type Credentials } from './credentials.ts'
import { countedLength, sealWriters, type LoweredSeal } from './seals.ts'

export interface MembersParts {
  readonly store: DeviceStore
  readonly record: SpaceRecord
  readonly salt: Uint8Array
  /** This device's data core. */
  readonly data: Uint8Array
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
  readonly #own: OwnLog
  readonly #admissions: Admissions
  readonly #writers: WriterList
  readonly #data: Key
  /** What those who listen know of. */
  #told: { readonly members: Membership['members'] | null; readonly logs: number } = NOTHING

  /** Opens the logs; of a space that this device makes, the first record is its founding. */
  static async open(parts: MembersParts, writers: WriterList): Promise<Members> {
    const { store, record, salt, data } = parts
    const own = await store.ownLog('acl', salt)
    const { address: space } = record
    const openLog = (core: Uint8Array) => store.remoteLog(core)
    const logs = await AclLogs.open({ space, own, openLog }, record.acl)
    try {
      const credentials = ownCredentials(store, space, { acl: own.core.key, data })
      const isFounder = b4a.equals(own.core.key, space)
      if (isFounder && own.core.length === 0 && store.rolledBack === null) {
        await logs.write({ kind: 'found', ...credentials })
      }
      return new Members({ ...parts, logs, own, credentials, writers })
    } catch (error) {
      await logs.close()
      throw error
    }
  }

  private constructor({ logs, own, credentials, record, writers, data }: Opened) {
    this.#logs = logs
    this.#own = own
    this.#data = keyOf(data)
    this.identity = credentials.member.identity
    this.device = credentials.member.device
    this.#writers = writers
    this.#admissions = new Admissions({
      logs,
      space: record.address,
      own: credentials,
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

  /**
   * Why this device may not write this, or nothing at all; null where it may. Who was not let in yet writes, to be read once it is.
   */
  exclusion(writes: readonly { readonly key: Uint8Array }[]): string | null {
    const standing = this.membership.cores.get(this.#data)
    if (standing === undefined) return null
    const { length, prefixes, role } = standing
    if (countedLength(standing) !== Infinity)
      return length === Infinity ? `it is a ${role}` : 'its rights have ended'
    if (prefixes === null || writes.every(({ key }) => isWithin(key, prefixes))) return null
    return `it writes only below ${prefixes.map(prefixToText).join(', ')}`
  }

  /** Whether a device may have data: whoever is known to have lost its rights may not. */
  admits(device: Uint8Array): boolean {
    const key = keyOf(device)
    const known = [...this.membership.members.values()].flatMap(({ devices }) => devices)
    return known.find((each) => each.device === key)?.role !== null
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
    const own = this.#own.core.key
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

  /** Who waits to be let in, by data core. */
  asking(): ReadonlyMap<Key, Credentials> {
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
    await this.#logs.close()
  }

  #changed(): void {
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

const NOTHING = { members: null, logs: 0 }

interface Opened extends MembersParts {
  readonly logs: AclLogs
  readonly own: OwnLog
  readonly credentials: Credentials
  readonly writers: WriterList
}
