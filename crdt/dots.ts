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

/** Adds an element, under a new dot even where it is in the set: whoever removes it meanwhile has not seen this addition. */
export function addDot(
  own: DotsPayload | null,
  others: readonly DotsPayload[],
  value: Uint8Array,
  at: Position
): DotsPayload {
  const dots = (own?.dots ?? []).filter(
    (dot) => !(b4a.equals(dot.value, value) && b4a.equals(dot.position.core, at.core))
  )
  const taken = new Set(dots.map(dotToId))
  // A dot that somebody claims to have removed already would be lost.
  const removed = removedIds(own === null ? others : [own, ...others])
  let index = 0
  const isTaken = (id: string) => taken.has(id) || removed.has(id)
  while (isTaken(dotToId({ position: at, index }))) index++
  return checkCount({
    dots: [...dots, { position: at, index, value }].sort(compareDots),
    removed: own?.removed ?? []
  })
}

/** Removes what all entries add of one element, or of all; null when there is nothing to remove. */
export function removeDots(
  own: DotsPayload | null,
  others: readonly DotsPayload[],
  value: Uint8Array | null,
  core: Uint8Array
): DotsPayload | null {
  const isMeant = (dot: Dot) => value === null || b4a.equals(dot.value, value)
  const isOwn = ({ position }: DotId) => b4a.equals(position.core, core)
  const known = removedIds(own === null ? [] : [own])
  const all = [...(own?.dots ?? []), ...others.flatMap(({ dots }) => dots)].filter(isMeant)
  if (all.every((dot) => known.has(dotToId(dot)))) return null
  const added = new Map<string, DotId>()
  for (const { position, index } of own?.removed ?? []) {
    added.set(dotToId({ position, index }), { position, index })
  }
  for (const { position, index } of all) {
    if (!isOwn({ position, index })) added.set(dotToId({ position, index }), { position, index })
  }
  return checkCount({
    dots: (own?.dots ?? []).filter((dot) => !isMeant(dot)),
    removed: [...added.values()].sort(compareDots)
  })
}

/** More would be refused by every reader. */
function checkCount(payload: DotsPayload): DotsPayload {
  if (payload.dots.length <= MAX_ITEMS && payload.removed.length <= MAX_ITEMS) return payload
  throw new ManyhandsError(
    'VALUE_TOO_LARGE',
    `A set holds at most ${MAX_ITEMS} elements per device`
  )
}
