/**
 * Finds logs with two histories: each device tells its peers what its copies of the logs hash to, and whoever holds a longer copy that
 * hashes to something else *there* looks for the block in which they part. (Hypercore notices some forks by itself, but none of two
 * histories of equal length.) A few questions find the block, whatever the lengths: each asks for so many hashes that are left. Then the peer
 * shows what the writer signed of its history, and with the same of ours that is the proof, which goes into this device's membership
 * log, where everybody reads it.
 *
 * Costs one head per log when two devices meet, and one per log and second while it grows.
 */
import type { Head, Key } from '../../acl/index.ts'
import {
  checkForkProof,
  encodeForkProof,
  hashAt,
  signedPrefix,
  type Hypercore,
  type SpacePeer
} from '../../core/index.ts'
import type { Timers } from '../timers.ts'
import type { Archives } from './archives.ts'
import {
  decodeBranchMessage,
  encodeBranchMessage,
  MAX_HEADS,
  MAX_LENGTHS,
  type BranchMessage
} from './branch-message.ts'
import { bytesOf, keyOf } from './credentials.ts'

/** A log that grows is told of so often. */
const TELL_AFTER_MS = 1000

/** What a peer has asked and was not answered yet; an honest one waits for answers. */
const MAX_WAITING = 256

/** Logs that are compared with one peer's at a time. */
const MAX_SEARCHES = 64

export interface ForkWatchParts {
  readonly archives: Pick<Archives, 'show' | 'shown' | 'wanted'>
  readonly timers: Pick<Timers, 'after'>
  /** Logs of the space, in the history that their writers show here. */
  cores(): readonly Key[]
  live(core: Key): Hypercore | null
  /** Whether it is a log of membership: those are all that a device without rights hears of. */
  isMembership(core: Key): boolean
  /** Where the histories of a log part, as everybody knows already. */
  known(core: Key): number | null
  /** Says so in this device's membership log, having acknowledged what it holds. @returns false where it may not */
  publish(found: Found): Promise<boolean>
  onrefused(peer: SpacePeer, reason: BranchRefusal): void
}

export type BranchRefusal = 'malformed' | 'flood' | 'forged'

/** What proves a fork. */
export type Found = Omit<Extract<BranchMessage, { type: 'proof' }>, 'type'>

/** Where two histories part: behind `same` blocks, and in front of the peer's `other`. */
interface Search {
  same: number
  other: Head
}

/** What is under way with one peer. */
interface Talk {
  readonly told: Map<Key, Head>
  readonly searches: Map<Key, Search>
  waiting: number
  turn: Promise<void>
}

export class ForkWatch {
  readonly #parts: ForkWatchParts
  readonly #talks = new Map<SpacePeer, Talk>()
  readonly #heads = new Map<Key, Head>()
  /** What this device has found and may not publish, for others to do so. */
  readonly #found = new Map<Key, Found>()
  #publishing: Promise<void> = Promise.resolve()
  #callOff: (() => void) | null = null
  #isClosed = false

  constructor(parts: ForkWatchParts) {
    this.#parts = parts
  }

  add(peer: SpacePeer): void {
    this.#talks.set(peer, {
      told: new Map(),
      searches: new Map(),
      waiting: 0,
      turn: Promise.resolve()
    })
    for (const head of this.#parts.archives.wanted()) {
      if (this.#isFor(peer, head.core)) send(peer, { type: 'show', head })
    }
    for (const found of this.#found.values()) {
      if (!this.#isKnown(found)) send(peer, { type: 'proof', ...found })
    }
    void this.#tell()
  }

  remove(peer: SpacePeer): void {
    this.#talks.delete(peer)
  }

  /** Logs have grown, or there are others. */
  changed(): void {
    if (this.#isClosed || this.#talks.size === 0) return
    this.#callOff ??= this.#parts.timers.after(TELL_AFTER_MS, () => {
      this.#callOff = null
      void this.#tell()
    })
  }

  /** There are other membership logs to offer, also to those who have nothing else here. */
  offer(): void {
    for (const peer of this.#talks.keys()) if (!peer.isAdmitted) peer.update()
  }

  /** Asks everybody to show a head. */
  ask(head: Head): void {
    for (const peer of this.#talks.keys()) {
      if (this.#isFor(peer, head.core)) send(peer, { type: 'show', head })
    }
  }

  /** What a peer says takes its turn. */
  receive(peer: SpacePeer, bytes: Uint8Array): void {
    const talk = this.#talks.get(peer)
    if (talk === undefined || this.#isClosed) return
    const message = decodeBranchMessage(bytes)
    if (message === null) return this.#parts.onrefused(peer, 'malformed')
    if (talk.waiting >= MAX_WAITING) return this.#parts.onrefused(peer, 'flood')
    talk.waiting++
    talk.turn = talk.turn
      .then(() => this.#hear(peer, talk, message))
      .catch(() => {}) // the log or the store closes
      .finally(() => talk.waiting--)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#callOff?.()
    const turns = [...this.#talks.values()].map(({ turn }) => turn)
    this.#talks.clear()
    await Promise.all([...turns, this.#publishing])
  }

  /** Tells each peer of what it has not been told. */
  async #tell(): Promise<void> {
    for (const core of this.#parts.cores()) await this.#look(core)
    for (const [peer, { told }] of this.#talks) {
      const news = [...this.#heads.values()].filter(
        (head) => told.get(head.core) !== head && this.#isFor(peer, head.core)
      )
      for (const head of news) told.set(head.core, head)
      for (let i = 0; i < news.length; i += MAX_HEADS)
        send(peer, { type: 'heads', heads: news.slice(i, i + MAX_HEADS) })
    }
  }

  async #look(core: Key): Promise<void> {
    const log = this.#parts.live(core)
    const length = log?.length ?? 0
    if (log === null) this.#heads.delete(core)
    if (log === null || this.#heads.get(core)?.length === length) return
    const hash = await hashAt(log, length)
    if (hash !== null) this.#heads.set(core, { core, length, treeHash: keyOf(hash) })
  }

  async #hear(peer: SpacePeer, talk: Talk, message: BranchMessage): Promise<void> {
    if (this.#isClosed) return
    if ('core' in message && message.type !== 'proof' && !this.#isFor(peer, message.core)) return
    if ('head' in message && !this.#isFor(peer, message.head.core)) return
    switch (message.type) {
      case 'heads':
        for (const head of message.heads) await this.#compare(peer, talk, head)
        return
      case 'ask':
        return this.#answer(peer, message)
      case 'hashes':
        return this.#narrow(peer, talk, message)
      case 'show': {
        const prefix = await this.#parts.archives.show(message.head)
        if (prefix !== null) send(peer, { type: 'prefix', head: message.head, prefix })
        return
      }
      case 'prefix':
        return this.#see(peer, talk, message.head, message.prefix)
      case 'proof':
        return this.#take(peer, message, false)
      default:
        message satisfies never
    }
  }

  /** Whether a peer may hear of a log. */
  #isFor(peer: SpacePeer, core: Key): boolean {
    return peer.isAdmitted || this.#parts.isMembership(core)
  }

  /** Whether ours hashes to something else there. Of a shorter copy the peer finds out. */
  async #compare(peer: SpacePeer, talk: Talk, head: Head): Promise<void> {
    const log = this.#isFor(peer, head.core) ? this.#parts.live(head.core) : null
    const hash = log === null ? null : await hashAt(log, head.length)
    if (hash === null || keyOf(hash) === head.treeHash) return
    if (talk.searches.size >= MAX_SEARCHES || talk.searches.has(head.core)) return
    const search = { same: 0, other: head }
    talk.searches.set(head.core, search)
    this.#ask(peer, search)
  }

  #ask(peer: SpacePeer, { same, other }: Search): void {
    const left = other.length - same - 1
    if (left === 0) return send(peer, { type: 'show', head: other })
    const count = Math.min(left, MAX_LENGTHS)
    const lengths = Array.from(
      { length: count },
      (_, i) => same + Math.ceil(((i + 1) * left) / count)
    )
    send(peer, { type: 'ask', core: other.core, lengths })
  }

  async #answer(
    peer: SpacePeer,
    { core, lengths }: Extract<BranchMessage, { type: 'ask' }>
  ): Promise<void> {
    const log = this.#parts.live(core)
    if (log === null) return
    const heads: Head[] = []
    for (const length of lengths) {
      const hash = await hashAt(log, length)
      if (hash !== null) heads.push({ core, length, treeHash: keyOf(hash) })
    }
    send(peer, { type: 'hashes', core, heads })
  }

  /** Gives up where an answer brings us no further: the peer lacks those hashes, or makes them up. */
  async #narrow(
    peer: SpacePeer,
    { searches }: Talk,
    { core, heads }: Extract<BranchMessage, { type: 'hashes' }>
  ): Promise<void> {
    const search = searches.get(core)
    const log = this.#parts.live(core)
    if (search === undefined || log === null) return
    const before = search.other.length - search.same
    for (const head of heads) {
      if (head.length <= search.same || head.length >= search.other.length) continue
      const hash = await hashAt(log, head.length)
      if (hash === null) break
      if (keyOf(hash) === head.treeHash) search.same = head.length
      else search.other = head
    }
    if (search.other.length - search.same < before) this.#ask(peer, search)
    else searches.delete(core)
  }

  /** What was asked for is the other half of a proof, or vouches for an archive. */
  async #see(peer: SpacePeer, talk: Talk, head: Head, prefix: Uint8Array): Promise<void> {
    const search = talk.searches.get(head.core)
    if (search?.other.length === head.length && search.other.treeHash === head.treeHash) {
      talk.searches.delete(head.core)
      const log = this.#parts.live(head.core)
      const ours = log === null ? null : await signedPrefix(log, search.same)
      const common = search.same
      if (ours !== null)
        await this.#take(
          peer,
          { core: head.core, common, proof: encodeForkProof(ours, prefix) },
          true
        )
    }
    if (!(await this.#parts.archives.shown(head, prefix))) this.#parts.onrefused(peer, 'forged')
  }

  /** One after the other: what was proved meanwhile is not proved again. */
  async #take(peer: SpacePeer, found: Found, isOurs: boolean): Promise<void> {
    const { core, common, proof } = found
    if (checkForkProof(bytesOf(core), common, proof) === null)
      return this.#parts.onrefused(peer, 'forged')
    const published = this.#publishing.then(() => this.#publish(found, isOurs))
    this.#publishing = published.catch(() => {}) // the store fails: found again at the next meeting
    await published
  }

  async #publish(found: Found, isOurs: boolean): Promise<void> {
    if (this.#isClosed || this.#isKnown(found)) return
    const isPublished = await this.#parts.publish(found)
    if (isPublished || !isOurs) return
    this.#found.set(found.core, found)
    for (const peer of this.#talks.keys()) send(peer, { type: 'proof', ...found })
  }

  #isKnown({ core, common }: Found): boolean {
    const known = this.#parts.known(core)
    return known !== null && known <= common
  }
}

function send(peer: SpacePeer, message: BranchMessage): void {
  peer.sendBranches(encodeBranchMessage(message))
}
