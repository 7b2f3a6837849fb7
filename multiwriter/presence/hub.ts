/**
 * Presence in one space: what devices say while they are there (cursors, names), and nobody stores. Composition: what this device
 * says is voice.ts, what the others say roster.ts, what it looks like on the wire message.ts.
 *
 * Everybody passes on what is new to everybody else, so devices that are connected through others only see each other too. In a
 * group where all n are connected to each other, each message so travels n² times: right for the dozens that edit together.
 */
import b4a from 'b4a'
import z32 from 'z32'
import { ManyhandsError, invalid } from '../../errors.ts'
import type { Timers } from '../timers.ts'
import { isWithin } from '../prefixes.ts'
import type { Writers } from '../writers.ts'
import { RefusalCounts, type PresenceRefusal, type PresenceRefusalReason } from './counts.ts'
import {
  aheadFrame,
  ASK,
  lostFrame,
  MAX_TOPIC_BYTES,
  parseFrame,
  Sealer,
  type Message,
  type PresenceKeys,
  type Signer
} from './message.ts'
import { Outbox, type PresencePeer, type SlotSource } from './outbox.ts'
import { Roster, type Shown } from './roster.ts'
import { TokenBucket, type Allowance } from './token-bucket.ts'
import { PresenceTopic, type PresenceChange } from './topic.ts'
import { Voice } from './voice.ts'

/** Who is there now, in a space. */
export interface Presence {
  /**
   * A matter to say something about, and to hear of; the same object for the same name until it is closed.
   * @param name 1 to 512 bytes, for instance 'documents/notes/todo'
   * @throws INVALID_ARGUMENT, SPACE_CLOSED
   */
  topic(name: string): PresenceTopic
  stats(): PresenceStats
}

export interface PresenceStats {
  /** Other devices that are there. */
  readonly devices: number
  /** States of others that are passed on, and cannot be read here for want of a key. */
  readonly sealed: number
  /** Messages this device made. */
  readonly said: number
  /** Messages sent, own and passed on, over all connections. */
  readonly sent: number
  /** New and true messages of others. */
  readonly heard: number
  /** What was dropped to bound memory. */
  readonly evicted: number
  readonly refused: readonly PresenceRefusal[]
}

export interface HubParts {
  readonly membershipKey: Uint8Array
  /** What the content is sealed under; null in a space without encryption. */
  readonly keys: PresenceKeys | null
  readonly address: Uint8Array
  /** This device's log. */
  readonly signer: Signer
  readonly core: Uint8Array
  readonly writers: Writers
  readonly timers: Timers
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly ahead: AheadIn
  /** Once for each who and why. */
  onrefused(from: string, reason: PresenceRefusalReason): void
}

/** Who hears what comes ahead of the logs. */
export interface AheadIn {
  /** @returns why it is refused, or null */
  hear(signed: Uint8Array, from: PresencePeer): PresenceRefusalReason | null
  /** A connection is gone. */
  lose(from: PresencePeer): void
}

/** A connection carries many devices' messages; beyond this, checking them would be work for us and fun for somebody else. */
const PEER_ALLOWANCE: Allowance = { burst: 4096, perSecond: 1000 }

/** Answers to "who is there" are long. */
const ANSWER_ALLOWANCE: Allowance = { burst: 10, perSecond: 1 }

/** Two copies of one store would outdo each other for ever. */
const RESTART_ALLOWANCE: Allowance = { burst: 3, perSecond: 0.1 }

/** Of updates ahead of their logs: a fast typist makes 20 in a second, a document at most 200. Others come by the log alone. */
const AHEAD_ALLOWANCE: Allowance = { burst: 2000, perSecond: 500 }

/** What this device sends is always less than what others take. */
const OWN_AHEAD_ALLOWANCE: Allowance = { burst: 1000, perSecond: 400 }

/** New writers come several at a time. */
const ASK_MS = 100

interface Link {
  readonly name: string
  readonly peer: PresencePeer
  readonly outbox: Outbox
  readonly bucket: TokenBucket
  readonly answers: TokenBucket
  readonly ahead: TokenBucket
}

export class PresenceHub implements Presence {
  readonly #parts: HubParts
  readonly #sealer: Sealer
  readonly #voice: Voice
  readonly #roster: Roster
  readonly #topics = new Map<string, PresenceTopic>()
  readonly #links = new Map<PresencePeer, Link>()
  readonly #refused = new RefusalCounts()
  readonly #restarts: TokenBucket
  readonly #ownAhead: TokenBucket
  readonly #unsubscribe: readonly (() => void)[]
  #writers: ReadonlySet<string>
  #sent = 0
  #heard = 0
  #stopSweep: (() => void) | null = null
  #stopAsk: (() => void) | null = null
  #isClosed = false

  constructor(parts: HubParts) {
    this.#parts = parts
    this.#sealer = new Sealer(parts.membershipKey, parts.address, parts.keys)
    this.#voice = new Voice({
      timers: parts.timers,
      now: parts.now(),
      seal: (place, saying) => this.#sealer.seal(place, saying, parts.signer),
      isHeard: () => this.#links.size > 0,
      send: (source) => this.#post(source, null)
    })
    this.#roster = new Roster((topic, writer, shown) => this.#changed(topic, writer, shown))
    this.#restarts = new TokenBucket(RESTART_ALLOWANCE, parts.timers.elapsed())
    this.#ownAhead = new TokenBucket(OWN_AHEAD_ALLOWANCE, parts.timers.elapsed())
    this.#writers = this.#listWriters()
    const forgetKeys = parts.keys?.onchange(() => this.#onkeys())
    this.#unsubscribe = [parts.writers.subscribe(() => this.#onwriters()), forgetKeys ?? (() => {})]
  }

  topic(name: string): PresenceTopic {
    if (this.#isClosed) throw new ManyhandsError('SPACE_CLOSED', 'The space is closed')
    checkName(name)
    const known = this.#topics.get(name)
    if (known !== undefined) return known
    const topic = new PresenceTopic({
      name,
      states: () => this.#roster.states(name),
      say: (payload) => this.#voice.say(name, payload),
      onclose: () => this.#topics.delete(name)
    })
    this.#topics.set(name, topic)
    return topic
  }

  stats(): PresenceStats {
    return {
      devices: this.#roster.size,
      sealed: this.#roster.sealed,
      said: this.#voice.said,
      sent: this.#sent,
      heard: this.#heard,
      evicted: this.#roster.evicted,
      refused: this.#refused.list()
    }
  }

  add(peer: PresencePeer): void {
    if (this.#isClosed || this.#links.has(peer)) return
    const elapsed = this.#parts.timers.elapsed()
    const link: Link = {
      name: z32.encode(peer.remoteKey),
      peer,
      outbox: new Outbox(peer, () => (this.#sent += 1)),
      bucket: new TokenBucket(PEER_ALLOWANCE, elapsed),
      answers: new TokenBucket(ANSWER_ALLOWANCE, elapsed),
      ahead: new TokenBucket(AHEAD_ALLOWANCE, elapsed)
    }
    this.#links.set(peer, link)
    this.#answer(link)
    this.#voice.resume()
  }

  remove(peer: PresencePeer): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    this.#links.delete(peer)
    this.#parts.ahead.lose(peer)
    const elapsed = this.#parts.timers.elapsed()
    for (const core of this.#roster.drop(link.outbox, elapsed)) this.#tellLost(core, null)
    this.#sweep()
  }

  drained(peer: PresencePeer): void {
    this.#links.get(peer)?.outbox.drained()
  }

  /** Bytes of a proven peer. Never throws. */
  receive(peer: PresencePeer, bytes: Uint8Array): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    const elapsed = this.#parts.timers.elapsed()
    const frame = parseFrame(bytes)
    const isAhead = typeof frame !== 'string' && frame.type === 'ahead'
    const bucket = isAhead ? link.ahead : link.bucket
    if (!bucket.take(elapsed)) return this.#refuse(link.name, 'flood')
    if (typeof frame === 'string') return this.#refuse(link.name, frame)
    switch (frame.type) {
      case 'ahead':
        return this.#hearAhead(link, frame.box)
      case 'ask':
        if (!link.answers.take(elapsed)) return this.#refuse(link.name, 'flood')
        return this.#answer(link)
      case 'lost':
        if (this.#roster.lose(link.outbox, frame.core, elapsed)) this.#tellLost(frame.core, link)
        return this.#sweep()
      case 'said':
        return this.#hear(link, frame.box)
      default:
        return frame satisfies never
    }
  }

  /** Whether anything that goes ahead of the logs would be sent now. */
  get takesAhead(): boolean {
    if (this.#isClosed || !this.#sealer.canSeal) return false
    for (const { outbox } of this.#links.values()) if (!outbox.isFull) return true
    return false
  }

  /** Sends an update that was signed, ahead of its log. @returns whether anybody was there to take it */
  sendAhead(signed: Uint8Array, except?: object): boolean {
    if (!this.takesAhead || !this.#ownAhead.take(this.#parts.timers.elapsed())) return false
    const sealed = this.#sealer.sealAhead(signed)
    if (sealed === null) return false
    const frame = aheadFrame(sealed)
    let isTaken = false
    for (const { peer, outbox } of this.#links.values())
      if (peer !== except && outbox.pass(frame)) isTaken = true
    return isTaken
  }

  /** Says goodbye while the connections are still there. Idempotent; no timer is left. @returns whether a goodbye was sent */
  close(): boolean {
    if (this.#isClosed) return false
    const isMissed = this.#voice.leave()
    this.#isClosed = true
    this.#stopSweep?.()
    this.#stopAsk?.()
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
    for (const topic of this.#topics.values()) topic.end()
    this.#links.clear()
    this.#roster.clear()
    return isMissed
  }

  #hear(link: Link, box: Uint8Array): void {
    const message = this.#sealer.open(box)
    if (typeof message === 'string') return this.#refuse(link.name, message)
    if (b4a.equals(message.core, this.#parts.core)) return this.#hearOwn(link, message)
    const writer = z32.encode(message.core)
    if (!this.#writers.has(writer)) return this.#refuse(link.name, 'unknown-writer')
    const elapsed = this.#parts.timers.elapsed()
    const heard = this.#roster.hear(link.outbox, message, box, elapsed)
    switch (heard.type) {
      case 'new':
        this.#heard += 1
        for (const source of heard.passOn) this.#post(source, link)
        return this.#watchSilence()
      case 'known':
        for (const source of heard.passOn) this.#post(source, link)
        return this.#watchSilence()
      case 'replayed':
        // A device whose clock was set back cannot know that it was heard before.
        if (link.answers.take(elapsed)) link.outbox.post(heard.newest)
        return this.#refuse(link.name, 'replayed')
      case 'refused':
        return this.#refuse(heard.reason === 'forged' ? link.name : writer, heard.reason)
      default:
        return heard satisfies never
    }
  }

  #hearAhead(link: Link, box: Uint8Array): void {
    const signed = this.#sealer.openAhead(box)
    // Under a key that is not here: what it says comes by its log, as does the key.
    if (signed === null) return
    const reason = signed === 'malformed' ? signed : this.#parts.ahead.hear(signed, link.peer)
    if (reason !== null) this.#refuse(link.name, reason)
  }

  /** Whether a writer's log counts at this key, and is not sealed. */
  counts(core: Uint8Array, key: Uint8Array): boolean {
    const writers = this.#parts.writers.list()
    return writers.some(
      (each) =>
        each.seal === Infinity && b4a.equals(each.core, core) && isWithin(key, each.prefixes)
    )
  }

  /** Our own message came back: mostly passed on in a circle. */
  #hearOwn(link: Link, message: Message): void {
    if (b4a.compare(message.session, this.#voice.session) <= 0) return
    if (!message.isTrue()) return this.#refuse(link.name, 'forged')
    if (this.#restarts.take(this.#parts.timers.elapsed())) this.#voice.restart(message.session)
  }

  /** Tells a peer who is there. */
  #answer(link: Link): void {
    for (const source of this.#voice.sources()) link.outbox.post(source)
    const elapsed = this.#parts.timers.elapsed()
    for (const source of this.#roster.sources(link.outbox, elapsed)) link.outbox.post(source)
  }

  #post(source: SlotSource, from: Link | null): void {
    for (const link of this.#links.values()) if (link !== from) link.outbox.post(source)
  }

  #tellLost(core: Uint8Array, from: Link | null): void {
    const frame = lostFrame(core)
    for (const link of this.#links.values()) if (link !== from) link.peer.sendPresence(frame)
  }

  #onwriters(): void {
    const before = this.#writers
    this.#writers = this.#listWriters()
    this.#roster.keep((core) => this.#writers.has(z32.encode(core)))
    const isNew = [...this.#writers].some((writer) => !before.has(writer))
    if (!isNew || this.#links.size === 0) return
    // What a new writer said was refused until now.
    this.#stopAsk ??= this.#parts.timers.after(ASK_MS, () => {
      this.#stopAsk = null
      for (const { peer } of this.#links.values()) peer.sendPresence(ASK)
    })
  }

  #onkeys(): void {
    const malformed = this.#roster.reopen(
      (box) => this.#sealer.open(box),
      this.#parts.timers.elapsed()
    )
    for (const writer of malformed) this.#refuse(writer, 'malformed')
    this.#voice.resume()
  }

  /** A sealed log is that of a device that was removed. */
  #listWriters(): ReadonlySet<string> {
    const counting = this.#parts.writers.list().filter(({ seal }) => seal === Infinity)
    return new Set(counting.map(({ core }) => z32.encode(core)))
  }

  /** A message only puts off when its device would be missed: what is armed comes early enough. */
  #watchSilence(): void {
    if (this.#stopSweep === null) this.#sweep()
  }

  #sweep(): void {
    this.#stopSweep?.()
    this.#stopSweep = null
    const elapsed = this.#parts.timers.elapsed()
    const next = this.#roster.sweep(elapsed)
    if (next === null) return
    this.#stopSweep = this.#parts.timers.after(Math.max(1, next - elapsed), () => this.#sweep())
  }

  #changed(topic: string, writer: string, shown: Shown): void {
    const change: PresenceChange = { added: [], updated: [], removed: [], [shown]: [writer] }
    this.#topics.get(topic)?.emit('change', change)
  }

  #refuse(from: string, reason: PresenceRefusalReason): void {
    this.#refused.add(from, reason)
    this.#parts.onrefused(from, reason)
  }
}

function checkName(name: unknown): void {
  const isName =
    typeof name === 'string' &&
    name.isWellFormed() &&
    name !== '' &&
    b4a.byteLength(name) <= MAX_TOPIC_BYTES
  if (!isName) invalid('name', `a text of 1 to ${MAX_TOPIC_BYTES} bytes`, name)
}
