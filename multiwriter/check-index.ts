/**
 * Whether the local index says what the logs say: its rows are merged with the trees that they were made of, key by key, as of
 * one moment. Rows of secondary indexes stand in another order than the keys they come from; of them the set is compared, by the
 * xor of their hashes: one pass over each side, and memory stays flat.
 */
import b4a from 'b4a'
import { hash, TreeRefusal, type Work } from '../core/index.ts'
import { isManyhandsError } from '../errors.ts'
import { iterate, type Cursor } from './cursor.ts'
import { isIndexed, splitKey } from './keyspace.ts'
import { mergeSorted, type Group } from './merge.ts'

/** What a core says at a key; cores by number. */
export interface IndexItem {
  readonly number: number
  readonly seq: number
  readonly value: Uint8Array
}

/** What stands at a key: in a row, for several cores; in a tree, for one. */
export interface IndexSaid {
  readonly key: Uint8Array
  readonly items: readonly IndexItem[]
}

export interface RowSource {
  readonly rows: Cursor<IndexSaid>
  readonly trees: readonly Cursor<IndexSaid>[]
  /** Cores whose trees are compared; what rows say of others is passed over. */
  readonly numbers: ReadonlySet<number>
  /** Sees every row. */
  onrow(said: IndexSaid): void
}

const TASK = 'checking the index'

/** So many keys between two words of progress. */
const KEYS_PER_REPORT = 1024

/** So many differences are told one by one. */
const MAX_TOLD = 5

/** A set of byte strings, in 32 bytes: the same for the same strings, whatever their order. */
export class SetHash {
  readonly #sum = b4a.alloc(32)
  size = 0

  add(bytes: Uint8Array): void {
    const each = hash('manyhands/index-check', bytes)
    for (let i = 0; i < this.#sum.byteLength; i++)
      this.#sum[i] = (this.#sum[i] ?? 0) ^ (each[i] ?? 0)
    this.size++
  }

  equals(other: SetHash): boolean {
    return this.size === other.size && b4a.equals(this.#sum, other.#sum)
  }
}

/** What differs, in a sentence each: the first few keys, and how many in all. Closes the cursors. */
export async function compareRows(
  source: RowSource,
  { signal, onprogress }: Work = {}
): Promise<string[]> {
  const { rows, trees, numbers } = source
  const told: string[] = []
  let count = 0
  let done = 0
  const merged = mergeSorted([rows, ...trees], { compare: (a, b) => b4a.compare(a.key, b.key) })
  for await (const group of iterate(merged)) {
    signal?.throwIfAborted()
    if (++done % KEYS_PER_REPORT === 0) onprogress?.({ task: TASK, done, unit: 'keys' })
    if (!isIndexed(group.items[0]?.key ?? NO_KEY)) continue
    const { row, logs } = sidesOf(group, numbers)
    if (row !== null) source.onrow(row)
    const difference = differenceOf(
      row?.items.filter((item) => numbers.has(item.number)) ?? [],
      logs
    )
    if (difference === null) continue
    const [first] = group.items
    if (++count <= MAX_TOLD && first !== undefined)
      told.push(`${keyToText(first.key)} ${difference}`)
  }
  return count > MAX_TOLD ? [...told, `${count} keys differ in all`] : told
}

function sidesOf({ items, sources }: Group<IndexSaid>, numbers: ReadonlySet<number>) {
  const isRow = sources[0] === 0
  const row = isRow ? (items[0] ?? null) : null
  const logs = items.slice(isRow ? 1 : 0).flatMap((said) => said.items)
  return { row, logs: logs.filter(({ number }) => numbers.has(number)) }
}

/** The order of cores in a row is nobody's business. */
function differenceOf(row: readonly IndexItem[], logs: readonly IndexItem[]): string | null {
  const missing = logs.filter((item) => !row.some((each) => each.number === item.number))
  const extra = row.filter((item) => !logs.some((each) => each.number === item.number))
  const changed = logs.filter((item) => row.some((each) => isOther(each, item)))
  if (changed.length > 0) return 'has another value in the index than in the logs'
  if (missing.length > 0) return 'is missing in the index'
  if (extra.length > 0 || row.length !== logs.length) return 'is in the index, but not in the logs'
  return null
}

function isOther(a: IndexItem, b: IndexItem): boolean {
  return a.number === b.number && !(a.seq === b.seq && b4a.equals(a.value, b.value))
}

/** A group is never empty. */
const NO_KEY = new Uint8Array(0)

const SECTION_DB = 0x10

function keyToText(bytes: Uint8Array): string {
  if (bytes[0] !== SECTION_DB) return `0x${b4a.toString(bytes, 'hex')}`
  const { path, key } = splitKey(bytes)
  return [...path, b4a.toString(key)].map((part) => JSON.stringify(part)).join(' / ')
}

/** A log that cannot be read is another finding than an index that differs. */
export function isLogFailure(error: unknown): boolean {
  return (
    error instanceof TreeRefusal ||
    isManyhandsError(error, 'BLOCK_UNAVAILABLE') ||
    isManyhandsError(error, 'VERSION_UNAVAILABLE')
  )
}
