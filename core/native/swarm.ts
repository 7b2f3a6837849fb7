/** Hyperswarm: peers found over a DHT, connected through most firewalls. */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import type { KeyPair } from 'hypercore'
import HyperDHT from 'hyperdht'
import Hyperswarm, { type Discovery } from 'hyperswarm'
import type NoiseSecretStream from '@hyperswarm/secret-stream'
import { checkOptions, ManyhandsError } from '../../errors.ts'
import type { Transport, TransportFactory } from '../net/transport.ts'

export interface SwarmOptions {
  /** Nodes to enter the DHT by; default the public ones. */
  readonly bootstrap?: readonly { readonly host: string; readonly port: number }[]
  /** The address to listen on, for instance '127.0.0.1'. */
  readonly host?: string
  /** False when others can reach us as we are (loopback, an open server): spares the hole punching. */
  readonly firewalled?: boolean
}

/**
 * A transport over Hyperswarm.
 * @example await openDevice({ storage: './laptop', transport: swarm() })
 */
export function swarm(options: SwarmOptions = {}): TransportFactory {
  checkOptions('swarm', options, ['bootstrap', 'host', 'firewalled'])
  return (keyPair) => new SwarmTransport(keyPair, options)
}

/** Two devices that join at the same moment can miss each other: look again so often, in ms, until somebody is found. */
const LOOK_AGAIN = [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000]

class SwarmTransport implements Transport {
  readonly events = new EventEmitter<{ connection: [NoiseSecretStream] }>()
  readonly #swarm: Hyperswarm
  readonly #topics = new Map<string, Topic>()
  #isClosed = false

  constructor(keyPair: KeyPair, options: SwarmOptions) {
    // Hyperswarm passes neither host nor firewalled on to the DHT it makes itself.
    this.#swarm = new Hyperswarm({ keyPair, dht: new HyperDHT({ ...options }) })
    this.#swarm.on('connection', (stream) => {
      stream.on('error', () => {}) // the connection on it reports; without a listener a reset would be fatal
      this.events.emit('connection', stream)
    })
  }

  join(topic: Uint8Array): void {
    if (this.#isClosed) throw new ManyhandsError('TRANSPORT_CLOSED', 'The transport is closed')
    const id = b4a.toString(topic, 'hex')
    if (this.#topics.has(id)) return
    const isAlone = () => this.#swarm.connections.size === 0
    this.#topics.set(id, new Topic(this.#swarm.join(topic), isAlone))
  }

  async leave(topic: Uint8Array): Promise<void> {
    const id = b4a.toString(topic, 'hex')
    const joined = this.#topics.get(id)
    this.#topics.delete(id)
    await joined?.leave()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const topic of this.#topics.values()) topic.stopLooking()
    // Closes the DHT node too.
    await this.#swarm.destroy()
  }
}

/** One joined topic, looked up again at growing intervals while nobody is connected. */
class Topic {
  readonly #discovery: Discovery
  readonly #isAlone: () => boolean
  #timer: NodeJS.Timeout | null = null
  #isLeft = false

  constructor(discovery: Discovery, isAlone: () => boolean) {
    this.#discovery = discovery
    this.#isAlone = isAlone
    void this.#discovery.flushed().then(() => this.#lookLater(0))
  }

  stopLooking(): void {
    this.#isLeft = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  async leave(): Promise<void> {
    this.stopLooking()
    await this.#discovery.destroy()
  }

  #lookLater(round: number): void {
    if (this.#isLeft) return
    const delay = LOOK_AGAIN[Math.min(round, LOOK_AGAIN.length - 1)]
    this.#timer = setTimeout(() => void this.#look(round), delay)
    this.#timer.unref()
  }

  async #look(round: number): Promise<void> {
    if (this.#isLeft) return
    // A lookup that fails (no network) is tried again like one that found nobody.
    if (this.#isAlone()) await this.#discovery.refresh().catch(() => {})
    this.#lookLater(this.#isAlone() ? round + 1 : LOOK_AGAIN.length)
  }
}
