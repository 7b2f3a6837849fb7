/** A channel: messages between the devices of a space that are connected now and have a channel of the same name. */
import { EventEmitter } from 'eventemitter3'
import { invalid, ManyhandsError } from '../../errors.ts'
import { MAX_MESSAGE_BYTES } from './message.ts'

export interface ChannelEvents {
  /** A device has the channel too from now on. Those that had it before are in `peers()`. */
  join: [peer: string]
  /**
   * It closed the channel, or a connection to it is gone. What it was being sent may be lost. When it can be reached over another
   * connection, it joins again at once: begin anew with it.
   */
  leave: [peer: string]
  /** @param peer the device that sent it, as its connection has proven */
  message: [message: Uint8Array, peer: string]
  /** It was closed, or the space was. */
  close: []
}

/** One connection on which the other side has the channel too. */
export interface ChannelRoute {
  /** Resolves when the connection has taken all of it. */
  send(name: string, message: Uint8Array): Promise<void>
}

export class Channel extends EventEmitter<ChannelEvents> {
  readonly name: string
  readonly #onclose: () => void
  readonly #routes = new Map<string, readonly ChannelRoute[]>()
  #isClosed = false

  /** @see Space.channel */
  constructor(name: string, onclose: () => void) {
    super()
    this.name = name
    this.#onclose = onclose
  }

  /** The devices that have the channel too, by their keys in text form: some of `space.peers()`. */
  peers(): readonly string[] {
    return [...this.#routes.keys()]
  }

  /**
   * Sends a message of at most 64 MiB; messages to one device arrive in their order. Resolves when the connection has taken all of
   * it: wait for that before sending much more, and leave the bytes as they are until then.
   * @param peer one of `peers()`
   * @throws CHANNEL_CLOSED, CHANNEL_PEER_GONE, CHANNEL_FULL, MESSAGE_TOO_LARGE
   */
  async send(peer: string, message: Uint8Array): Promise<void> {
    if (!(message instanceof Uint8Array)) invalid('message', 'bytes', message)
    if (this.#isClosed) throw new ManyhandsError('CHANNEL_CLOSED', 'The channel is closed')
    if (message.byteLength > MAX_MESSAGE_BYTES) {
      const problem = `The message takes ${message.byteLength} bytes, the limit is ${MAX_MESSAGE_BYTES}`
      throw new ManyhandsError('MESSAGE_TOO_LARGE', problem)
    }
    const [route] = this.#routes.get(peer) ?? []
    if (route === undefined) throw peerGone()
    await route.send(this.name, message)
  }

  /** What is still being sent is lost. Idempotent. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onclose()
    this.#routes.clear()
    this.emit('close')
    this.removeAllListeners()
  }

  /** A connection leads to a device that has it too. For the hub, as all that follow. */
  attach(peer: string, route: ChannelRoute): void {
    const routes = this.#routes.get(peer) ?? []
    this.#routes.set(peer, [...routes, route])
    if (routes.length === 0) this.emit('join', peer)
  }

  detach(peer: string, route: ChannelRoute): void {
    const routes = this.#routes.get(peer)
    if (routes?.includes(route) !== true) return
    const left = routes.filter((each) => each !== route)
    this.#routes.delete(peer)
    this.emit('leave', peer)
    if (left.length === 0 || this.#isClosed) return
    // Which connection the other side used it alone knows: both begin anew.
    this.#routes.set(peer, left)
    this.emit('join', peer)
  }
}

export function peerGone(): ManyhandsError {
  return new ManyhandsError('CHANNEL_PEER_GONE', 'The device does not have the channel (any more)')
}

export function channelClosed(): ManyhandsError {
  return new ManyhandsError('CHANNEL_CLOSED', 'The channel was closed')
}
