/**
 * Peers over the logs of one store, whose writer lists say how far each holds the others: raised seals are deliveries. Each can
 * acknowledge and prune. Two worlds of one seed have the same logs, so that one can be the other's twin.
 */
import { join } from 'node:path'
import type Hypercore from 'hypercore'
import { openIndexStore } from '../../core/native/index.ts'
import {
  LogReader,
  OwnLog,
  type AppendGuard,
  type BlockKeys,
  type LogEncryption
} from '../../core/index.ts'
import { WriterList, type MultiBee, type ReadMode } from '../../multiwriter/index.ts'
import type { Engine } from '../../multiwriter/engine.ts'
import { LogAcknowledgements } from '../../multiwriter/acknowledgements.ts'
import { NO_TAG } from '../../multiwriter/checkout.ts'
import { clearingHooks } from '../../multiwriter/cleared.ts'
import { IndexedReads } from '../../multiwriter/indexed-reads.ts'
import { LocalIndex } from '../../multiwriter/local-index.ts'
import { jsonDatabase } from '../../multiwriter/multibee.ts'
import { observeWith, openClock } from '../../multiwriter/own-clock.ts'
import { Pruner, type PrunerParts } from '../../multiwriter/pruner.ts'
import { putBack, type Portions } from '../../multiwriter/put-back.ts'
import { Refusals } from '../../multiwriter/refusals.ts'
import { Union } from '../../multiwriter/union.ts'
import { WriteQueue } from '../../multiwriter/write-queue.ts'
import { viewSlowly } from '../oracle/view.ts'
import { exportDatabase, exportSlowly } from './export.ts'
import { openLogStore, type LogStore } from './tree.ts'

const SPACE = new Uint8Array(32)

/** Small, so that something comes between them. */
const PORTIONS: Portions = { keysPerSlice: 3, entriesPerBatch: 2 }

/** What each append of one opening asks. */
class Gate implements AppendGuard {
  isShut = false

  before(): void {
    if (this.isShut) throw new Error('The process is killed')
  }

  after(): Promise<void> {
    return Promise.resolve()
  }

  beforeClear(): Promise<void> {
    return Promise.resolve()
  }

  explain(error: unknown): Promise<unknown> {
    return Promise.resolve(error)
  }
}

export interface PruningWorldOptions {
  /** What each peer's logs are encrypted and read with; default as they are. */
  readonly keys?: readonly BlockKeys[]
  /** Peers, by index, whose word does not count: they only read. */
  readonly readers?: readonly number[]
}

export class PruningWorld {
  readonly store: LogStore
  readonly peers: PruningPeer[] = []
  /** Of everybody's clock. */
  now = 1000

  readonly #readers: readonly number[]

  private constructor(store: LogStore, readers: readonly number[]) {
    this.store = store
    this.#readers = readers
  }

  /** @param modes how each peer reads */
  static async open(
    modes: readonly ReadMode[],
    { keys = [], readers = [] }: PruningWorldOptions = {}
  ): Promise<PruningWorld> {
    const world = new PruningWorld(await openLogStore(), readers)
    for (const [i, mode] of modes.entries()) {
      world.peers.push(await PruningPeer.create(world, `peer ${i}`, mode, keys[i]))
    }
    for (const { writers } of world.peers) {
      for (const { core } of world.peers) if (writers.add(core.key)) writers.seal(core.key, 0)
    }
    return world
  }

  /** Whether everybody asks what the writer of this log holds. */
  counts(core: Uint8Array): boolean {
    const peer = this.peers.findIndex((each) => Buffer.compare(each.core.key, core) === 0)
    return !this.#readers.includes(peer)
  }

  async close(): Promise<void> {
    for (const peer of this.peers) await peer.close()
    await this.store.close()
  }
}

export class PruningPeer {
  readonly name: string
  readonly mode: ReadMode
  /** Open for as long as the world, to look at. */
  readonly core: Hypercore
  readonly encryption: LogEncryption | undefined
  readonly writers: WriterList
  readonly #world: PruningWorld
  #open: Awaited<ReturnType<typeof openPeer>> | null = null

  static async create(
    world: PruningWorld,
    name: string,
    mode: ReadMode,
    keys?: BlockKeys
  ): Promise<PruningPeer> {
    const encryption = keys === undefined ? undefined : { space: SPACE, keys }
    const core = await world.store.own(name, encryption)
    const peer = new PruningPeer(world, name, mode, core, encryption)
    await peer.reopen()
    return peer
  }

  private constructor(
    world: PruningWorld,
    name: string,
    mode: ReadMode,
    core: Hypercore,
    encryption: LogEncryption | undefined
  ) {
    this.#world = world
    this.name = name
    this.mode = mode
    this.core = core
    this.encryption = encryption
    this.writers = new WriterList([core.key])
  }

  get db(): MultiBee {
    return this.#opened.db
  }

  get union(): Union {
    return this.#opened.union
  }

  get refusals(): Refusals {
    return this.#opened.refusals
  }

  get own(): OwnLog {
    return this.#opened.own
  }

  get engine(): Engine {
    return this.#opened.engine
  }

  /** What pruning is made of. */
  get parts(): PrunerParts {
    return this.#opened
  }

  /** Waits for what is being written. */
  settle(): Promise<void> {
    return this.#opened.queue.settle()
  }

  /** @returns entries that were pruned */
  prune(): Promise<number> {
    return this.#opened.pruner.run()
  }

  /** Writes back what it relied on in vain. */
  async mend(): Promise<void> {
    const { queue } = this.#opened
    await queue.alone(() => putBack(this.#opened))
  }

  /** From now on, and until it is opened again, its log grows no more: what is being appended just now may come yet. */
  kill(): void {
    this.#opened.gate.isShut = true
  }

  async reopen(): Promise<void> {
    await this.close()
    this.#open = await openPeer(this.#world, this)
  }

  async close(): Promise<void> {
    await this.#open?.close()
    this.#open = null
  }

  /** Its view equals its slow twin, whatever way it reads. @throws when it does not */
  async check(): Promise<void> {
    const sealed = this.writers.list().flatMap(({ core, seal }) => {
      const found = this.#world.peers.find((each) => Buffer.compare(each.core.key, core) === 0)
      return found === undefined ? [] : [{ core: found.core, seal }]
    })
    const slow = exportSlowly(await viewSlowly(sealed))
    const fast = await exportDatabase(this.db)
    if (fast !== slow) throw new Error(`${this.name} shows\n${fast}\nbut its slow twin\n${slow}`)
    const refused = this.refusals.list()
    if (refused.length > 0) throw new Error(`Refused: ${JSON.stringify(refused)}`)
  }

  get #opened() {
    if (this.#open === null) throw new Error('The peer is closed')
    return this.#open
  }
}

async function openPeer(world: PruningWorld, { name, mode, writers, encryption }: PruningPeer) {
  const { store } = world
  const gate = new Gate()
  const own = new OwnLog(await store.own(name, encryption), gate)
  const clock = await openClock(own, () => world.now)
  const refusals = new Refusals()
  const clearing = clearingHooks(refusals)
  const union = new Union({
    writers,
    refusals,
    own: own.core.key,
    observe: observeWith(clock, () => {}),
    async openLog(key, onchange) {
      if (Buffer.compare(key, own.core.key) === 0)
        return new LogReader(own.core, onchange, { writer: own.tree, clearing })
      return new LogReader(await store.remote(key, encryption), onchange, { clearing })
    }
  })
  const queue = new WriteQueue(own, union, clock, refusals)
  const index =
    mode === 'stream'
      ? null
      : await LocalIndex.open(
          await openIndexStore(join(store.path, 'index', name)),
          new Uint8Array(32),
          { onprogress() {}, onrebuild() {} }
        )
  if (index !== null) union.useIndex(index)
  const reads = index === null ? union : new IndexedReads(union, index, mode)
  // Seals stand for what has arrived: everybody may write, and has a say.
  const acknowledgements = new LogAcknowledgements({
    union,
    writers,
    own,
    clock,
    counts: ({ core }) => world.counts(core)
  })
  const parts = { union, own, clock, queue, refusals, acknowledgements, portions: PORTIONS }
  let isClosed = false
  const close = async () => {
    isClosed = true
    await queue.settle()
    await index?.close()
    await union.close()
  }
  const engine: Engine = {
    union,
    tag: NO_TAG,
    view: (options) => reads.view(options),
    membership: null,
    fixed: null,
    refusals,
    queue,
    purge: null,
    isClosed: () => isClosed,
    close
  }
  return { ...parts, gate, engine, db: jsonDatabase(engine), pruner: new Pruner(parts), close }
}
