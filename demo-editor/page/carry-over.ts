/**
 * A document that was made anew holds less than its predecessor in a page, or other things: what its device never got, and what lay
 * past a seal. What was typed and not yet saved goes over to it.
 *
 * Mostly its updates fit as they are. Where they stand on what is gone for good, a letter typed into a sealed word say, they would
 * wait inside the new document for ever: there the letters themselves are typed anew, behind what both documents have before them.
 */
import * as Y from 'yjs'
import { itemsOf, lettersOf } from './letters.ts'

/** Letters, and behind which other one they go; null for the beginning. */
interface Typed {
  readonly behind: Y.ID | null
  readonly letters: string
}

/** @param edits in `from`, which may be lacking in `to`: what is there already changes nothing */
export function carryOver(
  edits: readonly Uint8Array[],
  from: Y.Text,
  to: Y.Text,
  origin: unknown
): void {
  if (edits.length === 0 || to.doc === null) return
  const { doc } = to
  const update = Y.mergeUpdates([...edits])
  if (fits(doc, update)) Y.applyUpdate(doc, update, origin)
  else doc.transact(() => typeAnew(update, from, to), origin)
}

/** Where an index of one text is in another that has most of the same letters: behind the nearest before it that both have. */
export function indexIn(from: Y.Text, index: number, to: Y.Text): number {
  let left = index
  let behind: Y.ID | null = null
  for (const item of itemsOf(from)) {
    if (left === 0) break
    if (item.deleted) continue
    const length = Math.min(item.length, left)
    left -= length
    behind = lastShared(item, length, to) ?? behind
  }
  return placeBehind(behind, to)
}

function fits(doc: Y.Doc, update: Uint8Array): boolean {
  const copy = new Y.Doc()
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(doc))
  Y.applyUpdate(copy, update)
  const { pendingStructs, pendingDs } = copy.store
  copy.destroy()
  return pendingStructs === null && pendingDs === null
}

function typeAnew(update: Uint8Array, from: Y.Text, to: Y.Text): void {
  const { structs, ds } = Y.decodeUpdate(update)
  const edited = Y.createDeleteSet()
  for (const { id, length } of structs.filter((struct) => !(struct instanceof Y.Skip)))
    edited.clients.set(id.client, [...(edited.clients.get(id.client) ?? []), spanAt(id, length)])
  const typed = typedIn(from, to, (id) => Y.isDeleted(edited, id))
  for (const id of deletedIn(from, to, (id) => Y.isDeleted(ds, id))) {
    if (isShown(id, to)) to.delete(placeBehind(id, to) - 1, 1)
  }
  for (const { behind, letters } of typed.toReversed()) to.insert(placeBehind(behind, to), letters)
}

/** Yjs does not export the class, and asks for no more than its two fields. */
function spanAt({ clock }: Y.ID, len: number) {
  return { clock, len }
}

/** What was typed and is lacking, in the order of the text. */
function typedIn(from: Y.Text, to: Y.Text, isTyped: (id: Y.ID) => boolean): readonly Typed[] {
  const typed: Typed[] = []
  let behind: Y.ID | null = null
  for (const { id, letter, isDeleted } of lettersOf(from)) {
    if (isHere(id, to)) behind = id
    else if (!isDeleted && isTyped(id)) add(typed, behind, letter)
  }
  return typed
}

function add(typed: Typed[], behind: Y.ID | null, letter: string): void {
  const last = typed.at(-1)
  if (last === undefined || last.behind !== behind) typed.push({ behind, letters: letter })
  else typed[typed.length - 1] = { behind, letters: last.letters + letter }
}

function* deletedIn(from: Y.Text, to: Y.Text, isGone: (id: Y.ID) => boolean): Generator<Y.ID> {
  for (const { id, isDeleted } of lettersOf(from))
    if (isDeleted && isGone(id) && isHere(id, to)) yield id
}

/** The last of an item's first letters that the other text has as well. */
function lastShared({ id }: Y.Item, length: number, { doc }: Y.Text): Y.ID | null {
  const known = doc === null ? 0 : Y.getState(doc.store, id.client)
  const clock = Math.min(known, id.clock + length) - 1
  return clock < id.clock ? null : Y.createID(id.client, clock)
}

function isHere({ client, clock }: Y.ID, { doc }: Y.Text): boolean {
  return doc !== null && clock < Y.getState(doc.store, client)
}

function isShown(id: Y.ID, { doc }: Y.Text): boolean {
  const item = doc === null ? null : Y.getItem(doc.store, id)
  return item instanceof Y.Item && !item.deleted
}

function placeBehind(id: Y.ID | null, text: Y.Text): number {
  if (id === null || text.doc === null) return 0
  const place = Y.createRelativePositionFromJSON({ item: id, assoc: -1 })
  return Y.createAbsolutePositionFromRelativePosition(place, text.doc, false)?.index ?? 0
}
