/** How a device is found: its transports, and the topics that it announces on each of them. While the device is locked there are none. */
import type { Transport, TransportFactory } from '../core/index.ts'

interface Network {
  readonly factory: TransportFactory
  /** Null while it rests. */
  transport: Transport | null
}

export class Transports {
  readonly #begin: (factory: TransportFactory) => Transport
  readonly #networks = new Set<Network>()
  /** By what they are announced for. */
  readonly #topics = new Map<string, Uint8Array>()

  /** @param begin makes a transport, and takes the streams that it brings */
  constructor(begin: (factory: TransportFactory) => Transport) {
    this.#begin = begin
  }

  get size(): number {
    return this.#networks.size
  }

  /** @returns how to leave it again */
  add(factory: TransportFactory): () => Promise<void> {
    const network: Network = { factory, transport: this.#start(factory) }
    this.#networks.add(network)
    return async () => {
      this.#networks.delete(network)
      await network.transport?.close()
    }
  }

  /** Ends them, until `resume`. */
  async rest(): Promise<void> {
    const transports = [...this.#networks].flatMap(({ transport }) => transport ?? [])
    for (const network of this.#networks) network.transport = null
    await Promise.all(transports.map((transport) => transport.close()))
  }

  resume(): void {
    for (const network of this.#networks) network.transport ??= this.#start(network.factory)
  }

  announces(id: string): boolean {
    return this.#topics.has(id)
  }

  announce(id: string, topic: Uint8Array): void {
    this.#topics.set(id, topic)
    for (const { transport } of this.#networks) transport?.join(topic)
  }

  unannounce(id: string): void {
    const topic = this.#topics.get(id)
    this.#topics.delete(id)
    if (topic === undefined) return
    // Leaving is a courtesy to the network; it fails when the transport is gone.
    for (const { transport } of this.#networks) transport?.leave(topic).catch(() => {})
  }

  #start(factory: TransportFactory): Transport {
    const transport = this.#begin(factory)
    for (const topic of this.#topics.values()) transport.join(topic)
    return transport
  }
}
