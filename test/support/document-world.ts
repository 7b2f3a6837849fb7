/** Documents of several devices over the logs of one store: what one writes, all have, as far as their seals let it count. */
import b4a from 'b4a'
import { loadEngine, type DocumentEngine, type EngineDoc } from '../../crdt/index.ts'
import { AheadCodec } from '../../multiwriter/documents/ahead.ts'
import { DocumentReader } from '../../multiwriter/documents/document-reader.ts'
import { Documents } from '../../multiwriter/documents/documents.ts'
import type { TypingTimers, Upkeep } from '../../multiwriter/documents/parts.ts'
import { MemoryIndex } from './memory-index.ts'
import { PruningWorld, type PruningPeer } from './pruning-world.ts'

const timers: TypingTimers = {
  after(ms, task) {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  }
}

/** Of the space that they are in. */
export const WORLD_ADDRESS = b4a.alloc(32, 7)

/** Nobody hears anything ahead of a log. */
const SILENCE = { takesAhead: false, sendAhead: () => false, counts: () => true }

export interface WorldOptions {
  readonly loadEngine?: typeof loadEngine
  readonly upkeep?: Upkeep
  readonly timers?: TypingTimers
}

export class DocumentPeer {
  readonly peer: PruningPeer
  documents: Documents
  readonly #options: WorldOptions
  #cache = new MemoryIndex()

  constructor(peer: PruningPeer, options: WorldOptions) {
    this.peer = peer
    this.#options = options
    this.documents = this.#open()
  }

  /** Its documents, as a new process opens them. @param dropsCache from the logs alone */
  async reopen(dropsCache: boolean): Promise<void> {
    await this.documents.close()
    if (dropsCache) this.#cache = new MemoryIndex()
    this.documents = this.#open()
  }

  /** Its process is killed, and another one opens what the log and the cache hold then. */
  async kill(): Promise<void> {
    this.peer.kill()
    const left = this.#cache.copy()
    await this.documents.close().catch(() => {}) // it writes no more
    await this.peer.reopen()
    this.#cache = left
    this.documents = this.#open()
  }

  #open(): Documents {
    const { engine, parts } = this.peer
    return new Documents({
      engine,
      own: parts.own,
      queue: parts.queue,
      address: WORLD_ADDRESS,
      hub: SILENCE,
      support: { timers, loadEngine, ...this.#options },
      openCache: () => Promise.resolve(this.#cache)
    })
  }
}

export class DocumentWorld {
  readonly logs: PruningWorld
  readonly peers: readonly DocumentPeer[]

  private constructor(logs: PruningWorld, options: WorldOptions) {
    this.logs = logs
    this.peers = logs.peers.map((peer) => new DocumentPeer(peer, options))
  }

  static async open(count: number, options: WorldOptions = {}): Promise<DocumentWorld> {
    const logs = await PruningWorld.open(Array.from({ length: count }, () => 'stream'))
    const world = new DocumentWorld(logs, options)
    for (const peer of world.peers)
      for (const other of world.peers) peer.peer.writers.seal(other.peer.core.key, Infinity)
    return world
  }

  at(index: number): DocumentPeer {
    const peer = this.peers[index]
    if (peer === undefined) throw new Error(`no peer ${index}`)
    return peer
  }

  /** Runs with so many devices, and closes them. */
  static async with(
    count: number,
    run: (world: DocumentWorld) => Promise<void>,
    options: WorldOptions = {}
  ): Promise<void> {
    const world = await DocumentWorld.open(count, options)
    try {
      await run(world)
    } finally {
      await world.close()
    }
  }

  /** How much of one's log counts, for all. */
  seal(index: number, length: number): void {
    for (const { peer } of this.peers) peer.writers.seal(this.at(index).peer.core.key, length)
  }

  async close(): Promise<void> {
    for (const { documents } of this.peers) await documents.close()
    await this.logs.close()
  }
}

/** The document as a device makes it of nothing but the logs. */
export async function madeAnew<D extends EngineDoc>(
  { peer }: DocumentPeer,
  engine: DocumentEngine<D>
): Promise<D> {
  const { union, refusals } = peer.parts
  const reader = new DocumentReader(
    'd',
    { union, refusals, codec: new AheadCodec(WORLD_ADDRESS) },
    engine
  )
  const doc = engine.create('d')
  reader.fill(
    doc,
    await reader.everything(await union.view({ wait: false }), { wait: false }),
    null
  )
  return doc
}
