/** MultiBee without spaces, membership or a store of ours: over any Hypercores that hold bees of this format. */
import b4a from 'b4a'
import {
  LogReader,
  OwnLog,
  type AppendGuard,
  type BlockRange,
  type Hypercore,
  type OrderedStore
} from '../core/index.ts'
import type { Value } from '../crdt/index.ts'
import { checkOptions, invalid, ManyhandsError } from '../errors.ts'
import { keyEncodingOf, valueEncodingOf } from './encodings.ts'
import { checkMode, IndexedReads, type ReadMode } from './indexed-reads.ts'
import { LocalIndex } from './local-index.ts'
import { clearingHooks } from './cleared.ts'
import { Keyspace } from './keyspace.ts'
import { NO_TAG } from './checkout.ts'
import type { Engine } from './engine.ts'
import { MultiBee } from './multibee.ts'
import type { Encodings } from './sub-options.ts'
import { observeWith, openClock } from './own-clock.ts'
import { purgeKey } from './purge.ts'
import { Refusals } from './refusals.ts'
import { Union } from './union.ts'
import { WriteQueue } from './write-queue.ts'
import { WriterList, type Writers } from './writers.ts'

export interface MultiBeeOptions<K, V> extends Encodings<K, V> {
  /** Whose logs, and how far: keys, or a list that changes. */
  readonly writers: readonly Uint8Array[] | Writers
  /** Opens a log, for instance `(key) => corestore.get({ key })`. The sessions are closed with the database. */
  readonly open: (key: Uint8Array) => Hypercore
  /** Fetch blocks when they are read, not ahead. */
  readonly sparse?: boolean
  /** The log to write to: a writable core, which must be among the writers; closed with the database. Default: reading only. */
  readonly own?: Hypercore
  /** Milliseconds since 1970, for stamps. Needed with `own`. */
  readonly now?: () => number
  /** Where a local index is kept, for instance `await openIndexStore(folder)`; closed with the database. */
  readonly index?: OrderedStore
  /** How reads are answered. Default: 'auto' with an `index`, otherwise 'stream'. */
  readonly mode?: ReadMode
}

const ENCODINGS = ['keyEncoding', 'valueEncoding'] as const
const OPTIONS = ['writers', 'open', 'sparse', 'own', 'now', 'index', 'mode', ...ENCODINGS]

/** Names what is indexed, where there is no space. */
const NO_SPACE = new Uint8Array(32)

/** Two databases that number their logs by themselves would take each other's rows for their own. */
const inUse = new WeakSet<OrderedStore>()

/** The core is the caller's: whether it may be appended to, and what its errors mean, is the caller's to know. */
const NO_GUARD: AppendGuard = {
  before() {},
  after: () => Promise.resolve(),
  beforeClear: () => Promise.resolve(),
  explain: (error) => Promise.resolve(error)
}

/**
 * Opens a database over logs.
 * @example const db = openMultiBee({ writers: [keyA, keyB], open: (key) => corestore.get({ key }) })
 */
export async function openMultiBee<K = string, V = Value>(
  options: MultiBeeOptions<K, V>
): Promise<MultiBee<K, V>> {
  const { writers, keys, values } = checked(options)
  const { open, sparse = false, own, now, index: store } = options
  const mode = options.mode ?? (store === undefined ? 'stream' : 'auto')
  const refusals = new Refusals()
  await own?.ready()
  if (own !== undefined) checkListed(writers, own.key)
  if (store !== undefined) take(store)
  const log = own === undefined ? null : new OwnLog(own, NO_GUARD)
  const clock = log === null || now === undefined ? null : await openClock(log, now)
  const clearing = clearingHooks(refusals)
  const union = new Union({
    writers,
    refusals,
    ...(log === null ? {} : { own: log.core.key }),
    ...(clock === null ? {} : { observe: observeWith(clock, () => {}) }),
    async openLog(key, onchange) {
      if (log !== null && b4a.equals(key, log.core.key)) {
        const beforeClear = (ranges: readonly BlockRange[]) => log.beforeClear(ranges)
        return new LogReader(log.core, onchange, {
          writer: log.tree,
          clearing: { ...clearing, beforeClear }
        })
      }
      const core = open(key)
      await core.ready()
      return new LogReader(core, onchange, { sparse, clearing })
    }
  })
  const queue = log === null || clock === null ? null : new WriteQueue(log, union, clock, refusals)
  const index =
    store === undefined
      ? null
      : await LocalIndex.open(store, NO_SPACE, { onprogress() {}, onrebuild() {} })
  if (index !== null && mode !== 'stream') union.useIndex(index)
  const reads = index === null || mode === 'stream' ? union : new IndexedReads(union, index, mode)
  let closing: Promise<void> | null = null
  const close = async () => {
    await queue?.settle()
    await index?.close()
    if (store !== undefined) inUse.delete(store)
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
    purge:
      queue === null || log === null || clock === null
        ? null
        : (key, options) =>
            purgeKey(
              { union, own: log, clock, queue, peers: () => [], onpeers: () => () => {} },
              key,
              options
            ),
    isClosed: () => closing !== null,
    close: () => (closing ??= close())
  }
  return new MultiBee(engine, new Keyspace(), keys, values)
}

/** Everything that can be wrong is found before anything is opened. */
function checked<K, V>(options: MultiBeeOptions<K, V>) {
  checkOptions('openMultiBee', options, OPTIONS)
  const { writers, open, sparse, own, now, index, mode, keyEncoding, valueEncoding } = options
  if (typeof open !== 'function') invalid('open', 'a function from a key to its core', open)
  if (sparse !== undefined && typeof sparse !== 'boolean')
    invalid('sparse', 'true or false', sparse)
  if (own !== undefined && !(typeof own === 'object' && own !== null && 'ready' in own))
    invalid('own', 'a core', own)
  if (own !== undefined && typeof now !== 'function')
    invalid('now', 'a function, as there is an own log to stamp', now)
  if (index !== undefined && !(typeof index === 'object' && index !== null && 'cursor' in index))
    invalid('index', 'an ordered store, as openIndexStore() makes', index)
  if (index !== undefined && sparse === true) invalid('index', 'none for sparse logs', index)
  checkMode(mode)
  if (mode !== undefined && mode !== 'stream' && index === undefined)
    invalid('mode', "'stream', as there is no index", mode)
  return {
    writers: writersOf(writers),
    keys: keyEncodingOf(keyEncoding ?? 'utf-8'),
    values: valueEncodingOf(valueEncoding ?? 'json')
  }
}

function take(index: OrderedStore): void {
  if (inUse.has(index)) invalid('index', 'a store that no other database has open', index)
  inUse.add(index)
}

function writersOf(writers: MultiBeeOptions<unknown, unknown>['writers']): Writers {
  if (typeof writers !== 'object' || writers === null) {
    return invalid('writers', 'keys, or a list of writers', writers)
  }
  if ('list' in writers) return writers
  return Symbol.iterator in writers
    ? new WriterList([...writers])
    : invalid('writers', 'keys, or a list of writers', writers)
}

/** Else what is put would never be read. */
function checkListed(writers: Writers, own: Uint8Array): void {
  if (writers.list().some(({ core }) => b4a.equals(core, own))) return
  throw new ManyhandsError('INVALID_ARGUMENT', 'The "own" core is not among the "writers"')
}
