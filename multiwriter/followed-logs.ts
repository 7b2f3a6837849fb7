/**
 * The logs that a space reads and keeps: how each is opened here, and what is remembered of them. Tells the space of those that count
 * from now on, and of what left the view where one counts less far than before.
 */
import b4a from 'b4a'
import type { EventEmitter } from 'eventemitter3'
import z32 from 'z32'
import {
  LogReader,
  type BlockRange,
  type ClearingHooks,
  type OwnLog,
  type SpaceRecord
} from '../core/index.ts'
import { documentsUpTo, shownUpTo } from './members/excluded.ts'
import type { Members } from './members/members.ts'
import type { LoweredSeal } from './members/seals.ts'
import type { SpaceEvents } from './space-events.ts'
import type { SpacePeers } from './space-link.ts'
import type { SpaceLogs } from './space-logs.ts'
import type { Union } from './union.ts'
import type { Writer, WriterList } from './writers.ts'

export interface FollowedLogsParts {
  readonly logs: SpaceLogs
  readonly own: OwnLog
  /** Logs that this device wrote before, in text form. */
  readonly earlier: ReadonlySet<string>
  readonly record: SpaceRecord
  readonly writers: WriterList
  readonly members: Members
  readonly peers: SpacePeers
  readonly clearing: ClearingHooks
  readonly events: EventEmitter<SpaceEvents>
  union(): Union
  /** Makes the record durable. */
  save(record: SpaceRecord): Promise<void>
}

export class FollowedLogs {
  readonly #parts: FollowedLogsParts
  #record: SpaceRecord

  constructor(parts: FollowedLogsParts) {
    this.#parts = parts
    this.#record = parts.record
    const { events } = parts.members
    // Who is told of a writer and cannot read it is told again; the others fail where the space closes.
    events.on('writers', (added) => void this.#addWriters(added).catch(() => {}))
    events.on('lowered', (lowered) => void this.#tellSealed(lowered).catch(() => {}))
    events.on('logs', () => void this.#keepMemberLogs().catch(() => {}))
  }

  /** As it is saved. */
  get record(): SpaceRecord {
    return this.#record
  }

  /** Reads logs from now on. */
  add(cores: readonly Uint8Array[]): Promise<void> {
    return this.#addWriters(cores.map((core) => ({ core, seal: Infinity, prefixes: null })))
  }

  async open(core: Uint8Array, onchange: () => void): Promise<LogReader> {
    const { own, members, logs, earlier, clearing } = this.#parts
    const archived = members.archives.sourceOf(b4a.toString(core, 'hex'))
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
      return new LogReader(own.core, onchange, {
        writer: own.tree,
        clearing: { ...clearing, beforeClear }
      })
    }
    const remote = await logs.remote('data', core)
    // What this device wrote before is kept whole, and what it lost of it fetched back.
    const sparse = this.#record.sparse && !earlier.has(z32.encode(core))
    return new LogReader(remote, onchange, { sparse, clearing })
  }

  async #addWriters(list: readonly Writer[]): Promise<void> {
    const { writers, members, peers, events } = this.#parts
    const added = list.flatMap(({ core, seal, prefixes }) =>
      writers.add(core, seal, prefixes) ? core : []
    )
    if (added.length === 0) return
    this.#record = { ...this.#record, writers: [...this.#record.writers, ...added] }
    await Promise.all([this.#parts.union().ready(), this.#parts.save(this.#record)])
    for (const core of added) events.emit('writer-add', z32.encode(core))
    peers.update()
    members.settle()
  }

  /** Membership logs that were met are kept, offered, and asked for. */
  async #keepMemberLogs(): Promise<void> {
    const { members, peers } = this.#parts
    peers.update()
    const acl = members.logKeys()
    if (acl.length === this.#record.acl.length) return
    this.#record = { ...this.#record, acl }
    await this.#parts.save(this.#record)
  }

  async #tellSealed(lowered: readonly LoweredSeal[]): Promise<void> {
    const { events } = this.#parts
    const union = this.#parts.union()
    const limits = new Map(
      lowered.map(({ core, from: length, within: prefixes }) => [
        b4a.toString(core, 'hex'),
        { length, prefixes }
      ])
    )
    const left = await shownUpTo(union, limits)
    const documents = await documentsUpTo(union, limits)
    if (left.length + documents.length === 0) return
    events.emit('sealed', { writers: lowered.map(({ core }) => z32.encode(core)), left, documents })
  }
}
