/**
 * The slow twin of a secondary index: reads everything, walks each path by hand, and compares values as values; nothing of it is
 * encoded.
 */
import type { Entry, Indexable, MultiBee, Range } from '../../multiwriter/index.ts'
import type { Value } from '../../index.ts'
import { collect } from '../support/collect.ts'

export interface SlowHit {
  readonly indexed: Indexable
  readonly entry: Entry<string, Value>
}

export interface SlowOptions extends Range<Indexable> {
  readonly reverse?: boolean
  readonly limit?: number
}

/** What an index by `path` shows, in its order. */
export async function indexSlowly(
  db: MultiBee,
  path: string,
  { reverse = false, limit = Infinity, ...range }: SlowOptions = {}
): Promise<readonly SlowHit[]> {
  const entries = await collect(db.createReadStream())
  const hits = entries.flatMap((entry) =>
    distinct(valuesSlowly(entry.value, path))
      .filter((value) => isWithin(value, range))
      .map((indexed) => ({ indexed, entry }))
  )
  // Keys come in order, and the sort is stable.
  hits.sort((a, b) => compareSlowly(a.indexed, b.indexed))
  return (reverse ? hits.reverse() : hits).slice(0, limit)
}

/** The order that docs/FORMAT.md promises, said in another way. */
export function compareSlowly(a: Indexable, b: Indexable): number {
  if (rank(a) !== rank(b)) return rank(a) - rank(b)
  if (typeof a === 'number' && typeof b === 'number') return a < b ? -1 : Number(a > b)
  if (typeof a === 'string' && typeof b === 'string') return compareLists(points(a), points(b))
  if (a instanceof Uint8Array && b instanceof Uint8Array) return compareLists([...a], [...b])
  return 0
}

function rank(value: Indexable): number {
  if (value === null) return 0
  if (typeof value === 'boolean') return value ? 2 : 1
  return ['number', 'string', 'object'].indexOf(typeof value) + 3
}

function points(text: string): number[] {
  return Array.from(text, (character) => character.codePointAt(0) ?? 0)
}

function compareLists(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? -1) - (b[i] ?? -1)
    if (difference !== 0) return difference
  }
  return 0
}

function valuesSlowly(value: Value, path: string): readonly Value[] {
  let values: readonly Value[] = [value]
  for (const part of path.split('.')) {
    const [field = '', ...brackets] = part.split('[]')
    values = values.flatMap((each) => {
      const isObject = Object.prototype.toString.call(each) === '[object Object]'
      const found = isObject
        ? Object.entries(each ?? {}).find(([name]) => name === field)
        : undefined
      if (found === undefined) return []
      if (brackets.length === 0) return [found[1]]
      return Array.isArray(found[1]) ? found[1] : []
    })
  }
  return values
}

function distinct(values: readonly Value[]): readonly Indexable[] {
  const kept: Indexable[] = []
  for (const value of values) {
    if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) continue
    if (!kept.some((each) => compareSlowly(each, value) === 0)) kept.push(value)
  }
  return kept
}

function isWithin(value: Indexable, { gt, gte, lt, lte }: Range<Indexable>): boolean {
  return (
    (gt === undefined || compareSlowly(value, gt) > 0) &&
    (gte === undefined || compareSlowly(value, gte) >= 0) &&
    (lt === undefined || compareSlowly(value, lt) < 0) &&
    (lte === undefined || compareSlowly(value, lte) <= 0)
  )
}
