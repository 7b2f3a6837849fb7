/**
 * Two states of one Automerge document. Automerge knows what differs between any two of them, as patches that make the one into the
 * other: backward as well, so going back is making these patches.
 *
 * It does not tell who made what a patch says. Where all changes between the states are of one actor, it was that one.
 */
import * as A from '@automerge/automerge'
import type { AnyAutomergeDocument } from './automerge-document.ts'
import type { DocumentEngine } from './engine.ts'
import type { Source } from './spans.ts'
import type {
  BySource,
  DocumentPath,
  ListChange,
  SourceDifference,
  TextChange,
  Without
} from './time.ts'

type Doc = AnyAutomergeDocument

/** From a base on, it is made as if nothing had come since: Automerge merges it with what has. */
export function restore(doc: Doc, then: Doc, base?: Doc): void {
  const heads = A.getHeads((base ?? doc).value)
  const patches = A.diff(withAllOf(doc, then), heads, A.getHeads(then.value))
  if (patches.length === 0) return
  const makeAll = (draft: unknown) => patches.forEach((patch) => make(draft, patch))
  if (base === undefined) doc.change(makeAll)
  else doc.changeAt(heads, makeAll)
}

export function diff(from: Doc, to: Doc): readonly SourceDifference[] {
  const patches = A.diff(withAllOf(to, from), A.getHeads(from.value), A.getHeads(to.value))
  const source = onlyActor(from, to)
  const differences = new Differences(from, to, source)
  for (const patch of patches) differences.add(patch)
  return differences.all()
}

/** A change is whole, and so are those that it was made on. */
export function without(
  engine: Pick<DocumentEngine<Doc>, 'create' | 'apply' | 'needed'>,
  updates: readonly Uint8Array[],
  left: readonly Uint8Array[]
): Without<Doc> {
  const needed = engine.needed(updates, left)
  const doc = engine.create('')
  engine.apply(doc, [...updates, ...needed.flatMap((i) => left[i] ?? [])], null)
  return { doc, kept: needed.length }
}

/** A document with the changes of both. */
function withAllOf(doc: Doc, other: Doc): A.Doc<unknown> {
  if (A.hasHeads(doc.value, A.getHeads(other.value))) return doc.value
  return A.merge(A.clone(doc.value), other.value)
}

function onlyActor(from: Doc, to: Doc): string | null {
  const heads = A.getHeads(from.value)
  if (!A.hasHeads(to.value, heads)) return null
  const actors = new Set(A.getChangesMetaSince(to.value, heads).map(({ actor }) => actor))
  const [only = null] = actors
  return actors.size === 1 ? only : null
}

/** Automerge's own function takes no key out of a map. */
function make(draft: unknown, patch: A.Patch): void {
  const key = patch.path.at(-1)
  if (patch.action !== 'del' || typeof key !== 'string') return A.applyPatch(draft, patch)
  const map = valueAt(draft, patch.path.slice(0, -1))
  if (isObject(map)) Reflect.deleteProperty(map, key)
}

/** A stretch of a text, or of a list: what was there, or what has come. */
interface Stretch<T> {
  readonly kind: 'kept' | 'inserted' | 'deleted'
  readonly items: T
}

interface Sequence {
  readonly path: DocumentPath
  readonly isText: boolean
  stretches: Stretch<string | readonly unknown[]>[]
}

/** Patches, put together by the places that they change. */
class Differences {
  readonly #from: Doc
  readonly #to: Doc
  readonly #source: Source | null
  /** Of texts and lists, by path. */
  readonly #sequences = new Map<string, Sequence>()
  /** What is another thing as a whole, by path: patches below say what is in it. */
  readonly #values = new Map<string, DocumentPath>()

  constructor(from: Doc, to: Doc, source: Source | null) {
    this.#from = from
    this.#to = to
    this.#source = source
  }

  add(patch: A.Patch): void {
    if (this.#isBelowValue(patch.path)) return
    switch (patch.action) {
      case 'splice':
        return this.#insert(patch.path, patch.value)
      case 'insert':
        return this.#insert(patch.path, patch.values)
      case 'del':
        return typeof patch.path.at(-1) === 'number'
          ? this.#delete(patch.path, patch.length ?? 1)
          : this.#put(patch.path)
      case 'put':
      case 'inc':
        return this.#put(patch.path)
      default: // marks and conflicts: what is there is the same
    }
  }

  all(): readonly SourceDifference[] {
    const values = [...this.#values.values()].map((path): SourceDifference => {
      const [before, after] = [this.#valueBefore(path), valueAt(this.#to.value, path)].map(plain)
      return { type: 'value', path, before, after }
    })
    return [...values, ...[...this.#sequences.values()].flatMap((each) => this.#said(each))]
  }

  #isBelowValue(path: readonly A.Prop[]): boolean {
    if (this.#values.size === 0) return false
    return path.some((_, i) => this.#values.has(keyOf(path.slice(0, i + 1))))
  }

  #put(path: readonly A.Prop[]): void {
    this.#values.set(keyOf(path), path)
  }

  #insert(path: readonly A.Prop[], items: string | readonly unknown[]): void {
    const [sequence, at] = this.#sequenceAt(path)
    if (sequence === null) return
    const index = cutAt(sequence, at)
    sequence.stretches.splice(index, 0, { kind: 'inserted', items })
  }

  #delete(path: readonly A.Prop[], count: number): void {
    const [sequence, at] = this.#sequenceAt(path)
    if (sequence === null) return
    const start = cutAt(sequence, at)
    const end = cutAt(sequence, at + count)
    const gone = sequence.stretches
      .slice(start, end)
      .filter(({ kind }) => kind !== 'inserted')
      .map(({ items }) => ({ kind: 'deleted', items }) as const)
    sequence.stretches.splice(start, end - start, ...gone)
  }

  /** Null for what is in no text and no list that both states have. */
  #sequenceAt(place: readonly A.Prop[]): [Sequence | null, number] {
    const path = place.slice(0, -1)
    const at = Number(place.at(-1))
    const key = keyOf(path)
    const known = this.#sequences.get(key)
    if (known !== undefined) return [known, at]
    const items = this.#valueBefore(path)
    if (typeof items !== 'string' && !Array.isArray(items)) return [null, at]
    const isText = typeof items === 'string'
    const stretches = items.length === 0 ? [] : [{ kind: 'kept', items } as const]
    const sequence = { path, isText, stretches }
    this.#sequences.set(key, sequence)
    return [sequence, at]
  }

  /** What stood at a place in the earlier state, wherever that was then; undefined where all of it is new. */
  #valueBefore(path: readonly A.Prop[]): unknown {
    let value: unknown = this.#from.value
    for (const [i, key] of path.entries()) {
      const sequence = this.#sequences.get(keyOf(path.slice(0, i)))
      const before = sequence === undefined ? key : indexBefore(sequence, Number(key))
      if (before === null || !isObject(value)) return undefined
      value = Reflect.get(value, before)
    }
    return value
  }

  #said({ path, isText, stretches }: Sequence): readonly SourceDifference[] {
    const texts: (TextChange & BySource)[] = []
    const lists: (ListChange & BySource)[] = []
    let at = 0
    for (const { kind, items } of stretches) {
      const source = kind === 'inserted' ? this.#source : null
      if (kind !== 'kept' && items.length > 0) {
        if (typeof items === 'string') texts.push({ kind, at, text: items, source })
        else lists.push({ kind, at, values: this.#valuesOf(path, kind, items, at), source })
      }
      if (kind !== 'deleted') at += items.length
    }
    if (isText) return texts.length === 0 ? [] : [{ type: 'text', path, changes: texts }]
    return lists.length === 0 ? [] : [{ type: 'list', path, changes: lists }]
  }

  /** What is in a value that was inserted, later patches say: so it is taken from where it is. */
  #valuesOf(
    path: DocumentPath,
    kind: 'inserted' | 'deleted',
    items: readonly unknown[],
    at: number
  ): readonly unknown[] {
    const list = kind === 'inserted' ? valueAt(this.#to.value, path) : null
    return (Array.isArray(list) ? list.slice(at, at + items.length) : items).map(plain)
  }
}

/** The index of the stretch that begins at a position of what is there now. */
function cutAt({ stretches }: Sequence, at: number): number {
  let start = 0
  for (let i = 0; i < stretches.length; i++) {
    const stretch = stretches[i]
    if (stretch === undefined || stretch.kind === 'deleted') continue
    const { kind, items } = stretch
    if (start === at) return i
    if (at < start + items.length) {
      const [head, tail] = [items.slice(0, at - start), items.slice(at - start)]
      stretches.splice(i, 1, { kind, items: head }, { kind, items: tail })
      return i + 1
    }
    start += items.length
  }
  return stretches.length
}

/** Where something stood that is at an index now; null for what is new. */
function indexBefore({ stretches }: Sequence, index: number): number | null {
  let now = 0
  let before = 0
  for (const { kind, items } of stretches) {
    if (kind !== 'deleted' && index < now + items.length)
      return kind === 'inserted' ? null : before + index - now
    if (kind !== 'deleted') now += items.length
    if (kind !== 'inserted') before += items.length
  }
  return null
}

function keyOf(path: readonly A.Prop[]): string {
  return JSON.stringify(path)
}

function valueAt(value: unknown, path: readonly A.Prop[]): unknown {
  return path.reduce<unknown>((at, key) => (isObject(at) ? Reflect.get(at, key) : undefined), value)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** Not the document's own object, which may keep all of it in memory. */
function plain(value: unknown): unknown {
  return isObject(value) && !(value instanceof Uint8Array) ? structuredClone(value) : value
}
