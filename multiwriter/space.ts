/** One shared space on this device, as applications see it: its database, its documents, who is in it, its peers, its past. */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import z32 from 'z32'
import type { ClockRepair } from '../clock/index.ts'
import type { ReadOptions, secureStream, SpaceLink, Work } from '../core/index.ts'
import { checkOptions, invalid } from '../errors.ts'
import type { ReadMode } from './indexed-reads.ts'
import type { Anchor, Anchors } from './anchors/anchors.ts'
import { checkSpace, type Finding } from './check.ts'
import { versionNow } from './checkout.ts'
import type { Channel } from './channels/channel.ts'
import { compactSpace, type CompactOptions, type CompactReport } from './compact.ts'
import type { Value } from '../crdt/index.ts'
import type { Documents } from './documents/documents.ts'
import {
  listInvites,
  makeInvite,
  revokeInvite,
  type InviteInfo,
  type InviteOptions,
  type NewInvite
} from './members/space-invites.ts'
import type { SpaceMembers } from './members/space-members.ts'
import type { Standing } from './members/standing.ts'
import type { Difference, MultiBee, StreamOptions } from './multibee.ts'
import {
  followLink,
  linkTo,
  type LinkOptions,
  type LinkPlace,
  type OpenLinkOptions
} from './open-link.ts'
import { checkRead, checkWork, READ_OPTIONS, WORK_OPTIONS } from './options.ts'
import type { Presence } from './presence/hub.ts'
import type { Refusal } from './refusals.ts'
import { repairSpace, type RepairReport } from './repair.ts'
import type { SpaceEvents } from './space-events.ts'
import {
  closeParts,
  openParts,
  SpaceRuntime,
  type OpenedParts,
  type SpaceParts
} from './space-runtime.ts'
import { statsOf, type SpaceStats } from './stats.ts'
import { syncState, type SyncState } from './sync-state.ts'
import { keyIn } from './key-text.ts'
import { encodeTicket } from './ticket.ts'
import {
  restore,
  revert,
  type RestoreReport,
  type RevertOptions,
  type RevertReport,
  type UndoOptions
} from './undo.ts'
import { checkoutSpace, versionAt, versionIn, type AtOptions, type Checkout } from './versions.ts'

/** One device's log in this space. */
export interface WriterInfo {
  /** The log's key in text form: the `writer` of entries, and what `addWriter` takes. */
  readonly writer: string
  readonly isOwn: boolean
  /** Blocks that can be read here. */
  readonly length: number
}

/** The stack's duplex stream, to pipe. */
export type RawStream = NonNullable<ReturnType<typeof secureStream>>['rawStream']

export interface ReplicateOptions {
  /** On which side of a plain duplex we are: exactly one side is the initiator. */
  readonly initiator?: boolean
}

const KEY_BYTES = 32

export class Space extends EventEmitter<SpaceEvents> {
  /** Public: names the space, lets nobody in. */
  readonly address: string
  readonly name: string
  /** Devices that connect add each other. */
  readonly isOpen: boolean
  /** Its logs are encrypted; false only where it was made without, to measure. */
  readonly isEncrypted: boolean
  /** The database. */
  readonly db: MultiBee
  /** Live documents. */
  readonly documents: Documents
  /** Proofs from outside that the space was as it is. */
  readonly anchors: Anchors
  /** Who is in. */
  readonly members: SpaceMembers
  /** This device's log: the `writer` of the entries that it writes. */
  readonly writer: string
  /** What the clock was set back from at opening, if it had once run far ahead; then past stamps stay as they are. */
  readonly clockRepair: ClockRepair | null
  /** For connections; not for applications. */
  readonly wire: SpaceLink
  /** This device's own place in it. For the device; not for applications. */
  readonly standing: Standing

  readonly #runtime: SpaceRuntime
  readonly #parts: OpenedParts

  /** @see Device.createSpace, Device.openSpace */
  static async open(parts: SpaceParts): Promise<Space> {
    const opened = await openParts(parts)
    try {
      const space = new Space(opened)
      await space.#runtime.start()
      return space
    } catch (error) {
      await closeParts(opened)
      throw error
    }
  }

  private constructor(parts: OpenedParts) {
    super()
    const { record, ownLogs, clock } = parts
    const runtime = new SpaceRuntime(parts, this)
    this.#parts = parts
    this.#runtime = runtime
    this.address = z32.encode(record.address)
    this.name = record.name
    this.isOpen = record.open
    this.isEncrypted = record.encrypted
    this.writer = z32.encode(ownLogs.data.core.key)
    this.clockRepair = clock.repaired
    this.db = runtime.db
    this.documents = runtime.documents
    this.anchors = runtime.anchors
    this.members = runtime.memberList
    this.wire = runtime.wire
    this.standing = runtime.standing
  }

  /**
   * Makes an invite: whoever has its link is let in by any device of an owner or admin that is online, this one or another. Keep one
   * online until they have come.
   * @returns the invite with its link, which cannot be had again
   * @throws NOT_ALLOWED for who may not let in as much, INVALID_ARGUMENT, STORE_ codes
   * @example const { link } = await space.invite({ role: 'writer', expiresIn: '1d' })
   */
  async invite(options: InviteOptions = {}): Promise<NewInvite> {
    this.#checkOpen()
    return makeInvite(this.#runtime.invites, options, this.#parts.now())
  }

  /** The invites of this space that this device knows of, also those that have ended; without their links. */
  invites(): readonly InviteInfo[] {
    this.#checkOpen()
    return listInvites(this.#runtime.invites)
  }

  /**
   * Takes an invite back: nobody is let in by it any more. Whom it has let in stays.
   * @param id of one of `invites`
   * @throws NOT_ALLOWED, INVALID_ARGUMENT, STORE_ codes
   */
  async revokeInvite(id: string): Promise<void> {
    this.#checkOpen()
    await revokeInvite(this.#runtime.invites, id)
  }

  /** Lets its bearer in. Keep it secret. */
  get ticket(): string {
    return this.#ticketWith(this.#parts.keys?.forTicket ?? null)
  }

  /**
   * The same for who is to keep and serve everything, and to read nothing: it comes without the key of the content. Whoever is let in as
   * more than a mirror gets that.
   */
  get mirrorTicket(): string {
    return this.#ticketWith(null)
  }

  #ticketWith(epoch: Uint8Array | null): string {
    return encodeTicket({
      address: this.#parts.record.address,
      ...this.#runtime.entrance(epoch)
    })
  }

  /**
   * Whether reads are answered from the logs ('stream', always so in a sparse space, or where the index cannot be opened), by the
   * local index, or both.
   */
  get mode(): ReadMode {
    return this.#runtime.index.mode
  }

  /** All logs that are followed: also of devices that only read, or were removed. */
  writers(): readonly WriterInfo[] {
    this.#checkOpen()
    return this.#runtime.union.logs().map((log) => ({
      writer: log.id,
      isOwn: log.id === this.writer || this.#runtime.earlier.has(log.id),
      length: log.length
    }))
  }

  /** Devices connected to now, by their keys in text form. */
  peers(): readonly string[] {
    return this.#runtime.peers.list().map((peer) => z32.encode(peer.remoteKey))
  }

  /** How far each log is here, and which connected devices are in step with us. */
  syncState(): SyncState {
    this.#checkOpen()
    const logs = this.#runtime.union.logs()
    const isComplete = logs.length === this.#runtime.writers.list().length
    const { isOpen, writer } = this
    return syncState({ logs, peers: this.#runtime.peers.list(), own: writer, isOpen, isComplete })
  }

  /** Who is there now, and what they say of themselves: cursors, names. Never stored. */
  get presence(): Presence {
    return this.#runtime.presence
  }

  /**
   * Messages to and from the devices that are connected now and have a channel of the same name: straight from one to the other,
   * stored nowhere. The same object for the same name until it is closed.
   * @param name 1 to 255 bytes
   * @throws INVALID_ARGUMENT, SPACE_CLOSED
   * @example
   * const chat = space.channel('chat')
   * chat.on('message', (bytes, peer) => console.log(peer, bytes))
   * for (const peer of chat.peers()) await chat.send(peer, new Uint8Array([1]))
   */
  channel(name: string): Channel {
    return this.#runtime.channels.channel(name)
  }

  /** What was refused of others' data since the space was opened. */
  refusals(): readonly Refusal[] {
    return this.#runtime.refusals.list()
  }

  /**
   * Looks for damage: each log's tree is walked to its last entry. Worst first; [] for a sound space. Only looks.
   * @example for (const { severity, message, next } of await space.check()) console.log(severity, message, next)
   */
  async check(options: Work = {}): Promise<readonly Finding[]> {
    this.#checkOpen()
    checkOptions('check', options, WORK_OPTIONS)
    checkWork(options)
    return this.#whileOpen(() => checkSpace(this.#runtime.upkeep, options))
  }

  /**
   * Checks, and repairs what can be: a local index that differs from the logs or does not read is built again, a purge that was
   * cut short is finished, and what is missing or damaged here of others' logs is fetched from connected devices. What is left is
   * for a person.
   */
  async repair(options: Work = {}): Promise<RepairReport> {
    this.#checkOpen()
    checkOptions('repair', options, WORK_OPTIONS)
    checkWork(options)
    return this.#whileOpen(() => repairSpace(this.#runtime.upkeep, options))
  }

  /** Where the bytes are: by log, live and history, and in all. Reads everything that is here once. */
  async stats(options: Work = {}): Promise<SpaceStats> {
    this.#checkOpen()
    checkOptions('stats', options, WORK_OPTIONS)
    checkWork(options)
    return this.#whileOpen(() => statsOf(this.#runtime.upkeep, options))
  }

  /**
   * Wins room back on this device's disk, and leaves out of its log what others have written over for good, which makes scans
   * shorter. With `history: 'drop'` the log keeps only its newest state: versions from before are gone on every device, for ever.
   * @throws STORE_ codes
   */
  async compact(options: CompactOptions = {}): Promise<CompactReport> {
    this.#checkOpen()
    checkOptions('compact', options, ['history', ...WORK_OPTIONS])
    checkWork(options)
    return this.#whileOpen(() => compactSpace(this.#runtime.upkeep, options))
  }

  /**
   * Reads another device's log from now on. Of a device that may grant, it lets the other in as a writer, as soon as that shows its
   * credentials: then everybody in the space reads it.
   * @param writer its `space.writer`, or the 32 bytes of that key
   */
  async addWriter(writer: string | Uint8Array): Promise<void> {
    this.#checkOpen()
    await this.#runtime.followed.add([parseWriter(writer)])
  }

  /**
   * Replicates this space over a stream: a plain duplex (say on which side we are), a Noise stream, or, with a boolean in its
   * place (are we the initiator?), the stream that is returned.
   * @example const stream = space.replicate(true); stream.pipe(other.replicate(false)).pipe(stream)
   */
  replicate(isInitiator: boolean): RawStream
  replicate<S extends object>(stream: S, options?: ReplicateOptions): S
  replicate(stream: unknown, options: ReplicateOptions = {}): unknown {
    this.#checkOpen()
    checkReplicate(options)
    return this.#parts.replicate(this.wire, stream, options.initiator)
  }

  /** The text that names what is read now, for ever. */
  async version(options: ReadOptions = {}): Promise<string> {
    this.#checkOpen()
    return versionNow(this.#runtime.engine, checkReadOptions('version', options))
  }

  /**
   * The space as it was at a version: reads only, and never changes, whatever arrives or is sealed later. What of it is not on
   * this device, the first read tells (VERSION_UNAVAILABLE).
   * @throws VERSION_INVALID, VERSION_FOREIGN
   */
  checkout(version: string): Checkout {
    this.#checkOpen()
    return checkoutSpace(this.#runtime.engine, version)
  }

  /**
   * The version at a time: of each log, everything before the first batch that was stamped later. Reads through every log.
   * @param time a Date, or milliseconds since 1970
   */
  async at(time: Date | number, options: AtOptions = {}): Promise<string> {
    this.#checkOpen()
    checkOptions('at', options, [...READ_OPTIONS, ...WORK_OPTIONS])
    checkRead(options)
    checkWork(options)
    return versionAt(this.#runtime.engine, time, options)
  }

  /**
   * What differs between two versions of the database, in key order. For a sub-database:
   * `space.checkout(right).db.sub(name).createDiffStream(left)`.
   * @throws VERSION_INVALID, VERSION_FOREIGN; VERSION_UNAVAILABLE from the loop
   */
  diff(
    left: string,
    right: string,
    options: StreamOptions<string> = {}
  ): AsyncIterableIterator<Difference<string, Value>> {
    this.#checkOpen()
    versionIn(this.#runtime.engine, left)
    return this.checkout(right).db.createDiffStream(left, options)
  }

  /**
   * Gives what the options name (default: everything) the values it had at a version, as new entries: nothing of history is
   * lost, and undoing that is another restore. Conflicts of then come back as what won then.
   * @throws VERSION_ codes, BLOCK_UNAVAILABLE, STORE_ codes
   */
  async restore(version: string, options: UndoOptions = {}): Promise<RestoreReport> {
    this.#checkOpen()
    return restore(this.#runtime.engine, version, options)
  }

  /**
   * Undoes one writer's work after a version, as new entries. What others wrote over it since stays, and so does what shows
   * instead of it.
   * @example await space.revert({ writer: phone.writer, after: yesterday, gte: 'contacts/', lt: 'contacts0' })
   * @throws INVALID_ARGUMENT, VERSION_ codes, BLOCK_UNAVAILABLE, STORE_ codes
   */
  async revert(options: RevertOptions): Promise<RevertReport> {
    this.#checkOpen()
    return revert(this.#runtime.engine, options)
  }

  /**
   * 32 bytes that commit to all logs of the space as they are here, for somebody outside to vouch for (`anchors.attach`). They tell nothing
   * about what stands in it.
   * @throws BLOCK_UNAVAILABLE in a sparse space
   */
  async anchor(options: ReadOptions = {}): Promise<Anchor> {
    this.#checkOpen()
    return this.anchors.make(checkReadOptions('anchor', options))
  }

  /**
   * A link to the space, a sub-database or a key; now, at a version, or proving which state was meant (docs/FORMAT.md, "Link").
   * It lets nobody in: who opens it (`device.openLink`) is in the space.
   * @throws KEY_INVALID, VERSION_ codes
   */
  async link(options: LinkOptions = {}): Promise<string> {
    this.#checkOpen()
    return linkTo(this.#runtime.engine, this.address, options)
  }

  /**
   * Where a link into this space leads. @see Device.openLink
   * @throws LINK_INVALID, LINK_MISMATCH, SPACE_UNKNOWN, KEY_INVALID, VERSION_ codes
   */
  async openLink<K = string, V = Value>(
    url: string,
    options: OpenLinkOptions<K, V> = {}
  ): Promise<LinkPlace<K, V>> {
    this.#checkOpen()
    return followLink(this.#runtime.engine, this.address, url, options)
  }

  /** Of all logs that are kept here for this space. For the device; not for applications. */
  logKeys(): readonly Uint8Array[] {
    return [
      ...this.#runtime.members.cores().map(({ key }) => key),
      ...this.#runtime.members.archives.cores('data').map(({ key }) => key),
      ...this.#runtime.union.logs().map(({ key }) => key)
    ]
  }

  /** @see Device.leaveSpace */
  leave(): Promise<void> {
    this.#checkOpen()
    return this.#parts.leave()
  }

  /** Finishes what was put, then closes. Idempotent. */
  close(): Promise<void> {
    return this.#runtime.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** What fails while the space closes fails because of that. */
  async #whileOpen<T>(task: () => Promise<T>): Promise<T> {
    try {
      return await task()
    } catch (error) {
      this.#checkOpen()
      throw error
    }
  }

  #checkOpen(): void {
    this.#runtime.checkOpen()
  }
}

export function checkReplicate(options: ReplicateOptions): void {
  checkOptions('replicate', options, ['initiator'])
  const { initiator } = options
  if (initiator !== undefined && typeof initiator !== 'boolean') {
    invalid('initiator', 'true or false', initiator)
  }
}

function checkReadOptions(what: string, options: ReadOptions): ReadOptions {
  checkOptions(what, options, READ_OPTIONS)
  checkRead(options)
  return options
}

function parseWriter(writer: unknown): Uint8Array {
  const core = writer instanceof Uint8Array ? writer : keyIn(writer)
  if (core?.byteLength === KEY_BYTES) return b4a.from(core)
  return invalid('writer', 'the `space.writer` of a device, as text or 32 bytes', writer)
}
