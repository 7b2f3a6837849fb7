/**
 * All that runs while a space is open: made in order, closed in order. Composition only: logs come from the store, order from the clock,
 * values from the union, streams from the device.
 */
import type { EventEmitter } from 'eventemitter3'
import z32 from 'z32'
import { SPACE_TAG_BYTES, type HybridLogicalClock } from '../clock/index.ts'
import type { DeviceStore, OwnLog, SpaceLink, SpaceRecord, SpaceSecrets } from '../core/index.ts'
import { ManyhandsError } from '../errors.ts'
import { LogAcknowledgements } from './acknowledgements.ts'
import { Anchors } from './anchors/anchors.ts'
import { ChannelHub } from './channels/hub.ts'
import { clearingHooks } from './cleared.ts'
import type { CompactParts } from './compact.ts'
import { documentCacheOf } from './documents/cache.ts'
import { Documents } from './documents/documents.ts'
import type { DocumentSupport } from './documents/parts.ts'
import type { Engine } from './engine.ts'
import { FollowedLogs } from './followed-logs.ts'
import type { ReadMode } from './indexed-reads.ts'
import { forkedHere } from './members/acl-logs.ts'
import { Acknowledging } from './members/acknowledging.ts'
import { ContentKeys } from './members/content-keys.ts'
import type { ForkWatch } from './members/fork-watch.ts'
import { watchForks } from './members/forks.ts'
import type { Invites } from './members/invites.ts'
import { LastSeen } from './members/last-seen.ts'
import { Members } from './members/members.ts'
import { SpaceMembers } from './members/space-members.ts'
import { Standing } from './members/standing.ts'
import { jsonDatabase, type MultiBee } from './multibee.ts'
import { observeWith, openClock } from './own-clock.ts'
import { openOwnLogs, stampBefore, type OwnLogs } from './own-logs.ts'
import { PresenceHub } from './presence/hub.ts'
import { Pruning } from './pruning.ts'
import { purgeKey, type PurgeParts } from './purge.ts'
import { Refusals } from './refusals.ts'
import type { RepairParts } from './repair.ts'
import type { SpaceEvents } from './space-events.ts'
import { SpaceIndex } from './space-index.ts'
import { linkOf, SpacePeers } from './space-link.ts'
import { NO_ENCRYPTION, spaceEncryption, SpaceLogs } from './space-logs.ts'
import type { StatsParts } from './stats.ts'
import type { Entrance } from './ticket.ts'
import type { Timers } from './timers.ts'
import { Union } from './union.ts'
import { versionIn } from './versions.ts'
import { WriteQueue } from './write-queue.ts'
import { WriterList } from './writers.ts'

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
  onclose(wire: SpaceLink, closed: Promise<void>): void
}

/** What a space is made of once its own logs and its membership are open. */
export interface OpenedParts extends SpaceParts {
  readonly logs: SpaceLogs
  /** Null where nothing is encrypted. */
  readonly keys: ContentKeys | null
  readonly ownLogs: OwnLogs
  readonly clock: HybridLogicalClock
  readonly writers: WriterList
  readonly members: Members
}

/** Opens what a space cannot begin without. Where what would be written to its logs counts nowhere, it goes on under others. */
export async function openParts(parts: SpaceParts): Promise<OpenedParts> {
  const { store, record, timers } = parts
  const { membershipKey, epochs: saved } = parts.secrets()
  const { keyPair } = store
  const save = (epochs: readonly Uint8Array[]) => parts.saveEpochs(epochs)
  const keys = record.encrypted ? new ContentKeys({ keyPair, saved, save, timers }) : null
  const encryption =
    keys === null ? NO_ENCRYPTION : spaceEncryption(record.address, membershipKey, keys)
  const logs = new SpaceLogs(store, encryption)
  for (;;) {
    const opened = await openWith({ ...parts, logs, keys })
    if (!opened.members.isVoid) return opened
    await closeParts(opened)
    await parts.succeed('the logs that it went on under do not count')
  }
}

async function openWith(parts: Omit<OpenedParts, 'ownLogs' | 'clock' | 'writers' | 'members'>) {
  const { store, record, logs: spaceLogs, keys, timers, isRecovering } = parts
  const own = await openOwnLogs(parts)
  try {
    const clock = await openClock(own.data, parts.now, parts.maxDrift, await stampBefore(parts))
    const before = own.earlier.map(({ data }) => data)
    const writers = new WriterList([own.data.core.key, ...before, ...record.writers])
    const members = await Members.open(
      { store, spaceLogs, record, own, keys, timers, isRecovering },
      writers
    )
    return { ...parts, ownLogs: own, clock, writers, members }
  } catch (error) {
    await own.data.close()
    await own.acl.close()
    throw error
  }
}

export async function closeParts({ ownLogs, members }: OpenedParts): Promise<void> {
  for (const each of [ownLogs.data, ownLogs.acl, members]) await each.close()
}

export class SpaceRuntime {
  readonly refusals = new Refusals()
  readonly peers = new SpacePeers()
  /** Logs that this device wrote before, in text form. */
  readonly earlier: ReadonlySet<string>
  readonly writers: WriterList
  readonly followed: FollowedLogs
  readonly union: Union
  readonly index: SpaceIndex
  readonly engine: Engine
  readonly db: MultiBee
  readonly documents: Documents
  readonly anchors: Anchors
  readonly members: Members
  readonly memberList: SpaceMembers
  readonly standing: Standing
  readonly invites: Invites
  readonly presence: PresenceHub
  readonly channels: ChannelHub
  readonly upkeep: RepairParts & StatsParts & PurgeParts & CompactParts
  readonly wire: SpaceLink

  readonly #parts: OpenedParts
  readonly #events: EventEmitter<SpaceEvents>
  readonly #own: OwnLog
  readonly #queue: WriteQueue
  readonly #acknowledging: Acknowledging
  readonly #forks: ForkWatch
  readonly #lastSeen: LastSeen
  readonly #pruning: Pruning
  /** Tells refused requests apart. */
  #requests = 0
  #closing: Promise<void> | null = null

  constructor(parts: OpenedParts, events: EventEmitter<SpaceEvents>) {
    const { store, record, timers, now, clock, writers, members } = parts
    const { address } = record
    const { membershipKey } = parts.secrets()
    const own = parts.ownLogs.data
    const before = parts.ownLogs.earlier.map(({ data }) => data)
    const { refusals, peers } = this
    this.#parts = parts
    this.#events = events
    this.#own = own
    this.earlier = new Set(before.map((key) => z32.encode(key)))
    this.writers = writers
    this.members = members
    const tellCleared = () => peers.tellCleared(this.wire.cleared())
    this.followed = new FollowedLogs({
      logs: parts.logs,
      own,
      earlier: this.earlier,
      record,
      writers,
      members,
      peers,
      clearing: clearingHooks(refusals, tellCleared),
      events,
      union: () => this.union,
      save: (changed) => parts.save(changed)
    })
    this.union = new Union({
      writers,
      refusals,
      own: own.core.key,
      openLog: (core, onchange) => this.followed.open(core, onchange),
      observe: observeWith(clock, (skew) => events.emit('clock-skew', skew))
    })
    const { union } = this
    union.events.on('change', tellCleared)
    this.index = new SpaceIndex(store, record, parts.mode, union, {
      onprogress: (progress) => events.emit('index-progress', progress),
      onrebuild: (reason) => events.emit('index-rebuild', reason)
    })
    this.#queue = new WriteQueue(own, union, clock, refusals, (writes) => this.#checkMay(writes))
    const queue = this.#queue
    const shared = { union, own, clock, queue, refusals }
    this.engine = {
      union,
      tag: address.subarray(0, SPACE_TAG_BYTES),
      view: this.index.view,
      membership: members.past,
      fixed: null,
      refusals,
      queue,
      purge: (key, options) => purgeKey(this.upkeep, key, options),
      isClosed: () => this.isClosing,
      close: () => this.close()
    }
    const { engine } = this
    const checkOpen = () => this.checkOpen()
    this.db = jsonDatabase(engine)
    this.anchors = new Anchors({ engine, address, checkOpen })

    const acts = members.acts(union)
    this.standing = new Standing(members, acts, checkOpen)
    this.#lastSeen = new LastSeen({ union, peers, now, own: own.core.key })
    this.memberList = new SpaceMembers({
      members,
      union,
      acts,
      lastSeen: this.#lastSeen,
      now,
      petnames: () => store.secrets.petnames,
      checkOpen,
      lengthsIn: (version) => versionIn(engine, version).data,
      alone: (task) => queue.alone(task)
    })
    this.invites = members.invites({
      space: address,
      membershipKey,
      entrance: () => this.entrance(null),
      now,
      elapsed: () => timers.elapsed(),
      onrefused: (reason, from) => refusals.add(z32.encode(from), reason, this.#requests++)
    })
    this.#acknowledging = new Acknowledging({ acts, changes: union.events, timers })
    const onfork = (fork: SpaceEvents['forked'][0]) => void events.emit('forked', fork)
    this.#forks = watchForks({ members, union, acts, timers, refusals, onfork })
    const acknowledgements = new LogAcknowledgements({
      ...shared,
      writers,
      // Who writes a log no more says in another what it holds.
      counts: ({ core, seal }) => seal === Infinity && !members.isContinued(core)
    })
    this.#pruning = new Pruning({ ...shared, acknowledgements, timers })

    this.presence = new PresenceHub({
      membershipKey,
      keys: parts.keys,
      address,
      signer: own,
      core: own.core.key,
      writers,
      timers,
      now,
      ahead: {
        hear: (signed, from) => this.documents.hear(signed, from),
        lose: (from) => this.documents.lose(from)
      },
      onrefused: (from, reason) => {
        // Those two happen among honest devices: one is heard of before it is known, or starts again.
        if (reason !== 'unknown-writer' && reason !== 'replayed')
          refusals.add(from, `presence-${reason}`, 0)
      }
    })
    this.channels = new ChannelHub({
      timers,
      onrefused: (from, reason) => refusals.add(from, `channel-${reason}`, 0)
    })
    this.documents = new Documents({
      engine,
      own,
      queue,
      address,
      hub: this.presence,
      support: parts.documents,
      openCache: () => store.openIndex(documentCacheOf(address))
    })
    this.upkeep = {
      store,
      ...shared,
      prune: (work) => this.#pruning.run(work),
      peers: (since) => peers.cleared(own.core.key, since),
      onpeers: (listener) => peers.onchange(listener),
      checkIndex: (work) => this.index.check(work),
      rebuildIndex: (work) => this.index.rebuild(work),
      indexBytes: () => this.index.bytes()
    }
    this.wire = linkOf({
      membershipKey,
      meeting: this.invites.meeting,
      union,
      writers,
      refusals,
      presence: this.presence,
      channels: this.channels,
      peers,
      members,
      forks: this.#forks,
      announce: () =>
        record.open ? [own.core.key, ...before, ...this.followed.record.writers] : null,
      takesLogs: () => record.open && !this.isClosing,
      addLogs: (cores) => this.followed.add(cores)
    })
    this.#tell()
  }

  /** To its space's listeners, and to its parts, what happens in others of them. */
  #tell(): void {
    const { refusals, peers, members } = this
    const events = this.#events
    refusals.events.on('refused', (refusal) => events.emit('refused', refusal))
    peers.events.on('add', (peer) => events.emit('peer-add', peer))
    peers.events.on('remove', (peer) => events.emit('peer-remove', peer))
    members.events.on('change', () => {
      this.documents.retry()
      this.#settleChannels()
      events.emit('members')
    })
    members.events.on('record', () => {
      if (!this.isClosing) this.#parts.expect(this.invites.isExpecting)
      for (const { core, seq } of members.badKeys())
        refusals.add(z32.encode(core), 'epoch-key-mismatch', seq)
    })
  }

  async start(): Promise<void> {
    await Promise.all([this.union.ready(), this.index.open()])
    this.members.start()
    await this.#lastSeen.start()
    this.#pruning.start()
  }

  get isClosing(): boolean {
    return this.#closing !== null
  }

  /** @throws SPACE_CLOSED */
  checkOpen(): void {
    if (this.isClosing) throw new ManyhandsError('SPACE_CLOSED', 'The space is closed')
  }

  /** What it takes to come in, and to read from that key on. */
  entrance(epoch: Uint8Array | null): Entrance {
    const { open, encrypted } = this.#parts.record
    const { membershipKey } = this.#parts.secrets()
    return { membershipKey, epoch, open, encrypted }
  }

  /** Finishes what was put, then closes. Idempotent. */
  close(): Promise<void> {
    if (this.#closing === null) {
      this.#closing = this.#close()
      this.#parts.onclose(this.wire, this.#closing)
    }
    return this.#closing
  }

  async #close(): Promise<void> {
    this.presence.close()
    this.channels.close()
    this.#acknowledging.close()
    await this.#forks.close()
    await this.#pruning.close()
    const saved = await Promise.allSettled([this.documents.close()])
    await this.#queue.settle()
    await this.index.close()
    await this.union.close()
    await this.invites.close()
    await this.members.close()
    this.#events.removeAllListeners()
    // Shown last: whatever failed, the space is closed.
    for (const each of saved) if (each.status === 'rejected') throw each.reason
  }

  /** Who turns out to be a mirror hears no more of channels; who is let in, or made more than that, does. */
  #settleChannels(): void {
    for (const peer of this.peers.list()) {
      if (this.members.isMirror(peer.remoteKey)) this.channels.remove(peer)
      else this.channels.add(peer, this.members.isReader(peer.remoteKey))
    }
  }

  #checkMay(writes: Parameters<Members['exclusion']>[0]): void {
    const excluded = this.members.exclusion(writes)
    if (excluded !== null) throw excluded
    // The stack has seen two histories of this device's log, and the proof has not come yet.
    if (this.#own.core.closing !== null && !this.isClosing) throw forkedHere()
  }
}
