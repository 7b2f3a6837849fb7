/**
 * Who is in a space, as this device knows it: the membership logs, what they say of the writers, and who waits to be let in.
 * Composition only; who may what is decided in `acl/`.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import type { CoreStanding, Key, Membership, Role } from '../../acl/index.ts'
import type { Hypercore, DeviceStore, OwnLog, SpaceRecord } from '../../core/index.ts'
import type { Union } from '../union.ts'
import { ManyhandsError } from '../../errors.ts'
import type { Timers } from '../timers.ts'
import type { Writer, WriterList } from '../writers.ts'
import { AclLogs, forkedHere } from './acl-logs.ts'
import { Acts } from './acts.ts'
import { Admissions } from './admissions.ts'
import { Archives } from './archives.ts'
import type { Found } from './fork-watch.ts'
import { bytesOf, keyOf, ownCredentials, type Credentials } from './credentials.ts'
import { countedLength, sealWriters, type LoweredSeal } from './seals.ts'

export interface MembersParts {
  readonly store: DeviceStore
  readonly record: SpaceRecord
  readonly salt: Uint8Array
  /** This device's data core. */
  readonly data: Uint8Array
  readonly timers: Timers
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
    /** A record has come, whatever it changes. */
    record: []
  }>()
  /** Logs that are read in another history than the one that is held. */
  readonly archives: Archives
  readonly #logs: AclLogs
  readonly #own: OwnLog
  readonly #admissions: Admissions
  readonly #writers: WriterList
  readonly #data: Key
  /** What those who listen know of. */
  #told: { readonly members: Membership['members'] | null; readonly logs: number } = NOTHING

  /** Opens the logs; of a space that this device makes, the first record is its founding. */
  static async open(parts: MembersParts, writers: WriterList): Promise<Members> {
    const { store, record, salt, data, timers } = parts
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
      const archives = new Archives({ store, logs, timers })
      await settleAll(archives, logs)
      return new Members({ ...parts, logs, archives, own, credentials, writers })
    } catch (error) {
      await logs.close()
      throw error
    }
  }

  private constructor({ logs, archives, own, credentials, record, writers, data }: Opened) {
    this.#logs = logs
    this.archives = archives
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
    sealWriters(writers, logs.membership, this.lengthOf)
    logs.events.on('change', () => {
      this.#changed()
      this.events.emit('record')
      void archives.settle()
    })
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

  /** Why this device's data log does not count any more, or null. Who was not let in yet writes, to be read once it is. */
  get exclusion(): ManyhandsError | null {
    const standing = this.membership.cores.get(this.#data)
    if (standing === undefined) return null
    if (standing.endedBy === 'fork') return forkedHere()
    if (countedLength(standing, () => standing.length) === Infinity) return null
    const why = standing.length === Infinity ? 'it only reads' : 'its rights have ended'
    return new ManyhandsError('NOT_ALLOWED', `This device may not write: ${why}`)
  }

  /** Whether a device may have data: whoever is known to have lost its rights may not. */
  admits(device: Uint8Array): boolean {
    const key = keyOf(device)
    for (const { role, devices } of this.membership.members.values()) {
      const known = devices.find((each) => each.device === key)
      if (known !== undefined) return known.role !== null || (role !== null && this.#isForked(key))
    }
    return true
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
    const own = this.membership.cores.get(keyOf(this.#own.core.key))
    if (own?.length !== Infinity || this.membership.cores.get(core)?.device === this.device)
      return false
    await acts.acknowledge().catch(() => {}) // what is not here now must not keep the proof back
    await this.#logs.write({ kind: 'fork', core, common, proof })
    return true
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

  /** A membership log that is followed, as its writer shows it here. */
  log(core: Key): Hypercore | null {
    return this.#logs.log(core)
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
    return [...this.#logs.cores(), ...this.archives.cores('acl')]
  }

  /** Keys of the logs of other devices that are held here. */
  logKeys(): readonly Uint8Array[] {
    const own = keyOf(this.#own.core.key)
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

  /** Who waits to be let in, by data core. */
  asking(): ReadonlyMap<Key, Credentials> {
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
    await this.archives.close()
    await this.#logs.close()
  }

  #changed(): void {
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

/** What is found may be a history that more is to be looked for in. */
async function settleAll(archives: Archives, logs: AclLogs): Promise<void> {
  for (let before = null; before !== logs.membership;) {
    before = logs.membership
    await archives.settle()
  }
}

const NOTHING = { members: null, logs: 0 }

interface Opened extends MembersParts {
  readonly logs: AclLogs
  readonly archives: Archives
  readonly own: OwnLog
  readonly credentials: Credentials
  readonly writers: WriterList
}
