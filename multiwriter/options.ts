/** The options of reading and writing a database, and what is wrong with given ones. */
import { checkOptions, invalid } from '../errors.ts'
import type { Patch, Value } from '../crdt/index.ts'
import type { ReadOptions, Work } from '../core/index.ts'
import type { Entry } from './entry.ts'
import type { Range } from './keyspace.ts'

/** @see ReadOptions: `wait: false` reads only what is on this device, `timeout` bounds the wait for one block. */
export interface StreamOptions<K> extends Range<K>, ReadOptions {
  readonly reverse?: boolean
  /** Entries at most; default all. */
  readonly limit?: number
}

/** What a compare-and-set would write. */
export interface Proposal<K, V> {
  readonly type: 'put' | 'del'
  readonly key: K
  /** Null for a deletion. */
  readonly value: V | null
}

/**
 * Whether to write `next` over `previous`: the entry as this device sees it when the write's turn comes (after what was put
 * before it), or null. Gives true or false at once; `previous.conflicts` shows what a write would settle. An entry put in the
 * same moment, not on the log yet, has the log's length as its `seq`.
 */
export type Cas<K, V> = (previous: Entry<K, V> | null, next: Proposal<K, V>) => boolean

export interface CasOptions<K, V> {
  readonly cas?: Cas<K, V>
}

export interface PutOptions<K, V> extends CasOptions<K, V> {
  /**
   * What the caller has read and changed, null for nothing: of an object, only the fields that differ from it are written. By
   * default what this device sees at the moment of writing.
   */
  readonly base?: V | null
}

/**
 * Makes the next value of the present one (null where nothing is there), in one go: nothing is written in between on this device.
 * Gives undefined to leave it. May be called more than once; not waited for.
 */
export type Update<K, V, I = V> = (value: V | null, entry: Entry<K, V> | null) => I | undefined

/** Fields to set; undefined deletes one, a nested object patches nested fields. */
export type PatchOf<V> = Value extends V
  ? Patch
  : V extends null | boolean | number | string | Uint8Array | readonly unknown[]
    ? V
    : { readonly [F in keyof V]?: PatchOf<V[F]> | undefined }

export interface HistoryStreamOptions<K> extends StreamOptions<K> {
  /** Begins behind this version: a text of `version()`. */
  readonly since?: string
  /** Goes on with what arrives. Ends with the database; leave the loop to stop. */
  readonly live?: boolean
}

export const RANGE_OPTIONS: readonly string[] = ['gt', 'gte', 'lt', 'lte']
export const READ_OPTIONS: readonly string[] = ['wait', 'timeout']
export const PEEK_OPTIONS: readonly string[] = [...RANGE_OPTIONS, ...READ_OPTIONS, 'reverse']
export const STREAM_OPTIONS: readonly string[] = [...PEEK_OPTIONS, 'limit']
const HISTORY_OPTIONS: readonly string[] = [...STREAM_OPTIONS, 'since', 'live']

export interface StreamRead<K> {
  readonly range: Range<K>
  readonly reverse: boolean
  readonly limit: number
  readonly read: ReadOptions
}

/** A stream's options with their defaults. @throws INVALID_ARGUMENT */
export function streamRead<K>(options: StreamOptions<K>): StreamRead<K> {
  const { reverse = false, limit = Infinity, wait = true, timeout = 0, ...range } = options
  const read = { wait, timeout }
  checkRead(read)
  checkLimit(limit)
  if (typeof reverse !== 'boolean') invalid('reverse', 'true or false', reverse)
  return { range, reverse, limit, read }
}

export interface HistoryRead<K> extends StreamRead<K> {
  readonly since: string | undefined
  readonly live: boolean
}

/** @throws INVALID_ARGUMENT */
export function historyRead<K>(options: HistoryStreamOptions<K>): HistoryRead<K> {
  checkOptions('createHistoryStream', options, HISTORY_OPTIONS)
  const { since, live = false, ...rest } = options
  const stream = streamRead(rest)
  if (typeof live !== 'boolean') invalid('live', 'true or false', live)
  if (live && stream.reverse) invalid('live', 'not together with reverse', live)
  return { ...stream, since, live }
}

/** @throws INVALID_ARGUMENT */
export function checkRead({ wait, timeout }: ReadOptions): void {
  if (wait !== undefined && typeof wait !== 'boolean') invalid('wait', 'true or false', wait)
  if (timeout === undefined || (Number.isFinite(timeout) && timeout >= 0)) return
  invalid('timeout', 'milliseconds, 0 for ever', timeout)
}

function checkLimit(limit: unknown): void {
  if (limit === Infinity || (Number.isSafeInteger(limit) && Number(limit) >= 0)) return
  invalid('limit', 'a non-negative integer', limit)
}

export const WORK_OPTIONS: readonly string[] = ['signal', 'onprogress']

/** @throws INVALID_ARGUMENT */
export function checkWork({ signal, onprogress }: Work): void {
  checkSignal('signal', signal)
  if (onprogress !== undefined && typeof onprogress !== 'function') {
    invalid('onprogress', 'a function', onprogress)
  }
}

/** @throws INVALID_ARGUMENT */
export function checkSignal(name: string, signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return
  invalid(name, 'an AbortSignal', signal)
}
