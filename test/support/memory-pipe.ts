/** A peer with a store in a temporary folder, to replicate single logs with. */
import { join } from 'node:path'
import Corestore from 'corestore'
import CorestoreStorage from 'hypercore-storage'
import type Hypercore from 'hypercore'
import Protomux from 'protomux'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import { openRemoteCore } from '../../core/store.ts'
import { tempFolder, until, type TempFolder } from './devices.ts'

export class MemoryPipe {
  readonly #folder: TempFolder
  readonly #corestore: Corestore
  readonly #streams: NoiseSecretStream[] = []

  private constructor(folder: TempFolder, corestore: Corestore) {
    this.#folder = folder
    this.#corestore = corestore
  }

  static async open(): Promise<MemoryPipe> {
    const folder = await tempFolder()
    const corestore = new Corestore(
      new CorestoreStorage(join(folder.path, 'peer'), { walRecoveryMode: 0 })
    )
    await corestore.ready()
    return new MemoryPipe(folder, corestore)
  }

  /** Fetches the whole log, as long as it is now, and goes on fetching. @returns the peer's copy */
  async receive(core: Hypercore): Promise<Hypercore> {
    const copy = await openRemoteCore(this.#corestore, core.key, null)
    const { length } = core
    copy.download({ start: 0, end: -1 })
    this.connect(core, copy)
    await until(() => copy.contiguousLength >= length)
    return copy
  }

  /** Gives back to `core` what the peer holds of it. */
  async giveBack(core: Hypercore): Promise<void> {
    const copy = await openRemoteCore(this.#corestore, core.key, null)
    this.connect(core, copy)
    await until(() => core.contiguousLength >= copy.length)
  }

  /** Shows `core` how long the log is at the peer, without giving a block of it. */
  async offer(core: Hypercore, length: number): Promise<void> {
    this.connect(core, await openRemoteCore(this.#corestore, core.key, null))
    await until(() => core.length >= length)
    this.cut()
  }

  connect(a: Hypercore, b: Hypercore): void {
    const [one, other] = [new NoiseSecretStream(true, null), new NoiseSecretStream(false, null)]
    one.rawStream.pipe(other.rawStream).pipe(one.rawStream)
    for (const [core, stream] of [[a, one] as const, [b, other] as const]) {
      stream.on('error', () => {}) // the other side is gone: the end of a test
      core.replicate(Protomux.from(stream))
      this.#streams.push(stream)
    }
  }

  /** Cuts all streams; the peer keeps what it has. */
  cut(): void {
    for (const stream of this.#streams.splice(0)) stream.destroy()
  }

  async close(): Promise<void> {
    this.cut()
    await this.#corestore.close()
    await this.#folder.remove()
  }
}
