/**
 * Objects as fields: a value taken apart into the paths of its leaves, and put together again. A leaf is whatever has no fields
 * of its own: a scalar, bytes, an array (arrays are atomic), an empty object.
 */
import type { Value } from './value.ts'

/** Field names from the outside in; none for the whole value. */
export type Path = readonly string[]

export interface Leaf {
  readonly path: Path
  readonly value: Value
}

type Fields = { readonly [field: string]: Value }

/** An object with named fields: what is merged field by field. */
export function isFields(value: unknown): value is Fields {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  )
}

/** The leaves of a value, rising by path. */
export function valueToLeaves(value: Value): Leaf[] {
  const leaves: Leaf[] = []
  collectLeaves(value, [], leaves)
  return leaves
}

function collectLeaves(value: Value, path: Path, leaves: Leaf[]): void {
  const names = isFields(value) ? Object.keys(value).sort(compareNames) : []
  if (names.length === 0) leaves.push({ path, value })
  else if (isFields(value)) {
    for (const name of names) collectLeaves(value[name] ?? null, [...path, name], leaves)
  }
}

/** An object while it is put together: what it holds is its own to change. */
interface Growing {
  [field: string]: Value | Growing
}

/**
 * The value that has these leaves, which rise by path. An empty object may have fields below it. Null for no leaves.
 */
export function leavesToValue(leaves: readonly Leaf[]): Value {
  const [first] = leaves
  if (first === undefined) return null
  if (leaves.length === 1 && first.path.length === 0) return first.value
  const root: Growing = {}
  for (const { path, value } of leaves) if (path.length > 0) setAt(root, path, value)
  return root
}

function setAt(root: Growing, path: Path, value: Value): void {
  let fields = root
  const last = path.length - 1
  for (let i = 0; i < last; i++) {
    const name = path[i] ?? ''
    const inner = Object.hasOwn(fields, name) ? fields[name] : null
    // Own fields only: "constructor" is a name like any other. An empty object that was set gives way to a growing one.
    fields = fields[name] = isFields(inner) ? inner : {}
  }
  fields[path[last] ?? ''] = isFields(value) && isEmpty(value) ? {} : value
}

function isEmpty(fields: Fields): boolean {
  return Object.keys(fields).length === 0
}

/** Total order of paths: name by name, by UTF-16 code units; a path stands right before those below it. */
export function comparePaths(a: Path, b: Path): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const order = compareNames(a[i] ?? '', b[i] ?? '')
    if (order !== 0) return order
  }
  return a.length - b.length
}

function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** True for a path below another, and for the same path. */
export function startsWith(path: Path, start: Path): boolean {
  return path.length >= start.length && start.every((name, i) => path[i] === name)
}

/** Different for different paths. */
export function pathToId(path: Path): string {
  return path.length === 1 ? JSON.stringify(path[0]) : JSON.stringify(path)
}

/**
 * A map from paths, which knows in a few steps what stands above and below one.
 */
export class PathMap<T> {
  readonly #root = new PathNode<T>()

  get(path: Path): T | undefined {
    return this.#find(path)?.item
  }

  set(path: Path, item: T): void {
    let node = this.#root
    const isNew = this.get(path) === undefined
    for (const name of path) {
      if (isNew) node.below++
      node = node.enter(name)
    }
    node.item = item
  }

  hasBelow(path: Path): boolean {
    return (this.#find(path)?.below ?? 0) > 0
  }

  /** What stands at the beginnings of a path, from the outside in, without the path itself. */
  *above(path: Path): Generator<T> {
    let node: PathNode<T> | undefined = this.#root
    for (const name of path) {
      if (node?.item !== undefined) yield node.item
      node = node?.children?.get(name)
    }
  }

  #find(path: Path): PathNode<T> | undefined {
    let node: PathNode<T> | undefined = this.#root
    for (const name of path) node = node?.children?.get(name)
    return node
  }
}

class PathNode<T> {
  item: T | undefined = undefined
  /** How many items stand below this one. */
  below = 0
  children: Map<string, PathNode<T>> | null = null

  enter(name: string): PathNode<T> {
    this.children ??= new Map()
    let child = this.children.get(name)
    if (child === undefined) this.children.set(name, (child = new PathNode()))
    return child
  }
}
