/** The device is on the network while somebody needs it: the first that asks puts it there, the last that leaves takes it off. */
import type { TransportFactory } from '../../core/index.ts'
import type { Device } from '../device.ts'

/** @see SwarmOptions */
export interface NetworkOptions {
  readonly bootstrap?: readonly { readonly host: string; readonly port: number }[]
  readonly host?: string
  readonly firewalled?: boolean
}

export class SharedNetwork {
  readonly #device: Device
  readonly #transport: (options: NetworkOptions) => TransportFactory
  #users = 0
  #leave: (() => Promise<void>) | null = null

  constructor(device: Device, transport: (options: NetworkOptions) => TransportFactory) {
    this.#device = device
    this.#transport = transport
  }

  /**
   * The options of the first user count; a device with a transport of its own needs no other.
   * @returns how to release it, once
   */
  hold(options: NetworkOptions): () => Promise<void> {
    if (this.#leave === null && !this.#device.isNetworked) {
      this.#leave = this.#device.connect(this.#transport(options))
    }
    this.#users++
    return () => this.#release()
  }

  async #release(): Promise<void> {
    if (--this.#users > 0) return
    const leave = this.#leave
    this.#leave = null
    await leave?.()
  }
}
