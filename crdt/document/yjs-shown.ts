/** What a Yjs document shows, item by item: to tell whether two show the same, and whose each stretch of a text is. */
import * as Y from 'yjs'
import type { TextRun } from './engine.ts'
import { Spans, type Span } from './spans.ts'
import { spansOf } from './yjs-seal.ts'
import type { Decoded } from './yjs-update.ts'

/** Whatever kind of type it is. */
type SharedType = Y.Doc['share'] extends Map<string, infer T> ? T : never

/** Equal for two documents if all that can be seen in them, and under which sources, is equal. */
export function shownIn(doc: Y.Doc): string {
  const parts: string[] = []
  for (const name of [...doc.share.keys()].sort()) {
    const type = doc.share.get(name)
    const shown = type === undefined ? [] : shownInType(type)
    if (shown.length > 0) parts.push(JSON.stringify(name), ...shown)
  }
  return parts.join('\n')
}

/** However the items are cut: what goes on in the next one is one line. */
function shownInType(type: SharedType): readonly string[] {
  const lines: string[] = []
  let next: Y.ID | null = null
  for (const item of itemsOf(type)) {
    if (item.deleted) continue
    const { client, clock } = item.id
    const goesOn = next !== null && Y.compareIDs(next, item.id)
    const text = item.content instanceof Y.ContentString ? item.content.str : null
    if (goesOn && text !== null) lines.push((lines.pop() ?? '') + text)
    else lines.push(`${client} ${clock} ${text ?? shownOf(item.content)}`)
    next = text === null ? null : Y.createID(client, clock + item.length)
  }
  for (const name of [...type._map.keys()].sort()) {
    const item = type._map.get(name)
    if (item === undefined || item.deleted) continue
    const { client, clock } = item.id
    lines.push(`${JSON.stringify(name)} ${client} ${clock} ${shownOf(item.content)}`)
  }
  return lines
}

function shownOf(content: Y.Item['content']): string {
  if (content instanceof Y.ContentType) return `[${shownInType(content.type).join('\n')}]`
  if (content instanceof Y.ContentFormat)
    return JSON.stringify([content.key, content.value as unknown])
  return JSON.stringify(content.getContent())
}

function* itemsOf(type: SharedType): Generator<Y.Item> {
  for (let item = type._start; item !== null; item = item.right) yield item
}

/** Whether an update has the same in its items as the document, as far as that shows them, and nothing of what waits in it. */
export function agrees(doc: Y.Doc, update: Decoded): boolean {
  const waiting = spansWaitingIn(doc)
  const isNew = (span: Span) => {
    const [rest] = waiting.without(span)
    return rest?.start === span.start && rest.end === span.end
  }
  return (
    update.structs.every((struct) => !(struct instanceof Y.Item) || isAsIn(doc, struct)) &&
    (waiting.isEmpty || [...spansOf(update)].every(isNew))
  )
}

function spansWaitingIn({ store: { pendingStructs } }: Y.Doc): Spans {
  return pendingStructs === null ? new Spans() : spansOf(Y.decodeUpdateV2(pendingStructs.update))
}

function isAsIn(doc: Y.Doc, said: Y.Item): boolean {
  const { client, clock } = said.id
  const end = Math.min(clock + said.length, Y.getState(doc.store, client))
  if (end <= clock || said.content instanceof Y.ContentDeleted) return true
  const structs = doc.store.clients.get(client) ?? []
  for (let i = Y.findIndexSS(structs, clock); ; i++) {
    const item = structs[i]
    if (item === undefined || item.id.clock >= end) return true
    if (!(item instanceof Y.Item) || item.content instanceof Y.ContentDeleted) continue
    const from = Math.max(item.id.clock, clock)
    const to = Math.min(item.id.clock + item.length, end)
    const isAlike =
      isSamePlace(item, said, from) && contentOf(item, from, to) === contentOf(said, from, to)
    if (!isAlike) return false
  }
}

/** Items are cut and joined: what goes on in the middle of one stands behind what is before it. */
function isSamePlace(item: Y.Item, said: Y.Item, clock: number): boolean {
  const originOf = ({ id, origin }: Y.Item) =>
    clock === id.clock ? origin : Y.createID(id.client, clock - 1)
  return (
    Y.compareIDs(originOf(item), originOf(said)) &&
    Y.compareIDs(item.rightOrigin, said.rightOrigin) &&
    isIn(item, said.parent) &&
    (said.parent === null || item.parentSub === said.parentSub)
  )
}

/** @param named null where an item's neighbours tell */
function isIn({ parent }: Y.Item, named: Y.Item['parent'] | string): boolean {
  if (named === null || !(parent instanceof Y.AbstractType)) return true
  if (named instanceof Y.ID) return Y.compareIDs(parent._item?.id ?? null, named)
  return typeof named !== 'string' || parent.doc?.share.get(named) === parent
}

function contentOf({ id, content }: Y.Item, from: number, to: number): string {
  return content.isCountable() && !(content instanceof Y.ContentType)
    ? JSON.stringify(content.getContent().slice(from - id.clock, to - id.clock))
    : kindOf(content)
}

function kindOf(content: Y.Item['content']): string {
  const isFormat = content instanceof Y.ContentFormat
  return `${content.getRef()} ${isFormat ? JSON.stringify([content.key, content.value as unknown]) : ''}`
}

/** A shared type by its name; without one, the only one that has anything. Null where there is none such, or several. */
export function typeIn(doc: Y.Doc, of: unknown): SharedType | 'none yet' | null {
  if (of instanceof Y.AbstractType) return of.doc === doc ? of : null
  if (typeof of === 'string') return doc.share.get(of) ?? null
  const filled = [...doc.share.values()].filter(({ _start }) => _start !== null)
  const [only] = filled
  return filled.length > 1 ? null : (only ?? 'none yet')
}

/** What is seen from one index of a type to another, in stretches of one source. */
export function* runsIn(type: SharedType, from: number, to: number): Generator<TextRun> {
  let index = 0
  for (const item of itemsOf(type)) {
    if (item.deleted || !item.countable) continue
    const start = Math.max(from, index)
    const end = Math.min(to, index + item.length)
    const { client: source, clock } = item.id
    if (start < end) yield { from: start, to: end, source, start: clock + start - index }
    index += item.length
    if (index >= to) return
  }
}
