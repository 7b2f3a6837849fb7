/** What differs between two states of a Yjs document, place by place. */
import * as Y from 'yjs'
import type { Source } from './spans.ts'
import type { BySource, DocumentPath, ListChange, SourceDifference, TextChange } from './time.ts'
import { Comparison, isSameItem, type FormattedPiece, type Place } from './yjs-compare.ts'

/** As editors write what is in a text and no letter. */
const NO_LETTER = '\ufffc'

interface Spot {
  readonly place: Place
  readonly path: DocumentPath
}

export function diff(from: Y.Doc, to: Y.Doc): readonly SourceDifference[] {
  const comparison = new Comparison(from, to)
  const differences: SourceDifference[] = []
  const spots: Spot[] = comparison.roots.map((name) => ({ place: name, path: [name] }))
  for (let spot = spots.pop(); spot !== undefined; spot = spots.pop()) {
    spots.push(...lookInto(comparison, spot, differences))
  }
  comparison.close()
  return differences.reverse().sort(byPath)
}

/** @returns what is nested in it, and there in both states */
function lookInto(
  comparison: Comparison,
  { place, path }: Spot,
  differences: SourceDifference[]
): readonly Spot[] {
  const nested: Spot[] = []
  const texts: (TextChange & BySource)[] = []
  const lists: (ListChange & BySource)[] = []
  const isText = comparison.kindOf(place) === 'text'
  let at = 0
  for (const piece of comparison.pieces(place)) {
    const { isBefore, isAfter, id, content, length } = piece
    if (isBefore && isAfter) {
      if (content instanceof Y.ContentType) nested.push({ place: id, path: [...path, at] })
    } else if (isText) addText(texts, piece, at)
    else addValues(lists, piece, at)
    if (isAfter) at += length
  }
  if (texts.length > 0) differences.push({ type: 'text', path, changes: texts })
  if (lists.length > 0) differences.push({ type: 'list', path, changes: lists })
  for (const { key, before, after } of comparison.slots(place)) {
    const at = [...path, key]
    if (!isSameItem(before, after)) {
      const [old, now] = [before, after].map((item) => (item === null ? undefined : valueOf(item)))
      differences.push({ type: 'value', path: at, before: old, after: now })
    } else if (after?.content instanceof Y.ContentType) nested.push({ place: after.id, path: at })
  }
  return nested
}

function addText(changes: (TextChange & BySource)[], piece: FormattedPiece, at: number): void {
  const { kind, source } = changeOf(piece)
  const text = textOf(piece)
  const last = changes.at(-1)
  const isNext =
    last?.kind === kind &&
    last.source === source &&
    at === last.at + (kind === 'inserted' ? last.text.length : 0)
  if (isNext) changes.splice(-1, 1, { ...last, text: last.text + text })
  else changes.push({ kind, at, text, source })
}

function addValues(changes: (ListChange & BySource)[], piece: FormattedPiece, at: number): void {
  const { kind, source } = changeOf(piece)
  const values = contentOf(piece).map(plain)
  const last = changes.at(-1)
  const isNext =
    last?.kind === kind &&
    last.source === source &&
    at === last.at + (kind === 'inserted' ? last.values.length : 0)
  if (isNext) changes.splice(-1, 1, { ...last, values: [...last.values, ...values] })
  else changes.push({ kind, at, values, source })
}

function changeOf({ isAfter, id }: FormattedPiece): {
  readonly kind: 'inserted' | 'deleted'
  readonly source: Source | null
} {
  return isAfter ? { kind: 'inserted', source: id.client } : { kind: 'deleted', source: null }
}

function textOf(piece: FormattedPiece): string {
  const { content, offset, length } = piece
  return content instanceof Y.ContentString
    ? content.str.slice(offset, offset + length)
    : NO_LETTER.repeat(length)
}

function contentOf({ content, offset, length }: FormattedPiece): readonly unknown[] {
  return content.getContent().slice(offset, offset + length)
}

/** Of a key's item the last value counts. */
function valueOf({ content }: Y.Item): unknown {
  return plain(content.getContent().at(-1))
}

function plain(value: unknown): unknown {
  if (value instanceof Y.AbstractType) return value.toJSON()
  return value instanceof Y.Doc ? { guid: value.guid } : value
}

function byPath(a: SourceDifference, b: SourceDifference): number {
  const length = Math.min(a.path.length, b.path.length)
  for (let i = 0; i < length; i++) {
    const [one, other] = [a.path[i] ?? 0, b.path[i] ?? 0]
    if (one === other) continue
    if (typeof one === 'number' && typeof other === 'number') return one - other
    return String(one) < String(other) ? -1 : 1
  }
  return a.path.length - b.path.length
}
