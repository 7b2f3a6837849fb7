/**
 * Sets and flags: every addition has a dot, its name (core, block, index), and a removal lists the dots that it had seen. So an
 * element is in the set as long as somebody added it without the remover's knowledge: add-wins. A flag is a set of one element:
 * enable-wins. An empty set and a disabled flag do not exist.
 *
 * A removal of an own addition takes the dot away; only those of others are listed, for good.
 */
import b4a from 'b4a'
import { ManyhandsError } from '../errors.ts'
import type { PlacedEntry } from './fields.ts'
import type { Position } from './head.ts'
import { compareDots, MAX_ITEMS, type Dot, type DotId, type DotsEntry } from './typed-entry.ts'

export interface FoldedDots<S extends PlacedEntry> {
  /** The canonical bytes of each element once, rising. */
  readonly elements: readonly Uint8Array[]
  /** Those with dots that count. */
  readonly shown: readonly S[]
}

type Said<S> = S & { readonly entry: DotsEntry }

/** What a writer's entry of this kind holds, without its head. */
export type DotsPayload = Pick<DotsEntry, 'dots' | 'removed'>

export function foldDots<S extends PlacedEntry>(
  type: DotsEntry['type'],
  given: readonly S[]
): FoldedDots<S> {
  const said = given.filter((each): each is Said<S> => each.entry.type === type)
  const removed = removedIds(said.map(({ entry }) => entry))
  const elements = new Map<string, Uint8Array>()
  const shown = said.filter(({ entry }) => {
    const counting = entry.dots.filter((dot) => !removed.has(dotToId(dot)))
    for (const { value } of counting) elements.set(b4a.toString(value, 'latin1'), value)
    return counting.length > 0
  })
  return { elements: [...elements.values()].sort((a, b) => b4a.compare(a, b)), shown }
}

function removedIds(payloads: readonly DotsPayload[]): Set<string> {
  return new Set(payloads.flatMap(({ removed }) => removed.map(dotToId)))
}

function dotToId({ position, index }: DotId): string {
  return `${b4a.toString(position.core, 'hex')} ${position.seq} ${index}`
}

/**
 * Adds an element, under a new dot even where it is in the set: whoever removes it meanwhile has not seen this addition. A batch
 * adds thousands one by one, so one pass over what is there has to do, without a name made for every dot of it.
 */
export function addDot(
  own: DotsPayload | null,
  others: readonly DotsPayload[],
  value: Uint8Array,
  at: Position
): DotsPayload {
  const dots: Dot[] = []
  let index = 0
  for (const dot of own?.dots ?? []) {
    if (isSameCore(dot.position, at)) {
      if (isSameBytes(dot.value, value)) continue
      if (dot.position.seq === at.seq) index = Math.max(index, dot.index + 1)
    }
    dots.push(dot)
  }
  // A dot that somebody claims to have removed already would be lost.
  const removed = indexesAt(own === null ? others : [own, ...others], at)
  while (removed.has(index)) index++
  insertDot(dots, { position: at, index, value })
  return checkCount({ dots, removed: own?.removed ?? [] })
}

/** Of the dots that are listed as removed at one position. */
function indexesAt(payloads: readonly DotsPayload[], at: Position): Set<number> {
  const indexes = new Set<number>()
  for (const { removed } of payloads) {
    for (const { position, index } of removed) {
      if (position.seq === at.seq && isSameCore(position, at)) indexes.add(index)
    }
  }
  return indexes
}

/** From the end, where it usually belongs. */
function insertDot(dots: Dot[], dot: Dot): void {
  let place = dots.length
  for (let last = dots[place - 1]; last !== undefined; last = dots[place - 1]) {
    if (compareDots(last, dot) < 0) break
    place--
  }
  dots.splice(place, 0, dot)
}

function isSameCore(a: Position, b: Position): boolean {
  return a.core === b.core || b4a.equals(a.core, b.core)
}

/** Elements are short and many: a call into native code costs more than to look. */
function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false
  if (a.byteLength > 64) return b4a.equals(a, b)
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false
  return true
}

/** Removes what all entries add of one element, or of all; null when there is nothing to remove. */
export function removeDots(
  own: DotsPayload | null,
  others: readonly DotsPayload[],
  value: Uint8Array | null,
  core: Uint8Array
): DotsPayload | null {
  const isMeant = (dot: Dot) => value === null || isSameBytes(dot.value, value)
  const known = own?.removed ?? []
  const meant = [own?.dots ?? [], ...others.map(({ dots }) => dots)]
    .flatMap((dots) => dots.filter(isMeant))
    .filter((dot) => !hasDot(known, dot))
  if (meant.length === 0) return null
  const added = new Map<string, DotId>()
  for (const { position, index } of meant) {
    if (b4a.equals(position.core, core)) continue
    added.set(dotToId({ position, index }), { position, index })
  }
  return checkCount({
    dots: (own?.dots ?? []).filter((dot) => !isMeant(dot)),
    removed: added.size === 0 ? known : [...known, ...added.values()].sort(compareDots)
  })
}

/** Of dots that rise. */
function hasDot(dots: readonly DotId[], wanted: DotId): boolean {
  let from = 0
  let to = dots.length
  while (from < to) {
    const middle = (from + to) >> 1
    const dot = dots[middle]
    const order = dot === undefined ? 1 : compareDots(dot, wanted)
    if (order === 0) return true
    if (order < 0) from = middle + 1
    else to = middle
  }
  return false
}

/** More would be refused by every reader. */
function checkCount(payload: DotsPayload): DotsPayload {
  if (payload.dots.length <= MAX_ITEMS && payload.removed.length <= MAX_ITEMS) return payload
  throw new ManyhandsError(
    'VALUE_TOO_LARGE',
    `A set holds at most ${MAX_ITEMS} elements per device`
  )
}
