/** A network inside one process, for tests and simulation: real Noise streams, no sockets, cables that can be cut. */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import type { KeyPair } from 'hypercore'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import { ManyhandsError } from '../../errors.ts'
import type { Transport, TransportFactory } from './transport.ts'

export class MemoryNetwork {
  readonly #members = new Set<MemoryTransport>()
  #isCut = false

  /** For `openDevice({ transport: network.transport })`: one transport per device. */
  readonly transport: TransportFactory = (keyPair) => {
    const transport = new MemoryTransport(keyPair, () => this.#meet(transport), this.#members)
    this.#members.add(transport)
    return transport
  }

  /** Drops every stream and lets no new one come, until `heal`. */
  cut(): void {
    this.#isCut = true
    for (const member of this.#members) member.drop()
  }

  heal(): void {
    this.#isCut = false
    for (const member of this.#members) this.#meet(member)
  }

  #meet(newcomer: MemoryTransport): void {
    if (this.#isCut) return
    for (const member of this.#members) {
      if (member !== newcomer && member.sharesTopicWith(newcomer)) newcomer.connect(member)
    }
  }
}

class MemoryTransport implements Transport {
  readonly events = new EventEmitter<{ connection: [NoiseSecretStream] }>()
  readonly #keyPair: KeyPair
  readonly #onjoin: () => void
  readonly #members: Set<MemoryTransport>
  readonly #topics = new Set<string>()
  readonly #streams = new Map<MemoryTransport, NoiseSecretStream>()
  #isClosed = false

  constructor(keyPair: KeyPair, onjoin: () => void, members: Set<MemoryTransport>) {
    this.#keyPair = keyPair
    this.#onjoin = onjoin
    this.#members = members
  }

  join(topic: Uint8Array): void {
    if (this.#isClosed) throw new ManyhandsError('TRANSPORT_CLOSED', 'The transport is closed')
    this.#topics.add(b4a.toString(topic, 'hex'))
    this.#onjoin()
  }

  leave(topic: Uint8Array): Promise<void> {
    this.#topics.delete(b4a.toString(topic, 'hex'))
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.#isClosed = true
    this.#topics.clear()
    this.#members.delete(this)
    this.drop()
    return Promise.resolve()
  }

  sharesTopicWith(other: MemoryTransport): boolean {
    return [...this.#topics].some((topic) => other.#topics.has(topic))
  }

  connect(other: MemoryTransport): void {
    if (this.#streams.has(other)) return
    const ours = new NoiseSecretStream(true, null, { keyPair: this.#keyPair })
    const theirs = new NoiseSecretStream(false, null, { keyPair: other.#keyPair })
    ours.rawStream.pipe(theirs.rawStream).pipe(ours.rawStream)
    this.#take(other, ours)
    other.#take(this, theirs)
  }

  drop(): void {
    const streams = [...this.#streams.values()]
    // At once: what is healed before the streams have closed must connect anew.
    this.#streams.clear()
    for (const stream of streams) stream.destroy()
  }

  #take(peer: MemoryTransport, stream: NoiseSecretStream): void {
    this.#streams.set(peer, stream)
    stream.on('error', () => {}) // the connection on it reports; without a listener a cut would be fatal
    stream.on('close', () => {
      if (this.#streams.get(peer) === stream) this.#streams.delete(peer)
    })
    this.events.emit('connection', stream)
  }
}
