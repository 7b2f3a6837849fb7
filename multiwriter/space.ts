/**
 * One shared space on this device: its database, its writers, its peers. Composition only: logs come from the store, order from
 * the clock, values from the union, streams from the device.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import z32 from 'z32'
import { SPACE_TAG_BYTES, type ClockRepair, type HybridLogicalClock } from '../clock/index.ts'
import {
  LogReader,
  type BlockRange,
  type ClearingHooks,
  type secureStream,
  type DeviceStore,
  type KeyPair,
  type OwnLog,
  type ReadOptions,
  type SpaceLink,
  type SpaceRecord,
  type SpaceSecrets,
  type Work
} from '../core/index.ts'
import { checkOptions, invalid, ManyhandsError } from '../errors.ts'
import type { ReadMode } from './indexed-reads.ts'
import type { IndexProgress, IndexRebuild } from './local-index.ts'
import { LogAcknowledgements } from './acknowledgements.ts'
import { Anchors, type Anchor } from './anchors/anchors.ts'
import { checkSpace, type Finding } from './check.ts'
import type { Channel } from './channels/channel.ts'
import { ChannelHub } from './channels/hub.ts'
import { clearingHooks } from './cleared.ts'
import {
  compactSpace,
  type CompactOptions,
  type CompactParts,
  type CompactReport
} from './compact.ts'
import type { Value } from '../crdt/index.ts'
import { Documents } from './documents/documents.ts'
import { documentCacheOf } from './documents/cache.ts'
import type { DocumentSupport } from './documents/parts.ts'
import type { Engine } from './engine.ts'
import type { Acts } from './members/acts.ts'
import { Acknowledging } from './members/acknowledging.ts'
import { ContentKeys } from './members/content-keys.ts'
import { forkedHere } from './members/acl-logs.ts'
import { documentsUpTo, shownUpTo, type ExcludedEntry } from './members/excluded.ts'
import type { ForkWatch } from './members/fork-watch.ts'
import type { Invites } from './members/invites.ts'
import { watchForks, type ForkInfo } from './members/forks.ts'
import { LastSeen } from './members/last-seen.ts'
import { Members } from './members/members.ts'
import type { LoweredSeal } from './members/seals.ts'
import {
  listInvites,
  makeInvite,
  revokeInvite,
  type InviteInfo,
  type InviteOptions,
  type NewInvite
} from './members/space-invites.ts'
import { SpaceMembers } from './members/space-members.ts'
import { jsonDatabase, type Difference, type MultiBee, type StreamOptions } from './multibee.ts'
import {
  followLink,
  linkTo,
  type LinkOptions,
  type LinkPlace,
  type OpenLinkOptions
} from './open-link.ts'
import { checkRead, checkWork, READ_OPTIONS, WORK_OPTIONS } from './options.ts'
import { openClock, observeWith } from './own-clock.ts'
import { openOwnLogs, stampBefore, type OwnLogs } from './own-logs.ts'
import { PresenceHub, type Presence } from './presence/hub.ts'
import { Pruning } from './pruning.ts'
import { purgeKey, type PurgeParts } from './purge.ts'
import { Refusals, type Refusal } from './refusals.ts'
import { repairSpace, type RepairParts, type RepairReport } from './repair.ts'
import { SpaceIndex } from './space-index.ts'
import { linkOf, SpacePeers } from './space-link.ts'
import { NO_ENCRYPTION, spaceEncryption, SpaceLogs } from './space-logs.ts'
import { statsOf, type SpaceStats, type StatsParts } from './stats.ts'
import { syncState, type SyncState } from './sync-state.ts'
import { encodeTicket, type Entrance } from './ticket.ts'
import type { Timers } from './timers.ts'
import {
  restore,
  revert,
  type RestoreReport,
  type RevertOptions,
  type RevertReport,
  type UndoOptions
} from './undo.ts'
import { Union } from './union.ts'
import {
  checkoutSpace,
  versionAt,
  versionIn,
  versionNow,
  type AtOptions,
  type Checkout
} from './versions.ts'
import { WriteQueue } from './write-queue.ts'
import { WriterList, type Writer } from './writers.ts'

export interface SpaceEvents {
  /** A device whose log this space reads from now on. */
  'writer-add': [writer: string]
  'peer-add': [peer: string]
  'peer-remove': [peer: string]
  /** Remote data was refused. */
  refused: [Refusal]
  /** A device's clock is ahead of ours by more than the allowed drift. Once per writer. */
  'clock-skew': [{ readonly writer: string; readonly aheadMs: number }]
  /** Who is in, with which rights, or which keys are here has changed. */
  members: []
  /** Logs count less far than they did, and what of them was to be seen is not any more. */
  sealed: [Sealed]
  /** A log has two histories, as is known now: @see SpaceMembers.forks */
  forked: [ForkInfo]
  /** The local index reads a log in. */
  'index-progress': [IndexProgress]
  /** The local index was thrown away and is built again. */
  'index-rebuild': [IndexRebuild]
}

/** What left the view. */
export interface Sealed {
  readonly writers: readonly string[]
  /** Where something else shows now, or nothing: in the form of links' paths, with what showed. */
  readonly left: readonly ExcludedEntry[]
  /** Ids of the documents that something was taken out of, or would be if nobody had built on it. */
  readonly documents: readonly string[]
}

/** One device's log in this space. */
export interface WriterInfo {
  /** The log's key in text form: the `writer` of entries, and what `addWriter` takes. */
  readonly writer: string
  readonly isOwn: boolean
  /** Blocks that can be read here. */
  readonly length: number
}

export interface SpaceParts {
  readonly store: DeviceStore
  readonly record: SpaceRecord
  /** As the store has them now. */
  secrets(): SpaceSecrets
  readonly now: () => number
  readonly timers: Timers
  readonly maxDrift?: number
  readonly mode: ReadMode
  /** How documents come to live; null for none. */
  readonly documents: DocumentSupport | null
  /** Makes the record durable. */
  save(record: SpaceRecord): Promise<void>
  /** Makes the keys of its content durable. */
  saveEpochs(epochs: readonly Uint8Array[]): Promise<void>
  /** @see DeviceStore.succeed */
  succeed(why: string): Promise<void>
  /** @see MembersParts.isRecovering */
  readonly isRecovering: boolean
  /** Puts the space on a connection. @returns the stream to pipe */
  replicate(link: SpaceLink, stream: unknown, initiator: boolean | undefined): unknown
  /** Whether somebody may come with an invite, whom this device could let in. Called whenever it may have changed. */
  expect(isExpecting: boolean): void
  /** Forgets the space. */
  leave(): Promise<void>
  /** The space closes from now on, until `closed`. */
  onclose(space: Space, closed: Promise<void>): void
}

interface OpenParts extends SpaceParts {
  readonly logs: SpaceLogs
  /** Null where nothing is encrypted. */
  readonly keys: ContentKeys | null
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

  readonly #parts: OpenParts
  readonly #union: Union
  readonly #engine: Engine
  readonly #writers: WriterList
  readonly #members: Members
  readonly #invites: Invites
  readonly #acts: Acts
  readonly #acknowledging: Acknowledging
  readonly #forks: ForkWatch
  readonly #lastSeen: LastSeen
  readonly #refusals: Refusals
  readonly #presence: PresenceHub
  readonly #channels: ChannelHub
  readonly #clearing: ClearingHooks
  readonly #queue: WriteQueue
  readonly #index: SpaceIndex
  readonly #pruning: Pruning
  readonly #upkeep: RepairParts & StatsParts & PurgeParts & CompactParts
  readonly #peers = new SpacePeers()
  /** Logs that this device wrote before. */
  readonly #earlier: ReadonlySet<string>
  #record: SpaceRecord
  /** Tells refused requests apart. */
  #requests = 0
  #closing: Promise<void> | null = null

  /** @see Device.createSpace, Device.openSpace */
  static async open(parts: SpaceParts): Promise<Space> {
    const { store, record, timers } = parts
    const { address, encrypted } = record
    const { membershipKey, epochs: saved } = parts.secrets()
    const { keyPair } = store
    const save = (epochs: readonly Uint8Array[]) => parts.saveEpochs(epochs)
    const keys = encrypted ? new ContentKeys({ keyPair, saved, save, timers }) : null
    const encryption = keys === null ? NO_ENCRYPTION : spaceEncryption(address, membershipKey, keys)
    const logs = new SpaceLogs(store, encryption)
    for (;;) {
      const space = await Space.#open({ ...parts, logs, keys })
      if (space !== null) return space
      await parts.succeed('the logs that it went on under do not count')
    }
  }

  /** Null where what is written to these logs would count nowhere. */
  static async #open(parts: OpenParts): Promise<Space | null> {
    const { store, record, logs: spaceLogs, keys } = parts
    const logs = await openOwnLogs(parts)
    const { data: own, earlier } = logs
    const opened: { close(): Promise<void> }[] = [own, logs.acl]
    try {
      const clock = await openClock(own, parts.now, parts.maxDrift, await stampBefore(parts))
      const before = earlier.map(({ data }) => data)
      const writers = new WriterList([own.core.key, ...before, ...record.writers])
      const { timers, isRecovering } = parts
      const members = await Members.open(
        { store, spaceLogs, record, own: logs, keys, timers, isRecovering },
        writers
      )
      opened.push(members)
      if (members.isVoid) {
        for (const each of opened) await each.close()
        return null
      }
      const space = new Space(parts, logs, clock, writers, members)
      await Promise.all([space.#union.ready(), space.#index.open()])
      members.start()
      await space.#lastSeen.start()
      space.#pruning.start()
      return space
    } catch (error) {
      for (const each of opened) await each.close()
      throw error
    }
  }

  private constructor(
    parts: OpenParts,
    { data: own, earlier }: OwnLogs,
    clock: HybridLogicalClock,
    writers: WriterList,
    members: Members
  ) {
    super()
    const secrets = parts.secrets()
    const before = earlier.map(({ data }) => data)
    this.#parts = parts
    this.#earlier = new Set(before.map((key) => z32.encode(key)))
    this.#record = parts.record
    this.address = z32.encode(parts.record.address)
    this.name = parts.record.name
    this.isOpen = parts.record.open
    this.isEncrypted = parts.record.encrypted
    this.writer = z32.encode(own.core.key)
    this.clockRepair = clock.repaired
    this.#refusals = new Refusals()
    this.#refusals.events.on('refused', (refusal) => this.emit('refused', refusal))
    this.#peers.events.on('add', (peer) => this.emit('peer-add', peer))
    this.#peers.events.on('remove', (peer) => this.emit('peer-remove', peer))
    const tellCleared = () => this.#peers.tellCleared(this.wire.cleared())
    this.#clearing = clearingHooks(this.#refusals, tellCleared)
    this.#writers = writers
    this.#members = members
    members.events.on('writers', (added) => void this.#addWriters(added).catch(() => {})) // told of again
    members.events.on('lowered', (lowered) => void this.#tellSealed(lowered).catch(() => {})) // the space closes
    members.events.on('change', () => {
      this.documents.retry()
      this.#settleChannels()
      this.emit('members')
    })
    this.#invites = members.invites({
      space: parts.record.address,
      membershipKey: secrets.membershipKey,
      entrance: () => this.#entrance(null),
      now: parts.now,
      elapsed: () => parts.timers.elapsed(),
      onrefused: (reason, from) => this.#refusals.add(z32.encode(from), reason, this.#requests++)
    })
    members.events.on('record', () => {
      if (this.#closing === null) parts.expect(this.#invites.isExpecting)
      for (const { core, seq } of members.badKeys())
        this.#refusals.add(z32.encode(core), 'epoch-key-mismatch', seq)
    })
    members.events.on('logs', () => void this.#keepLogs().catch(() => {})) // as above
    this.#presence = new PresenceHub({
      membershipKey: secrets.membershipKey,
      keys: parts.keys,
      address: parts.record.address,
      signer: own,
      core: own.core.key,
      writers: this.#writers,
      timers: parts.timers,
      now: parts.now,
      ahead: {
        hear: (signed, from) => this.documents.hear(signed, from),
        lose: (from) => this.documents.lose(from)
      },
      onrefused: (from, reason) => {
        // Those two happen among honest devices: one is heard of before it is known, or starts again.
        if (reason !== 'unknown-writer' && reason !== 'replayed')
          this.#refusals.add(from, `presence-${reason}`, 0)
      }
    })
    this.#channels = new ChannelHub({
      timers: parts.timers,
      onrefused: (from, reason) => this.#refusals.add(from, `channel-${reason}`, 0)
    })
    this.#union = new Union({
      writers: this.#writers,
      refusals: this.#refusals,
      own: own.core.key,
      openLog: (core, onchange) => this.#openLog(own, core, onchange),
      observe: observeWith(clock, (skew) => this.emit('clock-skew', skew))
    })
    this.#union.events.on('change', tellCleared)
    const acts = members.acts(this.#union)
    this.#acts = acts
    this.#lastSeen = new LastSeen({ union: this.#union, peers: this.#peers, now: parts.now })
    this.members = new SpaceMembers({
      members,
      union: this.#union,
      acts,
      lastSeen: this.#lastSeen,
      now: parts.now,
      petnames: () => parts.store.secrets.petnames,
      checkOpen: () => this.#checkOpen(),
      lengthsIn: (version) => versionIn(this.#engine, version).data,
      alone: (task) => this.#queue.alone(task)
    })
    const changes = this.#union.events
    this.#acknowledging = new Acknowledging({ acts, changes, timers: parts.timers })
    this.#forks = watchForks({
      members,
      union: this.#union,
      acts,
      timers: parts.timers,
      refusals: this.#refusals,
      onfork: (fork) => this.emit('forked', fork)
    })
    const { store, record, mode } = parts
    this.#index = new SpaceIndex(store, record, mode, this.#union, {
      onprogress: (progress) => this.emit('index-progress', progress),
      onrebuild: (reason) => this.emit('index-rebuild', reason)
    })
    this.#queue = new WriteQueue(own, this.#union, clock, this.#refusals, (writes) =>
      this.#checkMay(own, writes)
    )
    const { timers } = parts
    const shared = { union: this.#union, own, clock, queue: this.#queue, refusals: this.#refusals }
    const acknowledgements = new LogAcknowledgements({
      ...shared,
      writers: this.#writers,
      // Who writes a log no more says in another what it holds.
      counts: ({ core, seal }) => seal === Infinity && !members.isContinued(core)
    })
    this.#pruning = new Pruning({ ...shared, acknowledgements, timers })
    this.#engine = {
      union: this.#union,
      tag: parts.record.address.subarray(0, SPACE_TAG_BYTES),
      view: this.#index.view,
      isFixed: false,
      refusals: this.#refusals,
      queue: this.#queue,
      purge: (key, options) => purgeKey(this.#upkeep, key, options),
      isClosed: () => this.#closing !== null,
      close: () => this.close()
    }
    this.db = jsonDatabase(this.#engine)
    this.anchors = new Anchors({
      engine: this.#engine,
      address: parts.record.address,
      members,
      checkOpen: () => this.#checkOpen()
    })
    const { documents: support } = parts
    this.documents = new Documents({
      engine: this.#engine,
      own,
      queue: this.#queue,
      address: parts.record.address,
      hub: this.#presence,
      support,
      openCache: () => parts.store.openIndex(documentCacheOf(parts.record.address))
    })
    this.#upkeep = {
      store: parts.store,
      ...shared,
      prune: (work) => this.#pruning.run(work),
      peers: (since) => this.#peers.cleared(own.core.key, since),
      onpeers: (listener) => this.#peers.onchange(listener),
      checkIndex: (work) => this.#index.check(work),
      rebuildIndex: (work) => this.#index.rebuild(work),
      indexBytes: () => this.#index.bytes()
    }
    this.wire = linkOf({
      membershipKey: secrets.membershipKey,
      meeting: this.#invites.meeting,
      union: this.#union,
      writers: this.#writers,
      refusals: this.#refusals,
      presence: this.#presence,
      channels: this.#channels,
      peers: this.#peers,
      members,
      forks: this.#forks,
      announce: () => (this.isOpen ? [own.core.key, ...before, ...this.#record.writers] : null),
      takesLogs: () => this.isOpen && this.#closing === null,
      addLogs: (cores) => this.#addLogs(cores)
    })
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
    return makeInvite(this.#invites, options, this.#parts.now())
  }

  /** The invites of this space that this device knows of, also those that have ended; without their links. */
  invites(): readonly InviteInfo[] {
    this.#checkOpen()
    return listInvites(this.#invites)
  }

  /**
   * Takes an invite back: nobody is let in by it any more. Whom it has let in stays.
   * @param id of one of `invites`
   * @throws NOT_ALLOWED, INVALID_ARGUMENT, STORE_ codes
   */
  async revokeInvite(id: string): Promise<void> {
    this.#checkOpen()
    await revokeInvite(this.#invites, id)
  }

  /** For the device: resolves once this one is known to be in, with the key of the content, or the signal is given. */
  whenReady(signal: AbortSignal): Promise<void> {
    return this.#when(() => this.#members.isReady, signal)
  }

  /** For the device: the same, once its person is known to be in. */
  whenMet(signal: AbortSignal): Promise<void> {
    return this.#when(() => this.#members.isOfMember, signal)
  }

  async #when(isSo: () => boolean, signal: AbortSignal): Promise<void> {
    const { events } = this.#members
    await new Promise<void>((resolve) => {
      const done = () => {
        events.off('record', look)
        events.off('change', look)
        resolve()
      }
      const look = () => void (isSo() && done())
      events.on('record', look)
      events.on('change', look)
      signal.addEventListener('abort', done)
      if (signal.aborted) done()
      else look()
    })
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
    return encodeTicket({ address: this.#record.address, ...this.#entrance(epoch) })
  }

  #entrance(epoch: Uint8Array | null): Entrance {
    const { open, encrypted } = this.#record
    const { membershipKey } = this.#parts.secrets()
    return { membershipKey, epoch, open, encrypted }
  }

  /**
   * Whether reads are answered from the logs ('stream', always so in a sparse space, or where the index cannot be opened), by the
   * local index, or both.
   */
  get mode(): ReadMode {
    return this.#index.mode
  }

  /** The devices whose logs are read. */
  writers(): readonly WriterInfo[] {
    this.#checkOpen()
    return this.#union.logs().map((log) => ({
      writer: log.id,
      isOwn: log.id === this.writer || this.#earlier.has(log.id),
      length: log.length
    }))
  }

  /** Devices connected to now, by their keys in text form. */
  peers(): readonly string[] {
    return this.#peers.list().map((peer) => z32.encode(peer.remoteKey))
  }

  /** How far each log is here, and which connected devices are in step with us. */
  syncState(): SyncState {
    this.#checkOpen()
    const logs = this.#union.logs()
    const isComplete = logs.length === this.#writers.list().length
    const { isOpen, writer } = this
    return syncState({ logs, peers: this.#peers.list(), own: writer, isOpen, isComplete })
  }

  /** Who is there now, and what they say of themselves: cursors, names. Never stored. */
  get presence(): Presence {
    return this.#presence
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
    return this.#channels.channel(name)
  }

  /** What was refused of others' data since the space was opened. */
  refusals(): readonly Refusal[] {
    return this.#refusals.list()
  }

  /**
   * Looks for damage: each log's tree is walked to its last entry. Worst first; [] for a sound space. Only looks.
   * @example for (const { severity, message, next } of await space.check()) console.log(severity, message, next)
   */
  async check(options: Work = {}): Promise<readonly Finding[]> {
    this.#checkOpen()
    checkOptions('check', options, WORK_OPTIONS)
    checkWork(options)
    return this.#whileOpen(() => checkSpace(this.#upkeep, options))
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
    return this.#whileOpen(() => repairSpace(this.#upkeep, options))
  }

  /** Where the bytes are: by log, live and history, and in all. Reads everything that is here once. */
  async stats(options: Work = {}): Promise<SpaceStats> {
    this.#checkOpen()
    checkOptions('stats', options, WORK_OPTIONS)
    checkWork(options)
    return this.#whileOpen(() => statsOf(this.#upkeep, options))
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
    return this.#whileOpen(() => compactSpace(this.#upkeep, options))
  }

  /**
   * Reads another device's log from now on. Of a device that may grant, it lets the other in as a writer, as soon as that shows its
   * credentials: then everybody in the space reads it.
   * @param writer its `space.writer`, or the 32 bytes of that key
   */
  async addWriter(writer: string | Uint8Array): Promise<void> {
    this.#checkOpen()
    await this.#addLogs([parseWriter(writer)])
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
    return versionNow(this.#engine, checkReadOptions('version', options))
  }

  /**
   * The space as it was at a version: reads only, and never changes, whatever arrives or is sealed later. What of it is not on
   * this device, the first read tells (VERSION_UNAVAILABLE).
   * @throws VERSION_INVALID, VERSION_FOREIGN
   */
  checkout(version: string): Checkout {
    this.#checkOpen()
    return checkoutSpace(this.#engine, version)
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
    return versionAt(this.#engine, time, options)
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
    versionIn(this.#engine, left)
    return this.checkout(right).db.createDiffStream(left, options)
  }

  /**
   * Gives what the options name (default: everything) the values it had at a version, as new entries: nothing of history is
   * lost, and undoing that is another restore. Conflicts of then come back as what won then.
   * @throws VERSION_ codes, BLOCK_UNAVAILABLE, STORE_ codes
   */
  async restore(version: string, options: UndoOptions = {}): Promise<RestoreReport> {
    this.#checkOpen()
    return restore(this.#engine, version, options)
  }

  /**
   * Undoes one writer's work after a version, as new entries. What others wrote over it since stays, and so does what shows
   * instead of it.
   * @example await space.revert({ writer: phone.writer, after: yesterday, gte: 'contacts/', lt: 'contacts0' })
   * @throws INVALID_ARGUMENT, VERSION_ codes, BLOCK_UNAVAILABLE, STORE_ codes
   */
  async revert(options: RevertOptions): Promise<RevertReport> {
    this.#checkOpen()
    return revert(this.#engine, options)
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
    return linkTo(this.#engine, this.address, options)
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
    return followLink(this.#engine, this.address, url, options)
  }

  /** Of all logs that are kept here for this space. For the device; not for applications. */
  logKeys(): readonly Uint8Array[] {
    return [
      ...this.#members.cores().map(({ key }) => key),
      ...this.#members.archives.cores('data').map(({ key }) => key),
      ...this.#union.logs().map(({ key }) => key)
    ]
  }

  /** For the device, once it goes on under new logs: so that nobody who has the old keys reads on. @throws STORE_ codes */
  async renewKeys(): Promise<void> {
    this.#checkOpen()
    if (this.#members.exclusion([]) === null) await this.#members.renewKeys()
  }

  /** For the device. @throws NOT_ALLOWED for one whose rights have ended: what would follow its logs counts no more than they do */
  checkMaySucceed(): void {
    this.#checkOpen()
    const excluded = this.#members.hasEnded ? this.#members.exclusion([]) : null
    if (excluded !== null) throw excluded
  }

  /** For the device: other devices of the same person that have rights, but for those that are kept. */
  lostWithout(kept: readonly string[]): readonly string[] {
    const others = this.#members.others().map((key) => z32.encode(b4a.from(key, 'hex')))
    const strange = kept.find((each) => !others.includes(each))
    if (strange !== undefined) invalid('keep', "ids of one's other devices in the space", strange)
    return others.filter((each) => !kept.includes(each))
  }

  /** For the device: another text whenever more is known of the membership. */
  get membershipState(): string {
    const lengths = this.#members.lengths()
    return lengths.map(({ core, length }) => `${z32.encode(core)} ${length}`).join()
  }

  /** For the device: whether nothing stands in its membership log. */
  get isUnbegun(): boolean {
    return this.#members.isUnbegun
  }

  /** For the device. @see Members.recover */
  recover(identity: KeyPair, lost: readonly string[]): Promise<void> {
    this.#checkOpen()
    const keys = lost.map((device) => b4a.toString(z32.decode(device), 'hex'))
    return this.#members.recover(this.#acts, identity, keys)
  }

  /** For the device: whether this device is or was a member, as far as it knows. */
  get isLetIn(): boolean {
    return this.#members.isLetIn
  }

  /** @see Device.leaveSpace */
  leave(): Promise<void> {
    this.#checkOpen()
    return this.#parts.leave()
  }

  /** Finishes what was put, then closes. Idempotent. */
  close(): Promise<void> {
    if (this.#closing === null) {
      this.#closing = this.#close()
      this.#parts.onclose(this, this.#closing)
    }
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    this.#presence.close()
    this.#channels.close()
    this.#acknowledging.close()
    await this.#forks.close()
    await this.#pruning.close()
    const saved = await Promise.allSettled([this.documents.close()])
    await this.#queue.settle()
    await this.#index.close()
    await this.#union.close()
    await this.#invites.close()
    await this.#members.close()
    this.removeAllListeners()
    // Shown last: whatever failed, the space is closed.
    for (const each of saved) if (each.status === 'rejected') throw each.reason
  }

  async #openLog(own: OwnLog, core: Uint8Array, onchange: () => void): Promise<LogReader> {
    const archived = this.#members.archives.sourceOf(b4a.toString(core, 'hex'))
    if (archived !== null) {
      const session = archived.core.session()
      await session.ready()
      return new LogReader(session, onchange, {
        archiveOf: { log: core, branch: archived.branch }
      })
    }
    // After a conflict nothing is written to it any more, and its session is closed.
    if (b4a.equals(core, own.core.key) && own.core.closing === null) {
      const beforeClear = (ranges: readonly BlockRange[]) => own.beforeClear(ranges)
      const clearing = { ...this.#clearing, beforeClear }
      return new LogReader(own.core, onchange, { writer: own.tree, clearing })
    }
    const remote = await this.#parts.logs.remote('data', core)
    // What this device wrote before is kept whole, and what it lost of it fetched back.
    const sparse = this.#record.sparse && !this.#earlier.has(z32.encode(core))
    return new LogReader(remote, onchange, { sparse, clearing: this.#clearing })
  }

  #addLogs(cores: readonly Uint8Array[]): Promise<void> {
    return this.#addWriters(cores.map((core) => ({ core, seal: Infinity, prefixes: null })))
  }

  async #addWriters(writers: readonly Writer[]): Promise<void> {
    const added = writers.flatMap(({ core, seal, prefixes }) =>
      this.#writers.add(core, seal, prefixes) ? core : []
    )
    if (added.length === 0) return
    this.#record = { ...this.#record, writers: [...this.#record.writers, ...added] }
    await Promise.all([this.#union.ready(), this.#parts.save(this.#record)])
    for (const core of added) this.emit('writer-add', z32.encode(core))
    this.#peers.update()
    this.#members.settle()
  }

  /** Who turns out to be a mirror hears no more of channels; who is made more than that does. */
  #settleChannels(): void {
    for (const peer of this.#peers.list()) {
      if (this.#members.isMirror(peer.remoteKey)) this.#channels.remove(peer)
      else this.#channels.add(peer)
    }
  }

  /** Membership logs that were met are kept, offered, and asked for. */
  async #keepLogs(): Promise<void> {
    this.#peers.update()
    const acl = this.#members.logKeys()
    if (acl.length === this.#record.acl.length) return
    this.#record = { ...this.#record, acl }
    await this.#parts.save(this.#record)
  }

  async #tellSealed(lowered: readonly LoweredSeal[]): Promise<void> {
    const limits = new Map(lowered.map(({ core, from }) => [b4a.toString(core, 'hex'), from]))
    const left = await shownUpTo(this.#union, limits)
    const documents = await documentsUpTo(this.#union, limits)
    if (left.length + documents.length === 0) return
    this.emit('sealed', { writers: lowered.map(({ core }) => z32.encode(core)), left, documents })
  }

  #checkMay(own: OwnLog, writes: Parameters<Members['exclusion']>[0]): void {
    const excluded = this.#members.exclusion(writes)
    if (excluded !== null) throw excluded
    // The stack has seen two histories of this device's log, and the proof has not come yet.
    if (own.core.closing !== null && this.#closing === null) throw forkedHere()
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
    if (this.#closing !== null) throw new ManyhandsError('SPACE_CLOSED', 'The space is closed')
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
  const core = typeof writer === 'string' ? decodeWriter(writer) : writer
  if (core instanceof Uint8Array && core.byteLength === KEY_BYTES) return b4a.from(core)
  return invalid('writer', 'the `space.writer` of a device, as text or 32 bytes', writer)
}

/** Null when it is not the one text form of any key: the decoder alone would overlook a cut-off end. */
function decodeWriter(text: string): Uint8Array | null {
  try {
    const core = z32.decode(text)
    return z32.encode(core) === text ? core : null
  } catch {
    return null
  }
}
