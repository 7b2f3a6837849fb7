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
  type DeviceClaim,
  type Head,
  type Key,
  type LoggedRecord,
  type Membership,
  type RecoveryRecord,
  type SuccessorRecord
} from '../../acl/index.ts'
import { BlockLog, checkForkProof, type Hypercore, type OwnLog } from '../../core/index.ts'
import { ManyhandsError } from '../../errors.ts'
import { bytesOf, hashText, keyOf, verifier, type Credentials } from './credentials.ts'

/** A record before its author's heads are added. */
export type Draft = AclRecord extends infer R
  ? R extends AclRecord
    ? Omit<R, 'heads'>
    : never
  : never

/** Anybody with a device in the space can make up logs without end. */
const MAX_FOLLOWED = 16_384

export interface AclLogsParts {
  /** The space's address: the founder's acl core. */
  readonly space: Uint8Array
  readonly own: OwnLog
  openLog(core: Uint8Array): Promise<Hypercore>
}

export class AclLogs {
  /** After each record that arrived, from here or elsewhere. */
  readonly events = new EventEmitter<{ change: [] }>()
  /** Proofs of forks that prove none: whose log each stands in, and where. The list grows. */
  readonly unproved: { readonly core: Key; readonly seq: number }[] = []
  readonly #parts: AclLogsParts
  readonly #resolver: MembershipResolver
  readonly #logs = new Map<Key, FollowedLog>()
  /** Other histories of forked logs, out of their archives. */
  readonly #branches: FollowedLog[] = []
  /** Of logs that were proved to have several histories: what they hash to up to where these part. */
  readonly #proved = new Map<Key, Head>()
  /** Heads that this device's log names, in its records up to here. */
  readonly #named = new Set<string>()
  #namedUpTo = 0
  /** Logs that have grown while the first ones open: for each alone, all of them would be gone through. Null from then on. */
  #gathered: Set<FollowedLog> | null = new Set()
  #membership: Membership
  #opening: Promise<void> = Promise.resolve()
  #writing: Promise<unknown> = Promise.resolve()
  #isClosed = false

  static async open(parts: AclLogsParts, known: readonly Uint8Array[]): Promise<AclLogs> {
    const logs = new AclLogs(parts)
    try {
      await logs.#follow([parts.own.core.key, parts.space, ...known].map(keyOf))
      logs.#resolveGathered()
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
    // The session that follows a conflict takes a moment to open.
    return [...this.#logs.values()].flatMap(({ log }) => (log.core.opened ? log.core : []))
  }

  /** The logs that are followed. */
  keys(): readonly Key[] {
    return [...this.#logs.keys()]
  }

  /** Of this device. */
  get ownCore(): Uint8Array {
    return this.#parts.own.core.key
  }

  /** Whether what this device says from now on does, as far as it knows: its newest logs may be none that go on from its old ones. */
  get isOwnCounted(): boolean {
    return this.#membership.cores.get(keyOf(this.ownCore))?.length === Infinity
  }

  /** How far a log is held; null for nothing of it. */
  headOf(core: Key): Head | null {
    return this.#logs.get(core)?.head ?? null
  }

  /** How far a log is on this device: `headOf` names less while blocks that are here are still being read. */
  async readHead(core: Key): Promise<Head | null> {
    await this.#logs.get(core)?.log.read()
    return this.headOf(core)
  }

  /** The session of a log that is followed, in the history that its writer shows here. */
  log(core: Key): Hypercore | null {
    const session = this.#logs.get(core)?.log.core
    return session?.opened ? session : null
  }

  /** Where the histories of a log part, as was proved; null where nobody has. */
  provedFork(core: Key): Head | null {
    return this.#proved.get(core) ?? null
  }

  /** Whether the record with which a log ends at this head is held, in whatever history. */
  holds({ core, length, treeHash }: Head): boolean {
    const histories = [this.#logs.get(core), ...this.#branches].filter((log) => log?.core === core)
    return histories.some((log) => log?.records[length - 1]?.treeHash === treeHash)
  }

  /** Reads another history of a forked log, too. Owns the session from now on. */
  async addBranch(core: Key, archive: Hypercore): Promise<void> {
    if (this.#isClosed) return archive.close()
    const branch = new FollowedLog(core, archive, true, () => this.#resolve(branch))
    this.#branches.push(branch)
    await branch.log.read()
  }

  /** The space's address. */
  get space(): Key {
    return keyOf(this.#parts.space)
  }

  /** Each history of a log that is held, first the one that its writer shows here. */
  historiesOf(core: Key): readonly (readonly LoggedRecord[])[] {
    const own = this.#logs.get(core)?.records ?? null
    const others = this.#branches.filter((branch) => branch.core === core)
    return [...(own === null ? [] : [own]), ...others.map(({ records }) => records)]
  }

  /** What is held of a log; null where it is no membership log that is followed. */
  recordsOf(core: Key): readonly LoggedRecord[] | null {
    return this.#logs.get(core)?.records ?? null
  }

  /** Whether anything of a log is held. */
  isBegun(core: Key): boolean {
    return this.headOf(core) !== null
  }

  /** The newest logs of all devices that went on under new ones, or came back by the recovery key, as each shows them itself. */
  begunByThemselves(): readonly Credentials[] {
    const acl = [...this.#membership.cores.values()].filter(({ use }) => use === 'acl')
    const old = new Set(acl.map(({ continues }) => continues?.core))
    return acl.flatMap(({ core }) => {
      const first = old.has(core) ? null : this.#logs.get(core)?.first
      return saysItself(first) ? { member: first.member, cores: first.cores } : []
    })
  }

  /** Whether the first record of a log says by what right it counts. */
  isBegunByItself(core: Key): boolean {
    return saysItself(this.#logs.get(core)?.first)
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
    const all = [...this.#logs.values(), ...this.#branches].flatMap(({ head }) => head ?? [])
    const byName = new Map(all.map((head) => [nameOf(head), head]))
    return [...byName.values()]
  }

  /** Says something in this device's log, as one who has seen all that is held. @throws STORE_ codes */
  write(draft: Draft): Promise<void> {
    const isOfEpoch = draft.kind === 'epoch' || draft.kind === 'share'
    const heads = () => (isOfEpoch ? this.#newHeads() : this.#othersHeads())
    return this.#inTurn(() => ({ ...draft, heads: heads() }))
  }

  /** Begins this device's log, if it is not begun yet. @throws STORE_ codes */
  begin(make: (heads: readonly Head[]) => SuccessorRecord | RecoveryRecord): Promise<void> {
    return this.#inTurn(() => (this.#parts.own.core.length > 0 ? null : make(this.#othersHeads())))
  }

  /** Reads these logs from now on, and offers them. */
  follow(cores: readonly Key[]): void {
    const room = Math.max(0, MAX_FOLLOWED - this.#logs.size)
    const unknown = cores.filter((core) => !this.#logs.has(core)).slice(0, room)
    // A log that cannot be opened now (the disk failed) is told of again.
    this.#follow(unknown).catch(() => {})
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#writing
    await this.#opening.catch(() => {}) // what opened is closed below
    await Promise.all([...this.#logs.values(), ...this.#branches].map(({ log }) => log.close()))
    await this.#parts.own.close()
    this.events.removeAllListeners()
  }

  #inTurn(make: () => AclRecord | null): Promise<void> {
    const written = this.#writing.then(() => this.#write(make()))
    this.#writing = written.catch(() => {}) // shown to the caller of this one
    return written
  }

  #othersHeads(): readonly Head[] {
    const self = keyOf(this.#parts.own.core.key)
    return this.heads().filter(({ core }) => core !== self)
  }

  /** What a record has seen, the next one has: a key for a thousand devices comes right after a removal that names all their logs. */
  #newHeads(): readonly Head[] {
    const own = this.recordsOf(keyOf(this.ownCore)) ?? []
    for (const { record } of own.slice(this.#namedUpTo))
      if (typeof record !== 'string') for (const head of record.heads) this.#named.add(nameOf(head))
    this.#namedUpTo = own.length
    return this.#othersHeads().filter((head) => !this.#named.has(nameOf(head)))
  }

  async #write(record: AclRecord | null): Promise<void> {
    if (record === null) return
    const { own } = this.#parts
    const self = keyOf(own.core.key)
    const isForked = this.#membership.cores.get(self)?.endedBy === 'fork'
    // The stack has seen it before the proof has come.
    if (isForked || (own.core.closing !== null && !this.#isClosed)) throw forkedHere()
    await own.appendBlock(encodeRecord(record))
    await this.#logs.get(self)?.log.read()
  }

  /** Of several, the one that shows the earliest parting. */
  #noteProofs({ core: author, records }: AclLog, from: number): void {
    for (const [i, { record }] of records.slice(from).entries()) {
      if (typeof record === 'string' || record.kind !== 'fork') continue
      const { core, common, proof } = record
      const shown = checkForkProof(bytesOf(core), common, proof)
      if (shown === null) this.unproved.push({ core: author, seq: from + i })
      else if (common < (this.#proved.get(core)?.length ?? Infinity))
        this.#proved.set(core, { core, length: common, treeHash: keyOf(shown.before) })
    }
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
    // Our own is fetched as well: a copy of this store may have written on.
    const followed = new FollowedLog(core, session, false, () => this.#resolve(followed))
    this.#logs.set(core, followed)
    await followed.log.read()
    if (followed.head === null) this.events.emit('change') // one more to offer and to ask for
  }

  #resolve(grown: FollowedLog): void {
    if (this.#gathered === null) this.#resolveAll([grown])
    else this.#gathered.add(grown)
  }

  #resolveGathered(): void {
    const gathered = [...(this.#gathered ?? [])]
    this.#gathered = null
    if (gathered.length > 0) this.#resolveAll(gathered)
  }

  #resolveAll(grown: readonly FollowedLog[]): void {
    if (this.#isClosed) return
    const logs = grown.map((each) => this.#take(each))
    this.#membership = this.#resolver.add(logs)
    const acl = [...this.#membership.cores.values()].filter(({ use }) => use === 'acl')
    // A log that cannot be opened now (the disk failed) is opened with the space the next time.
    this.#follow(acl.map(({ core }) => core)).catch(() => {})
    this.follow([...this.#logs.values()].flatMap((each) => this.#continuedBy(each)))
    this.events.emit('change')
  }

  #take(grown: FollowedLog): AclLog {
    const { length } = grown.records
    const log = grown.take()
    this.#noteProofs(log, length)
    return log
  }

  /** The log that one goes on from, by its device's own word: a chain is told of by its last one. */
  #continuedBy({ core, first }: FollowedLog): readonly Key[] {
    if (first?.kind !== 'successor') return []
    const old = first.cores.flatMap((claim) =>
      claim.use === 'acl' && !this.#logs.has(claim.core) ? claim.core : []
    )
    if (old.length === 0 || !this.isDevice(first.member)) return []
    return verifier.successor(keyOf(this.#parts.space), core, first) ? old : []
  }

  /** Whether somebody is or was a member. */
  isMember(identity: Key): boolean {
    return this.#membership.members.has(identity)
  }

  /** Whether it is a device of somebody who is or was a member. */
  isDevice({ identity, device }: DeviceClaim): boolean {
    const devices = this.#membership.members.get(identity)?.devices ?? []
    return devices.some((each) => each.device === device)
  }
}

function nameOf({ core, length, treeHash }: Head): string {
  return `${core} ${length} ${treeHash}`
}

/** One log, or one history of it, its blocks read as records. */
class FollowedLog {
  /** Of the log, also where it is read out of an archive. */
  readonly core: Key
  readonly log: BlockLog
  readonly records: LoggedRecord[] = []

  constructor(core: Key, session: Hypercore, isOwn: boolean, ongrown: () => void) {
    this.core = core
    this.log = new BlockLog(session, isOwn, ongrown)
  }

  /** Null before there is any, and for one that cannot be read. */
  get first(): AclRecord | null {
    const record = this.records[0]?.record
    return record === undefined || typeof record === 'string' ? null : record
  }

  /** The log with what has arrived. */
  take(): AclLog {
    for (const { block, treeHash } of this.log.blocks.slice(this.records.length)) {
      this.records.push({ record: decodeRecord(block), treeHash: keyOf(treeHash) })
    }
    return { core: this.core, records: this.records }
  }

  get head(): Head | null {
    const last = this.log.blocks.at(-1)
    if (last === undefined) return null
    const { length } = this.log.blocks
    return { core: this.core, length, treeHash: keyOf(last.treeHash) }
  }
}

/**
 * This device wrote two histories of a log. It may go on under new logs of the same device key (docs/MEMBERSHIP.md, rule 9): here is
 * where a succession is due.
 */
export function forkedHere(): ManyhandsError {
  const why = 'its log has two histories: its store was copied, or restored, and both wrote'
  return new ManyhandsError(
    'NOT_ALLOWED',
    `This device may not write: ${why}. It can go on under new logs (\`device.rotate\`)`
  )
}

function saysItself(
  first: AclRecord | null | undefined
): first is SuccessorRecord | RecoveryRecord {
  return first?.kind === 'successor' || first?.kind === 'recovery'
}

/** Of records that let somebody in. */
function credentialsIn(record: AclRecord): Credentials | null {
  switch (record.kind) {
    case 'found':
    case 'grant':
    case 'recovery':
      return record
    case 'vote':
      return record.change.kind === 'add' ? record.change : null
    default:
      return null
  }
}
