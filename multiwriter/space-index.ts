/**
 * The local index of a space, if it has one: opened beside the logs, or not (a sparse space, a mode that wants none, a store that
 * cannot be opened), and then everything is read from the logs. Derived data must not keep anybody from their own.
 */
import type { DeviceStore, ReadOptions, SpaceRecord, Work } from '../core/index.ts'
import { isManyhandsError } from '../errors.ts'
import { IndexedReads, type ReadMode } from './indexed-reads.ts'
import { LocalIndex, type IndexHooks, type IndexProgress } from './local-index.ts'
import type { Union } from './union.ts'
import type { View } from './view.ts'

export class SpaceIndex {
  readonly #store: DeviceStore
  readonly #record: SpaceRecord
  readonly #mode: ReadMode
  readonly #union: Union
  readonly #hooks: IndexHooks
  /** What rebuilds under way tell their callers by. */
  readonly #reports = new Set<(progress: IndexProgress) => void>()
  #index: LocalIndex | null = null
  /** Why there is none, though there should be. */
  #failure: string | null = null
  /** The union, or the index in front of it. */
  #reads: { view(options: ReadOptions): View | Promise<View> }

  constructor(
    store: DeviceStore,
    record: SpaceRecord,
    mode: ReadMode,
    union: Union,
    hooks: IndexHooks
  ) {
    this.#store = store
    this.#record = record
    this.#mode = mode
    this.#union = union
    this.#hooks = hooks
    this.#reads = union
  }

  /** @see Space.mode */
  get mode(): ReadMode {
    return this.#record.sparse || this.#failure !== null ? 'stream' : this.#mode
  }

  /** A field, so that an engine has it without a call in between. */
  readonly view = (options: ReadOptions): View | Promise<View> => this.#reads.view(options)

  /** @throws DEVICE_CLOSED */
  async open(): Promise<void> {
    if (this.mode === 'stream') return
    const { address } = this.#record
    const opened = await this.#store.openIndex(address).catch((error: unknown) => {
      if (isManyhandsError(error, 'DEVICE_CLOSED')) throw error
      const message = error instanceof Error ? error.message : String(error)
      this.#failure = `It cannot be opened, so everything is read from the logs: ${message}`
      return null
    })
    if (opened === null) return
    this.#index = await LocalIndex.open(opened, address, {
      ...this.#hooks,
      onprogress: (progress) => {
        this.#hooks.onprogress(progress)
        for (const report of this.#reports) report(progress)
      }
    })
    this.#union.useIndex(this.#index)
    this.#reads = new IndexedReads(this.#union, this.#index, this.#mode)
  }

  /** What is wrong with it, in a sentence each. */
  async check(work: Work): Promise<readonly string[]> {
    if (this.#failure !== null) return [this.#failure]
    return (await this.#index?.check((core) => this.#union.log(core), work)) ?? []
  }

  /** Stopped by the signal, it is built by the next that reads. */
  async rebuild({ signal, onprogress }: Work): Promise<void> {
    const { parts } = await this.#union.view({ wait: false })
    const task = 'building the index'
    const written = new Map<string, number>()
    const report = ({ writer, progress }: IndexProgress) => {
      written.set(writer, progress)
      const done = [...written.values()].reduce((sum, each) => sum + each, 0)
      onprogress?.({ task, done, total: parts.length, unit: 'logs' })
    }
    this.#reports.add(report)
    const built = this.#index?.rebuild(parts, (core) => this.#union.log(core))
    await untilAborted(built, signal).finally(() => this.#reports.delete(report))
  }

  /** On the disk; null where there is none. */
  async bytes(): Promise<number | null> {
    return (await this.#index?.bytes()) ?? null
  }

  async close(): Promise<void> {
    await this.#index?.close()
  }
}

/** What goes on by itself is not waited for any more. */
async function untilAborted(task: Promise<void> | undefined, signal?: AbortSignal): Promise<void> {
  if (signal === undefined) return task
  signal.throwIfAborted()
  let stop = () => {}
  const aborted = new Promise<void>((resolve) => {
    stop = resolve
    signal.addEventListener('abort', stop)
  })
  await Promise.race([task, aborted]).finally(() => signal.removeEventListener('abort', stop))
  signal.throwIfAborted()
}
