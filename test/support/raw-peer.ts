/** The other end of a space's connection, by hand: a Noise stream and a muxer that say what the test tells them to. */
import b4a from 'b4a'
import c, { type Encoder } from 'compact-encoding'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import Protomux, { type Channel, type Message } from 'protomux'
import type { Duplex } from 'streamx'
import { keyedHash, type KeyPair } from '../../core/index.ts'
import { topicOf } from '../../core/net/connection.ts'

const SPACE = 'manyhands/space/1'
const LOG = 'hypercore/alpha'

/** Whatever is left of a message, as it is. */
const raw: Encoder<Uint8Array> = {
  preencode(state, bytes) {
    state.end += bytes.byteLength
  },
  encode(state, bytes) {
    state.buffer?.set(bytes, state.start)
    state.start += bytes.byteLength
  },
  decode(state) {
    const bytes = b4a.from(state.buffer?.subarray(state.start, state.end) ?? [])
    state.start = state.end
    return bytes
  }
}

interface Replicated {
  replicate(stream: boolean): unknown
}

export class RawPeer {
  readonly stream: NoiseSecretStream
  readonly mux: Protomux
  /** Discovery keys of the logs that the other offered. */
  readonly offered: string[] = []
  isClosed = false

  /** @param other the space or device at the other end @param keyPair of the device that it is; nobody's by default */
  constructor(other: Replicated, isInitiator = true, keyPair?: KeyPair) {
    this.stream = new NoiseSecretStream(isInitiator, null, keyPair === undefined ? {} : { keyPair })
    this.stream.on('error', () => {})
    this.stream.on('close', () => (this.isClosed = true))
    const theirs = other.replicate(!isInitiator) as Duplex
    this.stream.rawStream.pipe(theirs).pipe(this.stream.rawStream)
    this.mux = Protomux.from(this.stream)
    this.mux.pair({ protocol: LOG }, (id) => {
      this.offered.push(b4a.toString(id ?? b4a.alloc(0), 'hex'))
    })
  }

  /** The proof of a member on this connection. */
  proof(membershipKey: Uint8Array, isInitiator = this.stream.isInitiator): Uint8Array {
    const side = b4a.from([isInitiator ? 1 : 0])
    return keyedHash(membershipKey, 'manyhands/proof', this.stream.handshakeHash, side)
  }

  /** Opens the channel of a space with a hello of one's own making. */
  async greet(membershipKey: Uint8Array, hello: (theirs: Uint8Array | null) => Uint8Array) {
    await this.stream.opened
    const greeting = new Greeting(this.mux, topicOf(membershipKey))
    greeting.say(hello(null))
    return greeting
  }

  /** Waits for the other's hello, and answers it. */
  async answer(membershipKey: Uint8Array, hello: (theirs: Uint8Array) => Uint8Array) {
    await this.stream.opened
    const id = topicOf(membershipKey)
    return new Promise<Greeting>((resolve) => {
      this.mux.pair({ protocol: SPACE, id }, () => {
        const greeting = new Greeting(this.mux, id, (theirs) => greeting.say(hello(theirs)))
        resolve(greeting)
      })
    })
  }

  /** Asks for a log. @returns whether the other opened it */
  async asksFor(discoveryKey: Uint8Array): Promise<boolean> {
    await this.stream.opened
    return new Promise((resolve) => {
      const channel = this.mux.createChannel<Uint8Array>({
        protocol: LOG,
        id: discoveryKey,
        handshake: raw,
        onopen: () => resolve(true),
        onclose: () => resolve(false)
      })
      // Seeks, and a capability that need not hold: an answer of any kind is one too many.
      channel?.open(b4a.concat([b4a.from([1]), b4a.alloc(32)]))
      if (channel === null) resolve(false)
    })
  }

  close(): void {
    this.stream.destroy()
  }
}

/** What is said on the channel of a space, by its number. */
const MESSAGES = { logs: 0, cleared: 1, presence: 2, channels: 3 } as const

/** The channel of a space. */
class Greeting {
  /** Whether the other closed it. */
  isClosed = false
  readonly #channel: Channel<Uint8Array> | null
  readonly #messages: readonly (Message<Uint8Array> | undefined)[]

  constructor(mux: Protomux, id: Uint8Array, onhello: (hello: Uint8Array) => void = () => {}) {
    this.#channel = mux.createChannel<Uint8Array>({
      protocol: SPACE,
      id,
      handshake: raw,
      onopen: onhello,
      onclose: () => (this.isClosed = true)
    })
    const add = () => this.#channel?.addMessage({ encoding: raw, onmessage: () => {} })
    this.#messages = Object.keys(MESSAGES).map(add)
  }

  say(hello: Uint8Array): void {
    this.#channel?.open(hello)
  }

  sayLogs(bytes: Uint8Array): void {
    this.#messages[MESSAGES.logs]?.send(bytes)
  }

  sayChannels(bytes: Uint8Array): void {
    this.#messages[MESSAGES.channels]?.send(bytes)
  }
}

export function helloOf(proof: Uint8Array, version = 1): Uint8Array {
  return b4a.concat([b4a.from([version]), proof])
}

export function logsOf(keys: readonly Uint8Array[]): Uint8Array {
  return b4a.concat([c.encode(c.uint, keys.length), ...keys])
}
