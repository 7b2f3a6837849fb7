/**
 * Which values of an entry an index orders: a path of fields, `[]` behind a field for each element of an array.
 *
 *     email           the field of that name
 *     address.city    a field of a field
 *     tags[]          each element of the array
 *     phones[].number a field of each element
 */
import b4a from 'b4a'
import type { Value } from '../crdt/index.ts'
import { invalid, ManyhandsError } from '../errors.ts'
import { encodeOrdered, isIndexable, type Indexable } from './ordered-value.ts'

export interface IndexPath {
  /** As it was declared. */
  readonly text: string
  readonly steps: readonly Step[]
}

interface Step {
  readonly field: string
  /** The field holds an array, and each of its elements is meant. */
  readonly isEach: boolean
}

/** What an index orders an entry by. */
export interface IndexedValue {
  readonly value: Indexable
  /** The order of these bytes is that of the values. */
  readonly bytes: Uint8Array
}

/** An index row repeats the key: without a bound one value of others could make thousands of times its size in rows. */
export const MAX_INDEXED_VALUES = 1024

/** Paths stand in the local index, and are typed by people. */
const MAX_PATH_LENGTH = 255

/** @throws INVALID_ARGUMENT */
function parseIndexPath(text: unknown): IndexPath {
  if (typeof text !== 'string' || text.length > MAX_PATH_LENGTH || !text.isWellFormed())
    return badPath(text)
  const steps = text.split('.').map((part): Step => {
    const isEach = part.endsWith('[]')
    const field = isEach ? part.slice(0, -'[]'.length) : part
    return field === '' || /[[\]]/.test(field) ? badPath(text) : { field, isEach }
  })
  return { text, steps }
}

/** The paths of a declaration, each once. @throws INVALID_ARGUMENT */
export function parseIndexPaths(texts: unknown): readonly IndexPath[] {
  if (!Array.isArray(texts)) return invalid('index', "paths, as in ['email', 'tags[]']", texts)
  return [...new Set<unknown>(texts)].map(parseIndexPath)
}

/** The declared path that a caller means by its name, with or without the `[]`. @throws INVALID_ARGUMENT */
export function findIndexPath(paths: readonly IndexPath[], name: string): IndexPath {
  const found =
    paths.find(({ text }) => text === name) ??
    paths.find(({ text }) => text.replaceAll('[]', '') === name)
  if (found !== undefined) return found
  const declared = paths.map(({ text }) => text).join(', ')
  const known = declared === '' ? 'none is declared' : `declared are ${declared}`
  throw new ManyhandsError(
    'INVALID_ARGUMENT',
    `This database has no index by ${JSON.stringify(name)}; ${known}`
  )
}

/**
 * The values at a path, each once: the first MAX_INDEXED_VALUES different ones. What is missing, and what has no order (an object,
 * an array without `[]`), is not indexed.
 */
export function indexedValues(value: Value, { steps }: IndexPath): readonly IndexedValue[] {
  const found = new Map<string, IndexedValue>()
  for (const item of valuesAt(value, steps, 0)) {
    if (!isIndexable(item)) continue
    const bytes = encodeOrdered(item)
    const id = b4a.toString(bytes, 'latin1')
    if (!found.has(id)) found.set(id, { value: item, bytes })
    if (found.size === MAX_INDEXED_VALUES) break
  }
  return [...found.values()]
}

function* valuesAt(value: Value, steps: readonly Step[], from: number): Generator<Value> {
  const step = steps[from]
  if (step === undefined) {
    yield value
    return
  }
  const item = fieldOf(value, step.field)
  if (item === undefined) return
  if (!step.isEach) yield* valuesAt(item, steps, from + 1)
  else if (isList(item)) for (const each of item) yield* valuesAt(each, steps, from + 1)
}

function fieldOf(value: Value, field: string): Value | undefined {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return undefined
  if (isList(value) || !Object.hasOwn(value, field)) return undefined
  return value[field]
}

/** Also narrows a readonly array, which Array.isArray does not. */
function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value)
}

function badPath(text: unknown): never {
  return invalid('index', 'a path, as in "email", "address.city" or "tags[]"', text)
}
