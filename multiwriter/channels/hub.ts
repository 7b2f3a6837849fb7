/**
 * The channels of one space: which there are here and at each connection's other end, and what goes between them. What a message
 * looks like on the wire is message.ts, what waits to be sent outbox.ts, what has come of a message inbox.ts.
 *
 * Direct connections only: nothing is passed on, nothing is stored. A peer that says what no honest device says is heard no more
 * on this connection, as nothing that follows could be believed.
 */
import b4a from 'b4a'
import z32 from 'z32'
import { invalid, ManyhandsError } from '../../errors.ts'
import { TokenBucket, type Allowance } from '../presence/token-bucket.ts'
import type { Timers } from '../timers.ts'
import { Channel, channelClosed, type ChannelRoute } from './channel.ts'
import { ChannelInbox } from './inbox.ts'
import { encodeFrame, MAX_NAME_BYTES, parseFrame, type ChannelFrame } from './message.ts'
import { ChannelOutbox } from './outbox.ts'

/** A connected peer. */
export interface ChannelPeer {
  readonly remoteKey: Uint8Array
  /** @returns false when nothing more should be sent until it drains */
  sendChannels(message: Uint8Array): boolean
}

export type ChannelRefusalReason = 'oversized' | 'malformed' | 'unsupported' | 'flood'

export interface ChannelHubParts {
  readonly timers: Timers
  /** @param from the device */
  onrefused(from: string, reason: ChannelRefusalReason): void
}

/** At one end of a connection. More than an application has use for. */
const MAX_CHANNELS = 256

/** Openings, closings, and what is sent to a channel that was closed meanwhile. */
const CONTROL_ALLOWANCE: Allowance = { burst: 4096, perSecond: 100 }

/** Each lets 128 pieces or more come: a sender of nothing but tiny messages gets 8,000 through in a second. */
const GRANT_ALLOWANCE: Allowance = { burst: 64, perSecond: 64 }

/** So long until the next grants, when those of now are used up. */
const GRANT_PAUSE_MS = 100

export class ChannelHub {
  readonly #parts: ChannelHubParts
  readonly #channels = new Map<string, OpenChannel>()
  readonly #links = new Map<ChannelPeer, Link>()
  /** Whose numbers are used up: they come back by another connection only. */
  readonly #parted = new WeakSet<ChannelPeer>()
  #nextId = 0
  #isClosed = false

  constructor(parts: ChannelHubParts) {
    this.#parts = parts
  }

  /** @see Space.channel @throws INVALID_ARGUMENT, SPACE_CLOSED */
  channel(name: string): Channel {
    if (this.#isClosed) throw new ManyhandsError('SPACE_CLOSED', 'The space is closed')
    checkName(name)
    const known = this.#channels.get(name)
    if (known !== undefined) return known.channel
    if (this.#channels.size >= MAX_CHANNELS)
      invalid('name', `one of at most ${MAX_CHANNELS} open channels`, name)
    const channel: Channel = new Channel(name, () => this.#close(open))
    const open: OpenChannel = { id: this.#nextId++, channel }
    this.#channels.set(name, open)
    for (const link of this.#links.values()) link.offer(open)
    return channel
  }

  /** @param isTold whether it may hear which channels there are here; until then it is listened to. Again, when it may */
  add(peer: ChannelPeer, isTold = true): void {
    if (this.#isClosed || this.#parted.has(peer)) return
    const link = this.#links.get(peer) ?? new Link(peer, this.#parts, this.#channels)
    this.#links.set(peer, link)
    if (isTold) link.begin()
  }

  remove(peer: ChannelPeer): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    link.end()
    this.#links.delete(peer)
    this.#parted.add(peer)
  }

  drained(peer: ChannelPeer): void {
    this.#links.get(peer)?.outbox.drained()
  }

  /** Bytes of a proven peer. */
  receive(peer: ChannelPeer, bytes: Uint8Array): void {
    this.#links.get(peer)?.receive(bytes)
  }

  /** Idempotent; no timer is left. */
  close(): void {
    this.#isClosed = true
    for (const { channel } of this.#channels.values()) channel.close()
    for (const link of this.#links.values()) link.end()
    this.#links.clear()
  }

  #close(open: OpenChannel): void {
    this.#channels.delete(open.channel.name)
    for (const link of this.#links.values()) link.withdraw(open)
  }
}

interface OpenChannel {
  /** What the others call it. */
  readonly id: number
  readonly channel: Channel
}

/** One connection. */
class Link implements ChannelRoute {
  readonly outbox: ChannelOutbox
  readonly #device: string
  readonly #parts: ChannelHubParts
  readonly #channels: ReadonlyMap<string, OpenChannel>
  /** By the numbers that the other side calls our channels by. */
  readonly #inboxes = new Map<number, { readonly name: string; readonly inbox: ChannelInbox }>()
  readonly #control: TokenBucket
  readonly #grants: TokenBucket
  #stopPause: (() => void) | null = null
  /** The other side may hear of our channels. */
  #isTold = false
  /** The other side is not heard any more. */
  #isDeaf = false

  constructor(
    peer: ChannelPeer,
    parts: ChannelHubParts,
    channels: ReadonlyMap<string, OpenChannel>
  ) {
    this.#device = z32.encode(peer.remoteKey)
    this.#parts = parts
    this.#channels = channels
    this.outbox = new ChannelOutbox(
      (frame) => peer.sendChannels(encodeFrame(frame)),
      (task) => parts.timers.soon(task)
    )
    const elapsed = parts.timers.elapsed()
    this.#control = new TokenBucket(CONTROL_ALLOWANCE, elapsed)
    this.#grants = new TokenBucket(GRANT_ALLOWANCE, elapsed)
  }

  send(name: string, message: Uint8Array): Promise<void> {
    return this.outbox.post(name, message)
  }

  /** Idempotent. */
  begin(): void {
    if (this.#isTold) return
    this.#isTold = true
    for (const open of this.#channels.values()) this.offer(open)
  }

  /** There is a channel here. */
  offer({ id, channel }: OpenChannel): void {
    const { name } = channel
    if (this.#isDeaf || !this.#isTold) return
    this.#inboxes.set(id, { name, inbox: new ChannelInbox() })
    this.outbox.tell({ type: 'open', id, name })
    if (this.outbox.has(name)) channel.attach(this.#device, this)
  }

  /** It is closed. */
  withdraw({ id, channel }: OpenChannel): void {
    if (!this.#inboxes.delete(id)) return
    this.outbox.drop(channel.name, channelClosed())
    this.outbox.tell({ type: 'close', id })
  }

  receive(bytes: Uint8Array): void {
    if (this.#isDeaf) return
    const frame = parseFrame(bytes)
    if (frame === 'malformed') return this.#refuse(frame)
    if (frame === 'unsupported') {
      this.#parts.onrefused(this.#device, frame)
      return this.#takeControl()
    }
    this.#hear(frame)
  }

  /** The connection is gone. */
  end(): void {
    this.#isDeaf = true
    this.#stopPause?.()
    this.#stopPause = null
    this.#inboxes.clear()
    for (const name of this.outbox.names) this.#forget(name)
  }

  #hear(frame: ChannelFrame): void {
    switch (frame.type) {
      case 'open':
        return this.#opened(frame.id, frame.name)
      case 'close':
        return this.#closed(this.outbox.nameOf(frame.id))
      case 'more': {
        const name = this.outbox.nameOf(frame.id)
        if (name === null || !this.outbox.allow(name, frame.count)) this.#refuse('malformed')
        return
      }
      case 'piece':
        return this.#take(frame.to, frame.bytes, frame.isLast)
      default:
        return frame satisfies never
    }
  }

  #opened(id: number, name: string): void {
    if (this.outbox.has(name) || this.outbox.nameOf(id) !== null) return this.#refuse('malformed')
    if (this.outbox.names.length >= MAX_CHANNELS) return this.#refuse('flood')
    this.#takeControl()
    if (this.#isDeaf) return
    this.outbox.open(name, id)
    if (this.#isTold) this.#channels.get(name)?.channel.attach(this.#device, this)
  }

  #closed(name: string | null): void {
    if (name === null) return this.#refuse('malformed')
    const own = this.#channels.get(name)
    // What it was sending ends here.
    if (own !== undefined) this.#inboxes.get(own.id)?.inbox.reset()
    this.#forget(name)
    this.#takeControl()
  }

  #take(to: number, piece: Uint8Array, isLast: boolean): void {
    const target = this.#inboxes.get(to)
    // It was sent before our closing was heard.
    if (target === undefined) return this.#takeControl()
    if (!this.outbox.has(target.name)) return this.#refuse('malformed')
    const taken = target.inbox.take(piece, isLast)
    if (taken.type === 'refused') return this.#refuse(taken.reason)
    this.#grant()
    if (taken.type === 'waiting') return
    this.#channels.get(target.name)?.channel.emit('message', taken.message, this.#device)
  }

  /** Lets more come, as often as that is allowed. */
  #grant(): void {
    if (this.#stopPause !== null) return
    for (const [id, { inbox }] of this.#inboxes) {
      const { due } = inbox
      if (due === 0) continue
      if (!this.#grants.take(this.#parts.timers.elapsed())) return this.#grantLater()
      inbox.granted()
      this.outbox.tell({ type: 'more', id, count: due })
    }
  }

  #grantLater(): void {
    this.#stopPause = this.#parts.timers.after(GRANT_PAUSE_MS, () => {
      this.#stopPause = null
      this.#grant()
    })
  }

  #takeControl(): void {
    if (!this.#control.take(this.#parts.timers.elapsed())) this.#refuse('flood')
  }

  #forget(name: string): void {
    this.outbox.close(name)
    this.#channels.get(name)?.channel.detach(this.#device, this)
  }

  #refuse(reason: ChannelRefusalReason): void {
    this.#parts.onrefused(this.#device, reason)
    this.end()
  }
}

function checkName(name: unknown): void {
  const isName =
    typeof name === 'string' &&
    name.isWellFormed() &&
    name !== '' &&
    b4a.byteLength(name) <= MAX_NAME_BYTES
  if (!isName) invalid('name', `a text of 1 to ${MAX_NAME_BYTES} bytes`, name)
}
