/** What all sub-databases of one database share. A checkout is the same engine, standing still. */
import type { ReadOptions } from '../core/index.ts'
import { ManyhandsError } from '../errors.ts'
import type { PurgeOptions, PurgeReport } from './purge.ts'
import type { Refusals } from './refusals.ts'
import type { Union } from './union.ts'
import type { View } from './view.ts'
import type { WriteQueue } from './write-queue.ts'

export interface Engine {
  readonly union: Union
  /** The start of the space's address, as versions name it; zeros without a space. */
  readonly tag: Uint8Array
  /** What is read: the union now, or at one version. Synchronous while nothing has changed. */
  view(options: ReadOptions): View | Promise<View>
  /** True for a checkout: what is read never changes. */
  readonly isFixed: boolean
  readonly refusals: Refusals
  /** Null for a database that only reads. */
  readonly queue: WriteQueue | null
  /** Clears what was at a key of the bee; null for a database that only reads. */
  readonly purge: ((key: Uint8Array, options: PurgeOptions) => Promise<PurgeReport>) | null
  /** True from the call of `close` on, while what was put before is still being written. */
  isClosed(): boolean
  /** Closes the whole database. */
  close(): Promise<void>
}

/** The same database, read as `view` gives it for ever. Closing it closes nothing else. */
export function fixedEngine(engine: Engine, view: Engine['view']): Engine {
  let isClosed = false
  return {
    ...engine,
    view,
    isFixed: true,
    queue: null,
    purge: null,
    isClosed: () => isClosed || engine.isClosed(),
    close() {
      isClosed = true
      return Promise.resolve()
    }
  }
}

export function closedError(cause?: unknown): ManyhandsError {
  return new ManyhandsError('BEE_CLOSED', 'The database is closed', { cause })
}

export function readOnlyError(): ManyhandsError {
  return new ManyhandsError('READ_ONLY', 'This database is for reading only')
}
