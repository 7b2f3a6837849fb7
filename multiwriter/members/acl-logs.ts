/**
 * The membership logs of a space on this device: its own, the root, and those of all who were let in, each followed as soon as a
 * record that is held names it. What they come to is `membership`, resolved anew with whatever arrives, in whatever order.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import {
  decodeRecord,
  encodeRecord,
  MembershipResolver,
  type AclLog,
  type AclRecord,
  type Head,
  type Key,
  type LoggedRecord,
  type Membership
} from '../../acl/index.ts'
import { BlockLog, type Hypercore, type OwnLog } from '../../core/index.ts'
import { bytesOf, hashText, keyOf, verifier, type Credentials } from './credentials.ts'

/** A record before its author's heads are added. */
export type Draft = AclRecord extends infer R
  ? R extends AclRecord
    ? Omit<R, 'heads'>
    : never
  : never

export interface AclLogsParts {
  /** The space's address: the founder's acl core. */
  readonly space: Uint8Array
  readonly own: OwnLog
  openLog(core: Uint8Array): Promise<Hypercore>
}

export class AclLogs {
  /** After each record that arrived, from here or elsewhere. */
  readonly events = new EventEmitter<{ change: [] }>()
  readonly #parts: AclLogsParts
  readonly #resolver: MembershipResolver
  readonly #logs = new Map<Key, FollowedLog>()
  #membership: Membership
  #opening: Promise<void> = Promise.resolve()
  #writing: Promise<unknown> = Promise.resolve()
  #isClosed = false

  static async open(parts: AclLogsParts, known: readonly Uint8Array[]): Promise<AclLogs> {
    const logs = new AclLogs(parts)
    try {
      await logs.#follow([parts.own.core.key, parts.space, ...known].map(keyOf))
      await logs.#opening // what those named
      return logs
    } catch (error) {
      await logs.close()
      throw error
    }
  }

  private constructor(parts: AclLogsParts) {
    this.#parts = parts
    const space = keyOf(parts.space)
    this.#resolver = new MembershipResolver({ space, verify: verifier, hash: hashText })
    this.#membership = this.#resolver.add([])
  }

  get membership(): Membership {
    return this.#membership
  }

  /** To offer to peers, and to ask them for. */
  cores(): readonly Hypercore[] {
    return [...this.#logs.values()].map(({ log }) => log.core)
  }

  /** Of this device. */
  get ownCore(): Uint8Array {
    return this.#parts.own.core.key
  }

  /** How far a log is held; null for nothing of it. */
  headOf(core: Key): Head | null {
    return this.#logs.get(core)?.head ?? null
  }

  /** What is held of a log; null where it is no membership log that is followed. */
  recordsOf(core: Key): readonly LoggedRecord[] | null {
    return this.#logs.get(core)?.records ?? null
  }

  /** What devices of an identity have shown to be let in, in no particular order. */
  credentialsOf(identity: Key): readonly Credentials[] {
    return [...this.#logs.values()].flatMap(({ records }) =>
      records.flatMap(({ record }) => {
        const shown = typeof record === 'string' ? null : credentialsIn(record)
        return shown?.member.identity === identity ? shown : []
      })
    )
  }

  /** All that is held, as a record names it. */
  heads(): readonly Head[] {
    return [...this.#logs.values()].flatMap((followed) => followed.head ?? [])
  }

  /** Says something in this device's log, as one who has seen all that is held. @throws STORE_ codes */
  write(draft: Draft): Promise<void> {
    const written = this.#writing.then(() => this.#write(draft))
    this.#writing = written.catch(() => {}) // shown to the caller of this one
    return written
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#writing
    await this.#opening.catch(() => {}) // what opened is closed below
    await Promise.all([...this.#logs.values()].map(({ log }) => log.close()))
    await this.#parts.own.close()
    this.events.removeAllListeners()
  }

  async #write(draft: Draft): Promise<void> {
    const { own } = this.#parts
    const self = keyOf(own.core.key)
    const heads = this.heads().filter(({ core }) => core !== self)
    await own.appendBlock(encodeRecord({ ...draft, heads }))
    await this.#logs.get(self)?.log.read()
  }

  #follow(cores: readonly Key[]): Promise<void> {
    const unknown = cores.filter((core, i) => !this.#logs.has(core) && cores.indexOf(core) === i)
    if (unknown.length === 0) return this.#opening
    const before = this.#opening.catch(() => {}) // shown to whoever asked for those
    this.#opening = before.then(async () => {
      await Promise.all(unknown.map((core) => this.#open(core)))
    })
    return this.#opening
  }

  async #open(core: Key): Promise<void> {
    if (this.#isClosed || this.#logs.has(core)) return
    const { own } = this.#parts
    const key = bytesOf(core)
    const isOwn = b4a.equals(key, own.core.key)
    const session = isOwn ? own.core.session() : await this.#parts.openLog(key)
    await session.ready()
    const followed = new FollowedLog(session, isOwn, () => this.#resolve(followed))
    this.#logs.set(core, followed)
    await followed.log.read()
    if (followed.head === null) this.events.emit('change') // one more to offer and to ask for
  }

  #resolve(grown: FollowedLog): void {
    if (this.#isClosed) return
    this.#membership = this.#resolver.add([grown.take()])
    const acl = [...this.#membership.cores.values()].filter(({ use }) => use === 'acl')
    // A log that cannot be opened now (the disk failed) is opened with the space the next time.
    this.#follow(acl.map(({ core }) => core)).catch(() => {})
    this.events.emit('change')
  }
}

/** One log, its blocks read as records. */
class FollowedLog {
  readonly log: BlockLog
  readonly records: LoggedRecord[] = []

  constructor(core: Hypercore, isOwn: boolean, ongrown: () => void) {
    this.log = new BlockLog(core, isOwn, ongrown)
  }

  /** The log with what has arrived. */
  take(): AclLog {
    for (const { block, treeHash } of this.log.blocks.slice(this.records.length)) {
      this.records.push({ record: decodeRecord(block), treeHash: keyOf(treeHash) })
    }
    return { core: keyOf(this.log.core.key), records: this.records }
  }

  get head(): Head | null {
    const last = this.log.blocks.at(-1)
    if (last === undefined) return null
    const { length } = this.log.blocks
    return { core: keyOf(this.log.core.key), length, treeHash: keyOf(last.treeHash) }
  }
}

/** Of records that let somebody in. */
function credentialsIn(record: AclRecord): Credentials | null {
  switch (record.kind) {
    case 'found':
    case 'grant':
      return record
    case 'vote':
      return record.change.kind === 'add' ? record.change : null
    default:
      return null
  }
}
