/**
 * What a space says on its connections, and does with what it hears: logs that there are, blocks that were cleared, who is there,
 * messages on channels.
 * Everything here comes from peers that have proven to be members; none of it is trusted further than that.
 */
import { EventEmitter } from 'eventemitter3'
import z32 from 'z32'
import type { ClearedUpTo, Meeting, SpaceLink, SpacePeer } from '../core/index.ts'
import type { ChannelHub } from './channels/hub.ts'
import type { ForkWatch } from './members/fork-watch.ts'
import type { Members } from './members/members.ts'
import type { PresenceHub } from './presence/hub.ts'
import type { PurgePeer } from './purge.ts'
import type { Refusals } from './refusals.ts'
import type { Union } from './union.ts'
import type { WriterList } from './writers.ts'

/** An open space takes the word of whoever connects: somebody who connects to tell of endless logs must be bounded. */
const MAX_OPEN_WRITERS = 4096

export interface LinkParts {
  readonly membershipKey: Uint8Array
  readonly meeting: Meeting
  readonly union: Union
  readonly writers: WriterList
  readonly refusals: Refusals
  readonly presence: PresenceHub
  readonly channels: ChannelHub
  readonly peers: SpacePeers
  readonly members: Members
  readonly forks: ForkWatch
  /** @see SpaceLink.announce */
  announce(): readonly Uint8Array[] | null
  /** Whether logs that peers tell of are read now. */
  takesLogs(): boolean
  addLogs(cores: readonly Uint8Array[]): Promise<void>
}

/** Devices connected to now. */
export class SpacePeers {
  /** Peers in text form; 'change' also when one of them has cleared something. */
  readonly events = new EventEmitter<{ add: [string]; remove: [string]; change: [] }>()
  readonly #peers = new Set<SpacePeer>()

  list(): readonly SpacePeer[] {
    return [...this.#peers]
  }

  add(peer: SpacePeer): void {
    this.#peers.add(peer)
  }

  delete(peer: SpacePeer): void {
    this.#peers.delete(peer)
  }

  /** What has come of a peer, once all who keep peers know. */
  tell(event: 'add' | 'remove', peer: SpacePeer): void {
    this.events.emit('change')
    this.events.emit(event, z32.encode(peer.remoteKey))
  }

  /** @returns what stops it */
  onchange(listener: () => void): () => void {
    this.events.on('change', listener)
    return () => this.events.off('change', listener)
  }

  /** There are more logs to offer. */
  update(): void {
    for (const peer of this.#peers) peer.update()
  }

  /** @param logs as `SpaceLink.cleared` has them; usually none, and then no peer costs anything */
  tellCleared(logs: readonly ClearedUpTo[]): void {
    if (logs.length === 0) return
    for (const peer of this.#peers) peer.tellCleared(logs)
  }

  /** Whether each has cleared a log up to a declaration. */
  cleared(core: Uint8Array, since: number): readonly PurgePeer[] {
    return this.list().map((peer) => ({
      peer: z32.encode(peer.remoteKey),
      confirmed: peer.hasCleared(core, since)
    }))
  }
}

export function linkOf(parts: LinkParts): SpaceLink {
  const {
    membershipKey,
    meeting,
    union,
    writers,
    refusals,
    presence,
    channels,
    peers,
    members,
    forks
  } = parts
  return {
    membershipKey: () => membershipKey,
    meeting,
    admits: (device) => members.admits(device),
    cores: () => {
      // The session that follows a conflict takes a moment to open.
      const logs = union.logs().flatMap(({ core }) => (core.opened ? core : []))
      return [...logs, ...members.archives.cores('data')]
    },
    memberLogs: () => members.cores(),
    announce: () => parts.announce(),
    onlogs: (cores) => {
      if (!parts.takesLogs()) return
      const room = Math.max(0, MAX_OPEN_WRITERS - writers.list().length)
      const unknown = cores.filter((each) => !writers.has(each))
      for (const core of unknown.slice(room)) refusals.add(z32.encode(core), 'too-many-logs', 0)
      // A log that cannot be opened now (the store is closing, the disk failed) is told of again at the next connection.
      parts.addLogs(unknown.slice(0, room)).catch(() => {})
    },
    askers: () => members.askers(),
    onaskers: (peer, askers) => {
      for (const each of askers) {
        if (members.hear(each) === null) refusals.add(z32.encode(peer.remoteKey), 'asker-forged', 0)
      }
    },
    cleared: () =>
      union.logs().flatMap((log): ClearedUpTo[] => {
        const since = log.clearing?.doneSince ?? 0
        return since === 0 ? [] : [{ core: log.key, since, here: log.lengthHere }]
      }),
    oncleared: (logs) => {
      for (const { core, since } of logs) union.log(core)?.clearing?.hint(since)
      peers.events.emit('change')
    },
    onpresence: (peer, message) => presence.receive(peer, message),
    onchannels: (peer, message) => channels.receive(peer, message),
    onproven: (peer) => forks.add(peer),
    ongone: (peer) => forks.remove(peer),
    onbranches: (peer, message) => forks.receive(peer, message),
    ondrain: (peer) => {
      presence.drained(peer)
      channels.drained(peer)
    },
    onleave: () => presence.close(),
    onpeer: (peer) => {
      peers.add(peer)
      presence.add(peer)
      // What applications tell each other is not for mirrors, nor for who was not let in.
      if (!members.isMirror(peer.remoteKey)) channels.add(peer, members.isReader(peer.remoteKey))
      peers.tell('add', peer)
    },
    onpeergone: (peer) => {
      peers.delete(peer)
      presence.remove(peer)
      channels.remove(peer)
      peers.tell('remove', peer)
    },
    onrefused: (reason, peer) => refusals.add(z32.encode(peer), `peer-${reason}`, 0)
  }
}
