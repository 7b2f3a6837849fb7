/**
 * Going back: a live Yjs document comes to show what another state of it shows. What both show stays the very same items, so
 * cursors and others' edits beside them keep their places; what came later is deleted; what was deleted is written again where it
 * stood, as new items. It is one edit like any of the user's: an undo manager takes it back.
 *
 * With a base, only what differs between base and goal is done, to what the document has now.
 *
 * What is written again is also said to be deleted, once more and by us, in an update that changes nothing by itself: whatever becomes
 * of who deleted it first, it does not come back beside what stands for it now.
 *
 * It is made in a copy first, where the types can be asked for by what is in them: in the live document that is the application's
 * to decide, and final.
 */
import * as Y from 'yjs'
import { Spans } from './spans.ts'
import { deleteSetOf } from './yjs-seal.ts'
import { encode } from './yjs-update.ts'
import {
  Comparison,
  isSameItem,
  typeAt,
  type AnyType,
  type FormattedPiece,
  type Formats,
  type Place,
  type Slot
} from './yjs-compare.ts'

/** One step of a delta, as Quill calls changes of a text. */
interface DeltaStep {
  insert?: unknown
  retain?: number
  delete?: number
  attributes?: Formats
}

export function restore(doc: Y.Doc, then: Y.Doc, base: Y.Doc = doc): void {
  const comparison = new Comparison(doc, then, base)
  const copy = new Y.Doc()
  Y.applyUpdateV2(copy, Y.encodeStateAsUpdateV2(doc))
  copy.clientID = doc.clientID
  let edit: Uint8Array | null = null
  copy.on('updateV2', (update: Uint8Array) => (edit = update))
  const again = new Spans()
  copy.transact(() => bringBack(copy, comparison, again))
  comparison.close()
  copy.destroy()
  if (edit !== null) edited(doc, edit, again)
}

/** As if it had been made in the document itself. */
function edited(doc: Y.Doc, edit: Uint8Array, again: Spans): void {
  doc.transact((transaction) => {
    Y.applyUpdateV2(doc, edit)
    transaction.local = true // or Yjs takes its own client for somebody else's, and draws another
  })
  if (again.isEmpty) return
  const deletions = encode([], deleteSetOf(doc, again))
  // Not in the transaction: an undo manager would take it for something that can come back.
  doc.transact((transaction) => {
    doc.emit('updateV2', [deletions, null, doc, transaction])
    doc.emit('update', [Y.convertUpdateFormatV2ToV1(deletions), null, doc, transaction])
  })
}

/** What keys show that show nothing here, in all places that both documents have. */
export function fillSlots(doc: Y.Doc, from: Y.Doc): void {
  const comparison = new Comparison(doc, from)
  doc.transact(() => {
    eachPlace(doc, comparison, (type, { slots }) => {
      for (const slot of slots) if (slot.before === null) restoreSlot(type, slot)
    })
  })
  comparison.close()
}

/** @param again takes what is written again */
function bringBack(copy: Y.Doc, comparison: Comparison, again: Spans): void {
  eachPlace(copy, comparison, (type, { pieces, slots }) => {
    if (type instanceof Y.Text) restoreText(type, pieces, again)
    else if (type instanceof Y.Array || type instanceof Y.XmlFragment)
      restoreList(type, pieces, again)
    for (const slot of slots) restoreSlot(type, slot)
  })
}

interface Content {
  readonly pieces: readonly FormattedPiece[]
  readonly slots: readonly Slot[]
}

/** Calls back with each type that both states have, those that hold others first. */
function eachPlace(
  doc: Y.Doc,
  comparison: Comparison,
  ontype: (type: AnyType, content: Content) => void
): void {
  const places: Place[] = [...comparison.roots]
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    const type = typeIn(doc, comparison, place)
    if (type === null) continue
    const pieces = [...comparison.pieces(place)]
    const slots = comparison.slots(place)
    places.push(
      ...pieces
        .filter(isInBoth)
        .filter(isContainer)
        .map(({ id }) => id)
    )
    for (const { before, after } of slots) {
      if (after !== null && isSameItem(before, after) && isContainer(after)) places.push(after.id)
    }
    ontype(type, { pieces, slots })
  }
}

/** What is nested is there as what it is. */
function typeIn(copy: Y.Doc, comparison: Comparison, place: Place): AnyType | null {
  if (typeof place !== 'string') return typeAt(copy, place)
  switch (comparison.kindOf(place)) {
    case 'text':
      return copy.getText(place)
    case 'list':
      return comparison.isXml(place) ? copy.getXmlFragment(place) : copy.getArray(place)
    case 'map':
      return copy.getMap(place)
  }
}

function restoreText(text: Y.Text, pieces: readonly FormattedPiece[], again: Spans): void {
  const delta: DeltaStep[] = []
  for (const { kept, gone, come } of gapsIn(pieces)) {
    const { head, tail } = alikeIn(gone, come)
    for (let i = 0; i < head; i++) keep(delta, gone[i], come[i])
    for (const unit of come.slice(head, come.length - tail)) {
      insert(delta, unit)
      again.add(spanOf(unit))
    }
    const lost = gone.length - head - tail
    if (lost > 0) delta.push({ delete: lost })
    for (let i = tail; i > 0; i--) keep(delta, gone[gone.length - i], come[come.length - i])
    if (kept !== null) retain(delta, kept.length, changedFormats(kept.before, kept.after))
  }
  if (delta.some((step) => step.retain === undefined || !isEmpty(step.attributes ?? {})))
    text.applyDelta(delta)
}

/** What goes and what comes between two things that stay, and the second of these. */
interface Gap {
  readonly gone: readonly Unit[]
  readonly come: readonly Unit[]
  readonly kept: FormattedPiece | null
}

/** One letter, or another thing that takes the place of one. */
interface Unit {
  readonly value: unknown
  readonly formats: Formats
  /** Where it stands. */
  readonly piece: FormattedPiece
  readonly index: number
}

function* gapsIn(pieces: readonly FormattedPiece[]): Generator<Gap> {
  let gone: Unit[] = []
  let come: Unit[] = []
  for (const piece of pieces) {
    const { isBefore, isAfter, before, after } = piece
    if (isBefore && isAfter) {
      yield { gone, come, kept: piece }
      gone = []
      come = []
    } else if (isBefore) addUnits(gone, piece, before)
    else if (isAfter) addUnits(come, piece, after)
  }
  yield { gone, come, kept: null }
}

function addUnits(units: Unit[], piece: FormattedPiece, formats: Formats): void {
  for (const [index, value] of valuesOf(piece).entries())
    units.push({ value, formats, piece, index })
}

function spanOf({ piece: { id }, index }: Unit) {
  const start = id.clock + index
  return { source: id.client, start, end: start + 1 }
}

function valuesOf({ content, offset, length }: FormattedPiece): readonly unknown[] {
  return content.getContent().slice(offset, offset + length)
}

/** How many at the start, and at the end, say the same: they need not go and come again. Half a letter is none. */
function alikeIn(gone: readonly Unit[], come: readonly Unit[]) {
  const most = Math.min(gone.length, come.length)
  let head = 0
  while (head < most && isEqual(gone[head]?.value, come[head]?.value)) head++
  if (isHalf(gone[head - 1]?.value, FIRST_HALF)) head--
  let tail = 0
  while (tail < most - head && isEqual(gone.at(-1 - tail)?.value, come.at(-1 - tail)?.value)) tail++
  if (isHalf(gone.at(-tail)?.value, SECOND_HALF)) tail--
  return { head, tail: Math.max(0, tail) }
}

const FIRST_HALF = /^[\ud800-\udbff]$/
const SECOND_HALF = /^[\udc00-\udfff]$/

function isHalf(value: unknown, half: RegExp): boolean {
  return typeof value === 'string' && half.test(value)
}

function keep(delta: DeltaStep[], now: Unit | undefined, then: Unit | undefined): void {
  retain(delta, 1, changedFormats(now?.formats ?? {}, then?.formats ?? {}))
}

/** Joined to the step before it where that does the same. */
function retain(delta: DeltaStep[], length: number, attributes: Formats): void {
  const last = delta.at(-1)
  if (last?.retain !== undefined && isEqual(last.attributes, attributes)) last.retain += length
  else delta.push({ retain: length, attributes })
}

function insert(delta: DeltaStep[], { value, formats }: Unit): void {
  const last = delta.at(-1)
  const isMore =
    typeof value === 'string' &&
    typeof last?.insert === 'string' &&
    isEqual(last.attributes, formats)
  if (isMore) last.insert += value
  else delta.push({ insert: copied(value), attributes: formats })
}

/** What is to be set; null takes away. */
function changedFormats(before: Formats, after: Formats): Formats {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  const changed = names.filter((name) => !isEqual(before[name], after[name]))
  return Object.fromEntries(changed.map((name) => [name, after[name] ?? null]))
}

function restoreList(
  list: Y.Array<unknown> | Y.XmlFragment,
  pieces: readonly FormattedPiece[],
  again: Spans
): void {
  let at = 0
  for (const { kept, gone, come } of gapsIn(pieces)) {
    const { head, tail } = alikeIn(gone, come)
    const lost = gone.length - head - tail
    const found = come.slice(head, come.length - tail)
    if (lost > 0) list.delete(at + head, lost)
    if (found.length > 0)
      insertAt(
        list,
        at + head,
        found.map(({ value }) => value)
      )
    for (const unit of found) again.add(spanOf(unit))
    at += come.length + (kept?.length ?? 0)
  }
}

function insertAt(
  list: Y.Array<unknown> | Y.XmlFragment,
  at: number,
  values: readonly unknown[]
): void {
  const copies = values.map(copied)
  if (list instanceof Y.Array) list.insert(at, copies)
  else list.insert(at, copies.filter(isNode))
}

function isNode(value: unknown): value is Y.XmlElement | Y.XmlText {
  return value instanceof Y.XmlElement || value instanceof Y.XmlText
}

function restoreSlot(type: AnyType, { key, before, after }: Slot): void {
  if (isSameItem(before, after)) return
  if (after === null) return take(type, key)
  const [old, value] = [before, after].map((item) => item?.content.getContent().at(-1))
  if (before !== null && isEqual(old, value)) return
  set(type, key, copied(value))
}

function set(type: AnyType, key: string, value: unknown): void {
  if (type instanceof Y.Map) setInMap(type, key, value)
  else if (type instanceof Y.Text) type.setAttribute(key, value)
  else if (type instanceof Y.XmlElement) type.setAttribute(key, value as string) // or whatever it was
}

function setInMap(map: Y.Map<unknown>, key: string, value: unknown): void {
  map.set(key, value)
}

function take(type: AnyType, key: string): void {
  if (type instanceof Y.Map) type.delete(key)
  else if (type instanceof Y.XmlElement || type instanceof Y.Text) type.removeAttribute(key)
}

/** A thing of another document, for this one. */
function copied(value: unknown): unknown {
  if (value instanceof Y.AbstractType) return value.clone()
  if (!(value instanceof Y.Doc)) return value
  const { guid, gc, autoLoad, meta } = value
  return new Y.Doc({ guid, gc, autoLoad, meta })
}

function isInBoth({ isBefore, isAfter }: FormattedPiece): boolean {
  return isBefore && isAfter
}

function isContainer({ content }: Pick<Y.Item, 'content'>): boolean {
  return content instanceof Y.ContentType
}

function isEmpty(formats: Formats): boolean {
  return Object.keys(formats).length === 0
}

/** Plain values; what is shared is equal to nothing. */
function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (!isPlainObject(a) || !isPlainObject(b) || Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => isEqual(a[key], b[key]))
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !(value instanceof Y.AbstractType) &&
    !(value instanceof Y.Doc)
  )
}
