/**
 * Lets repos on the devices of a space talk to each other, over the connections that the devices have anyway: no server, no address.
 * Each greets whoever joins the channel, and answers greetings; who has done either is a peer of the repo, under the peer id that
 * its device gave. A device speaks for its own peer id alone, and two devices cannot have the same.
 */
import type {
  Message,
  NetworkAdapterEvents,
  NetworkAdapterInterface,
  PeerId,
  PeerMetadata
} from '@automerge/automerge-repo'
import { EventEmitter } from 'eventemitter3'
import type { Channel, Space } from '../../multiwriter/index.ts'
import { isManyhandsError } from '../../errors.ts'
import { encodeGreeting, encodeMessage, parseSaid, type Greeting, type Said } from './messages.ts'

export interface SpaceNetworkOptions {
  /** The channel: repos with the same one meet. Default 'automerge-repo'. */
  readonly name?: string
}

/** A repo that looks for a document waits so long for a first peer, as with its WebSocket. */
const PATIENCE_MS = 1000

/** @example const repo = new Repo({ network: [new SpaceNetworkAdapter(space)] }) */
export class SpaceNetworkAdapter
  extends EventEmitter<NetworkAdapterEvents>
  implements NetworkAdapterInterface
{
  peerId?: PeerId
  peerMetadata?: PeerMetadata
  readonly #space: Space
  readonly #name: string
  #channel: Channel | null = null
  /** Who has greeted, by its device. */
  readonly #peers = new Map<string, PeerId>()
  #refused = 0
  #isReady = false
  readonly #ready: Promise<void>
  #setReady: () => void = () => {}
  #stopWaiting: () => void = () => {}

  constructor(space: Space, { name = 'automerge-repo' }: SpaceNetworkOptions = {}) {
    super()
    this.#space = space
    this.#name = name
    this.#ready = new Promise((resolve) => {
      this.#setReady = () => {
        this.#isReady = true
        resolve()
      }
    })
  }

  /** Messages of other devices that no repo sends, or not as this peer, or that ours stumbled over; and ours above 64 MiB. */
  get refused(): number {
    return this.#refused
  }

  isReady(): boolean {
    return this.#isReady
  }

  /** A first peer is there, or there is none after a second. */
  whenReady(): Promise<void> {
    return this.#ready
  }

  connect(peerId: PeerId, peerMetadata: PeerMetadata = {}): void {
    if (this.#channel !== null) return
    this.peerId = peerId
    this.peerMetadata = peerMetadata
    const channel = this.#space.channel(this.#name)
    this.#channel = channel
    channel.on('join', (device) => this.#greet('greeting', device))
    channel.on('leave', (device) => this.#lose(device))
    channel.on('message', (bytes, device) => this.#hear(device, parseSaid(bytes)))
    channel.on('close', () => this.#closed(channel))
    for (const device of channel.peers()) this.#greet('greeting', device)
    const timer = setTimeout(this.#setReady, PATIENCE_MS)
    this.#stopWaiting = () => clearTimeout(timer)
  }

  send(message: Message): void {
    for (const [device, peerId] of this.#peers) {
      if (peerId === message.targetId) this.#say(device, encodeMessage(message))
    }
  }

  disconnect(): void {
    const channel = this.#channel
    if (channel === null) return
    this.#channel = null
    this.#stopWaiting()
    this.#setReady()
    channel.removeAllListeners()
    channel.close()
    for (const device of this.#peers.keys()) this.#lose(device)
  }

  /** The space closes: nobody can be reached any more. */
  #closed(channel: Channel): void {
    if (this.#channel !== channel) return
    this.disconnect()
    this.emit('close')
  }

  #greet(kind: Greeting['kind'], device: string): void {
    const { peerId, peerMetadata: metadata = {} } = this
    if (peerId !== undefined) this.#say(device, encodeGreeting({ kind, peerId, metadata }))
  }

  #say(device: string, bytes: Uint8Array): void {
    const channel = this.#channel
    channel?.send(device, bytes).catch((error: unknown) => {
      if (isManyhandsError(error, 'CHANNEL_FULL') && channel === this.#channel) this.#restart()
      else if (isManyhandsError(error, 'MESSAGE_TOO_LARGE')) this.#refuse()
      // Else the device has left: what was lost is found when it joins again.
    })
  }

  /** A repo does not wait for what it sends, and finds what was lost only by beginning anew: so it does, with everybody. */
  #restart(): void {
    const { peerId, peerMetadata } = this
    this.disconnect()
    if (peerId !== undefined) this.connect(peerId, peerMetadata)
  }

  #hear(device: string, said: Said | null): void {
    if (said === null) return this.#refuse()
    if (said.kind !== 'message') return this.#meet(device, said)
    const { message } = said
    // Ephemeral messages are passed on by others, in their author's name.
    const isOwn = message.senderId === this.#peers.get(device) || message.type === 'ephemeral'
    const isOurs = message.targetId === this.peerId && this.#peers.has(device)
    if (isOwn && isOurs) this.#emit('message', message)
    else this.#refuse()
  }

  #meet(device: string, { kind, peerId, metadata }: Greeting): void {
    if (kind === 'answer' && this.#peers.get(device) === peerId) return
    // It begins anew: perhaps we have not noticed yet that it was gone.
    this.#lose(device)
    if (peerId === this.peerId || [...this.#peers.values()].includes(peerId)) return this.#refuse()
    this.#peers.set(device, peerId)
    if (kind === 'greeting') this.#greet('answer', device)
    this.#emit('peer-candidate', { peerId, peerMetadata: metadata })
    this.#setReady()
  }

  #lose(device: string): void {
    const peerId = this.#peers.get(device)
    if (peerId === undefined) return
    this.#peers.delete(device)
    this.emit('peer-disconnected', { peerId })
  }

  /** What a repo throws at what another device said must not end the connection, which carries more than this. */
  #emit(...event: Heard): void {
    try {
      if (event[0] === 'message') this.emit(event[0], event[1])
      else this.emit(event[0], event[1])
    } catch {
      this.#refuse()
    }
  }

  #refuse(): void {
    this.#refused += 1
  }
}

type Heard = { [E in 'message' | 'peer-candidate']: [E, ...Parameters<NetworkAdapterEvents[E]>] }[
  'message' | 'peer-candidate']
