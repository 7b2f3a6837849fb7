/** What all sub-databases of one database share. A checkout is the same engine, standing still. */
import type { CoreLength, Version } from '../clock/index.ts'
import type { ReadOptions } from '../core/index.ts'
import { ManyhandsError } from '../errors.ts'
import type { PurgeOptions, PurgeReport } from './purge.ts'
import type { Refusals } from './refusals.ts'
import type { ExcludedSince } from './entry.ts'
import type { PlaceInLog, Union } from './union.ts'
import type { View } from './view.ts'
import type { WriteQueue } from './write-queue.ts'

/** Membership, as versions name it. */
export interface MembershipThen {
  /** How far the membership logs are that say what is read now. The same object as long as nothing comes. */
  lengths(): readonly CoreLength[]
  /** How far, and where, the logs of a version counted by the membership logs that it names. @throws VERSION_UNAVAILABLE */
  placesAt(version: Pick<Version, 'acl' | 'data'>): readonly PlaceInLog[]
  /** Logs that a version does not name, and that had ended by then: others may have built on what stands in them. @throws VERSION_UNAVAILABLE */
  endedAt(version: Pick<Version, 'acl' | 'data'>): readonly PlaceInLog[]
  /** What a membership log hashes to at a length; null where it is not held so far. */
  hashAt(place: CoreLength): Uint8Array | null
}

export interface Engine {
  readonly union: Union
  /** Null for a database without a space. */
  readonly membership: MembershipThen | null
  /** The start of the space's address, as versions name it; zeros without a space. */
  readonly tag: Uint8Array
  /** What is read: the union now, or at one version. Synchronous while nothing has changed. */
  view(options: ReadOptions): View | Promise<View>
  /** What never changes, and its version's text; null for what is read live. */
  readonly fixed: Fixed | null
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

export interface Fixed {
  /** What of it does not count any more; null where nobody is to be told. */
  readonly excludedSince: ExcludedSince | null
  view(options: ReadOptions): Promise<View>
  version(options: ReadOptions): Promise<string>
}

/** The same database, read as `fixed` gives it for ever. Closing it closes nothing else. */
export function fixedEngine(engine: Engine, fixed: Fixed): Engine {
  let isClosed = false
  return {
    ...engine,
    view: (options) => fixed.view(options),
    fixed,
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
