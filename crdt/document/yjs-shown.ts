/** What a Yjs document shows, item by item: to tell whether two show the same, and whose each stretch of a text is. */
import * as Y from 'yjs'
import type { TextRun } from './engine.ts'
import { runsOf, type Decoded, type Struct } from './yjs-update.ts'

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
  return partsOf(content)
}

/** What a content has of its own, without what is in it. */
function partsOf(content: Y.Item['content']): string {
  if (content instanceof Y.ContentType) return content.type.constructor.name
  if (content instanceof Y.ContentFormat) return textOf([content.key, content.value])
  if (content instanceof Y.ContentDoc) return content.doc.guid
  return textOf(content.getContent())
}

function* itemsOf(type: SharedType): Generator<Y.Item> {
  for (let item = type._start; item !== null; item = item.right) yield item
}

/** Whether an update has the same in its items as the document, as far as that shows them, and as what waits in it. */
export function agrees(doc: Y.Doc, { structs }: Decoded): boolean {
  const waiting = waitingIn(doc)
  return structs.every((said) => {
    if (!(said instanceof Y.Item) || said.content instanceof Y.ContentDeleted) return true
    return [...knownAt(doc, said), ...(waiting.get(said.id.client) ?? [])].every(
      (struct) => !(struct instanceof Y.Item) || isAlike(struct, said)
    )
  })
}

/** Structs of a document in the place of one. */
function knownAt(doc: Y.Doc, { id: { client, clock }, length }: Struct): readonly Struct[] {
  const end = Math.min(clock + length, Y.getState(doc.store, client))
  if (end <= clock) return []
  const structs = doc.store.clients.get(client) ?? []
  const known: Struct[] = []
  for (let i = Y.findIndexSS(structs, clock); ; i++) {
    const struct = structs[i]
    if (struct === undefined || struct.id.clock >= end) return known
    known.push(struct)
  }
}

/** By client. */
function waitingIn({ store: { pendingStructs } }: Y.Doc): ReadonlyMap<number, readonly Struct[]> {
  const { structs } =
    pendingStructs === null ? { structs: [] } : Y.decodeUpdateV2(pendingStructs.update)
  return new Map(runsOf(structs).map((run) => [run.client, run.structs]))
}

/** Whether two items have the same where both are. */
function isAlike(item: Y.Item, said: Y.Item): boolean {
  const from = Math.max(item.id.clock, said.id.clock)
  const to = Math.min(item.id.clock + item.length, said.id.clock + said.length)
  if (from >= to || item.content instanceof Y.ContentDeleted) return true
  return isSamePlace(item, said, from) && contentOf(item, from, to) === contentOf(said, from, to)
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

/** @param named null where an item's neighbours tell. What waits names its container, too. */
function isIn({ parent }: Y.Item, named: Y.Item['parent'] | string): boolean {
  if (named === null || parent === null) return true
  if (!(parent instanceof Y.AbstractType)) return JSON.stringify(parent) === JSON.stringify(named)
  if (named instanceof Y.ID) return Y.compareIDs(parent._item?.id ?? null, named)
  return typeof named !== 'string' || parent.doc?.share.get(named) === parent
}

function contentOf({ id, content }: Y.Item, from: number, to: number): string {
  const [start, end] = [from - id.clock, to - id.clock]
  if (content instanceof Y.ContentString)
    return content.str.slice(start, end).replaceAll(HALVES, '\ufffd')
  return content instanceof Y.ContentAny || content instanceof Y.ContentJSON
    ? textOf(content.getContent().slice(start, end))
    : partsOf(content)
}

/** Yjs puts the last of these in the place of a pair that is cut into halves. */
const HALVES = /[\ud800-\udfff\ufffd]/g

/** Values as Yjs has them: JSON knows no bigint. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `${each}n` : each))
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
