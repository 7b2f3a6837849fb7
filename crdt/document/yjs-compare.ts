/**
 * Two states of one Yjs document side by side. Whatever was ever in a list has one place in it, by which both states agree: so one
 * walk along all items meets what only one of them shows exactly where it stood.
 *
 * An item is the same thing in both, however each has cut it, or joined it to its neighbours; what it holds is taken from a state
 * that shows it, as what is deleted is empty.
 */
import * as Y from 'yjs'

/** Also one that no application has asked for yet: it is of no kind. */
export type AnyType =
  | NonNullable<ReturnType<Y.Doc['share']['get']>>
  | Y.Text
  | Y.Array<unknown>
  | Y.Map<unknown>
  | Y.XmlFragment

/** Formats of a text at some place, by their names. */
export type Formats = Readonly<Record<string, unknown>>

/** A shared type: by its name, or by the item that holds it. */
export type Place = string | Y.ID

export type Kind = 'text' | 'list' | 'map'

/** A stretch of one item that each state shows as a whole, or not at all. */
export interface Piece {
  readonly id: Y.ID
  readonly length: number
  readonly content: Y.Item['content']
  /** Where in the content it begins. */
  readonly offset: number
  readonly isBefore: boolean
  readonly isAfter: boolean
}

/** How a text is formatted where a piece stands. */
export interface FormattedPiece extends Piece {
  readonly before: Formats
  readonly after: Formats
}

/** What a key shows. */
export interface Slot {
  readonly key: string
  readonly before: Y.Item | null
  readonly after: Y.Item | null
}

export class Comparison {
  readonly #from: Y.Doc
  readonly #to: Y.Doc
  readonly #base: Y.Doc
  /** Has all items of both, in their order. */
  readonly #all: Y.Doc

  /** @param base what is the same in it and in `to` is after as it is before */
  constructor(from: Y.Doc, to: Y.Doc, base: Y.Doc = from) {
    this.#from = from
    this.#to = to
    this.#base = base
    this.#all = hasAllOf(to, from) ? to : hasAllOf(from, to) ? from : unionOf(from, to)
  }

  get roots(): readonly string[] {
    return [...new Set([...this.#from.share.keys(), ...this.#to.share.keys()])]
  }

  /** Of a type that no application has asked for yet, by what is in it. */
  kindOf(place: Place): Kind {
    const types = this.#types(place)
    if (types.some((type) => type instanceof Y.Text)) return 'text'
    if (types.some((type) => type instanceof Y.Array || type instanceof Y.XmlFragment))
      return 'list'
    if (types.some((type) => type instanceof Y.Map)) return 'map'
    const contents = types.flatMap((type) => [...contentsOf(type)])
    return contents.some(isOfText) ? 'text' : contents.length > 0 ? 'list' : 'map'
  }

  /** Whether what is in a list that no application has asked for is XML. */
  isXml(place: Place): boolean {
    return this.#types(place).some(
      (type) => type instanceof Y.XmlFragment || [...contentsOf(type)].some(isXmlNode)
    )
  }

  /** What stands in a list or a text, in its order. */
  *pieces(place: Place): Generator<FormattedPiece> {
    const before = new Map<string, unknown>()
    const after = new Map<string, unknown>()
    let formats = { before: NONE, after: NONE }
    for (let item = typeAt(this.#all, place)?._start ?? null; item !== null; item = item.right) {
      for (const piece of this.#cut(item)) {
        const { content, isBefore, isAfter } = piece
        if (content instanceof Y.ContentFormat) {
          if (isBefore) pass(before, content)
          if (isAfter) pass(after, content)
          formats = { before: Object.fromEntries(before), after: Object.fromEntries(after) }
        } else if (content.isCountable()) yield { ...piece, ...formats }
      }
    }
  }

  slots(place: Place): readonly Slot[] {
    const [now, then, base] = [this.#from, this.#to, this.#base].map(
      (doc) => typeAt(doc, place)?._map
    )
    const keys = new Set([...(now?.keys() ?? []), ...(then?.keys() ?? [])])
    return [...keys].map((key) => {
      const before = ifShown(now?.get(key))
      const goal = ifShown(then?.get(key))
      const isLeft = base !== now && isSameItem(goal, ifShown(base?.get(key)))
      return { key, before, after: isLeft ? before : goal }
    })
  }

  close(): void {
    if (this.#all !== this.#from && this.#all !== this.#to) this.#all.destroy()
  }

  #types(place: Place): readonly AnyType[] {
    return [this.#from, this.#to].flatMap((doc) => typeAt(doc, place) ?? [])
  }

  *#cut({ id: { client, clock }, length }: Y.Item): Generator<Piece> {
    const end = clock + length
    for (let at = clock; at < end;) {
      const id = Y.createID(client, at)
      const now = lookAt(this.#from, id, end)
      const then = lookAt(this.#to, id, end)
      const base = this.#base === this.#from ? now : lookAt(this.#base, id, end)
      const until = Math.min(now.until, then.until, base.until)
      const isLeft = (then.item === null) === (base.item === null)
      const item = now.item ?? then.item
      if (item !== null) {
        yield {
          id,
          length: until - at,
          content: item.content,
          offset: at - item.id.clock,
          isBefore: now.item !== null,
          isAfter: (isLeft ? now : then).item !== null
        }
      }
      at = until
    }
  }
}

const NONE: Formats = {}

/** The type at a place; null where a document has none. */
export function typeAt(doc: Y.Doc, place: Place): AnyType | null {
  if (typeof place === 'string') return doc.share.get(place) ?? null
  const { item } = lookAt(doc, place, place.clock + 1)
  return item?.content instanceof Y.ContentType ? item.content.type : null
}

/** What a document shows at an id, and up to where, at most, it is one thing. */
function lookAt(doc: Y.Doc, { client, clock }: Y.ID, end: number) {
  const structs = doc.store.clients.get(client)
  if (structs === undefined || clock >= Y.getState(doc.store, client))
    return { item: null, until: end }
  const struct = structs[Y.findIndexSS(structs, clock)]
  if (struct === undefined) return { item: null, until: end }
  const until = Math.min(end, struct.id.clock + struct.length)
  return { item: struct instanceof Y.Item ? ifShown(struct) : null, until }
}

function ifShown(item: Y.Item | undefined): Y.Item | null {
  return item === undefined || item.deleted ? null : item
}

/** Whether the same thing stands at a key, or nothing. */
export function isSameItem(a: Y.Item | null, b: Y.Item | null): boolean {
  return a === null || b === null ? a === b : Y.compareIDs(a.lastId, b.lastId)
}

/** Null ends a format. */
function pass(formats: Map<string, unknown>, { key, value }: Y.ContentFormat): void {
  if (value === null) formats.delete(key)
  else formats.set(key, value)
}

function* contentsOf({ _start }: AnyType): Generator<Y.Item['content']> {
  for (let item = _start; item !== null; item = item.right) if (!item.deleted) yield item.content
}

function isOfText(content: Y.Item['content']): boolean {
  return (
    content instanceof Y.ContentString ||
    content instanceof Y.ContentFormat ||
    content instanceof Y.ContentEmbed
  )
}

function isXmlNode(content: Y.Item['content']): boolean {
  return (
    content instanceof Y.ContentType &&
    (content.type instanceof Y.XmlElement || content.type instanceof Y.XmlText)
  )
}

function hasAllOf(doc: Y.Doc, other: Y.Doc): boolean {
  return [...other.store.clients.keys()].every(
    (client) => Y.getState(doc.store, client) >= Y.getState(other.store, client)
  )
}

function unionOf(one: Y.Doc, other: Y.Doc): Y.Doc {
  const all = new Y.Doc()
  for (const doc of [one, other]) Y.applyUpdateV2(all, Y.encodeStateAsUpdateV2(doc))
  return all
}
