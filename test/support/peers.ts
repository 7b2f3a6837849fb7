/**
 * Several databases over the logs of one store, without a network: what one appends, the others see at once if they list its
 * core. `hide` and `show` make writes concurrent: nobody has seen what is hidden.
 */
import type Hypercore from 'hypercore'
import { openMultiBee, WriterList, type MultiBee } from '../../multiwriter/index.ts'
import { openLogStore, type LogStore } from './tree.ts'

export interface Peer {
  /** A session of its own log, for tests to look into. */
  readonly core: Hypercore
  /** The session that the database writes with. */
  readonly own: Hypercore
  readonly writers: WriterList
  readonly db: MultiBee
  hide(other: Peer): void
  show(other: Peer): void
}

export class Peers {
  readonly store: LogStore
  readonly all: Peer[] = []
  /** What all clocks show; a test may set it. Rises by 1 ms with each look. */
  time = 1000

  private constructor(store: LogStore) {
    this.store = store
  }

  /** So many databases that list each other. */
  static async open(count: number): Promise<Peers> {
    const peers = new Peers(await openLogStore())
    for (let i = 0; i < count; i++) peers.all.push(await peers.#openPeer(`peer ${i}`))
    peers.#introduce()
    return peers
  }

  /** Opens a database again, as the next process does. */
  async reopen(index: number): Promise<void> {
    await this.at(index).db.close()
    this.all[index] = await this.#openPeer(`peer ${index}`)
    this.#introduce()
  }

  #introduce(): void {
    for (const { writers } of this.all) {
      for (const { core } of this.all) if (!writers.has(core.key)) writers.add(core.key)
    }
  }

  /** Runs with so many databases, and closes them. */
  static async with(count: number, run: (peers: Peers) => Promise<void>): Promise<void> {
    const peers = await Peers.open(count)
    try {
      await run(peers)
    } finally {
      await peers.close()
    }
  }

  at(index: number): Peer {
    const peer = this.all[index]
    if (peer === undefined) throw new Error(`no peer ${index}`)
    return peer
  }

  async close(): Promise<void> {
    for (const { db } of this.all) await db.close()
    await this.store.close()
  }

  async #openPeer(name: string): Promise<Peer> {
    const core = await this.store.own(name)
    const own = await this.store.own(name)
    const writers = new WriterList([core.key])
    const db = await openMultiBee({
      writers,
      open: (key) => this.store.corestore.get({ key }),
      own,
      now: () => this.time++
    })
    return {
      core,
      own,
      writers,
      db,
      hide: (other) => writers.seal(other.core.key, 0),
      show: (other) => writers.seal(other.core.key, Infinity)
    }
  }
}
