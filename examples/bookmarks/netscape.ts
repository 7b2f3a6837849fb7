/**
 * The bookmark files that every browser exports and imports ("NETSCAPE-Bookmark-file-1"): nested lists of HTML that closes few of its
 * tags, so it is read by parse5, as a browser would. Kept: address, title, folders, ADD_DATE, TAGS, the note below (DD). Not kept:
 * icons, keywords, shortcuts, separators.
 */
import { parse, type DefaultTreeAdapterTypes } from 'parse5'
import type { BookmarkInput } from './bookmark.ts'

type Node = DefaultTreeAdapterTypes.ChildNode
type Element = DefaultTreeAdapterTypes.Element

export function parseBookmarks(html: string): BookmarkInput[] {
  const reader = new Reader()
  for (const node of parse(html).childNodes) reader.read(node)
  return reader.bookmarks
}

class Reader {
  readonly bookmarks: BookmarkInput[] = []
  /** Folders we are in. */
  readonly #path: string[] = []
  /** The heading that names the next list. */
  #heading: string | null = null

  read(node: Node): void {
    if (!('tagName' in node)) return
    switch (node.tagName) {
      case 'h3':
        this.#heading = textOf(node)
        return
      case 'a':
        this.#readLink(node)
        return
      case 'dl':
        this.#readList(node)
        return
      case 'dd':
        this.#readNote(node)
        return
      default:
        this.#readAll(node)
    }
  }

  #readAll({ childNodes }: Element): void {
    for (const node of childNodes) this.read(node)
  }

  #readList(list: Element): void {
    const folder = this.#heading
    this.#heading = null
    if (folder !== null) this.#path.push(folder)
    this.#readAll(list)
    if (folder !== null) this.#path.pop()
  }

  #readLink(link: Element): void {
    const url = attribute(link, 'href')
    if (url === undefined) return
    const added = Number(attribute(link, 'add_date') ?? NaN)
    const tags = (attribute(link, 'tags') ?? '').split(',').filter((tag) => tag.trim() !== '')
    this.bookmarks.push({
      url,
      title: textOf(link),
      tags,
      folder: [...this.#path],
      ...(Number.isSafeInteger(added) ? { added: added * 1000 } : {})
    })
  }

  /** The note of the bookmark before it; a folder inside means that it was never closed. */
  #readNote(note: Element): void {
    const text = note.childNodes.filter((node) => 'value' in node).map(({ value }) => value)
    const last = this.bookmarks.pop()
    if (last !== undefined) this.bookmarks.push({ ...last, note: text.join('').trim() })
    this.#readAll(note)
  }
}

/** A file that browsers import: folders first become nested again, in the order of the bookmarks. */
export function formatBookmarks(bookmarks: Iterable<BookmarkInput>): string {
  const root = new Folder()
  for (const bookmark of bookmarks) root.add(bookmark, bookmark.folder)
  return [
    '<!DOCTYPE NETSCAPE-Bookmark-file-1>',
    '<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=UTF-8">',
    '<TITLE>Bookmarks</TITLE>',
    '<H1>Bookmarks</H1>',
    ...root.lines('')
  ].join('\n')
}

class Folder {
  readonly #folders = new Map<string, Folder>()
  readonly #bookmarks: BookmarkInput[] = []

  add(bookmark: BookmarkInput, [name, ...rest]: readonly string[]): void {
    if (name === undefined) {
      this.#bookmarks.push(bookmark)
      return
    }
    const folder = this.#folders.get(name) ?? new Folder()
    this.#folders.set(name, folder)
    folder.add(bookmark, rest)
  }

  *lines(indent: string): Generator<string> {
    const inner = `${indent}    `
    yield `${indent}<DL><p>`
    for (const bookmark of this.#bookmarks) yield* linesOf(bookmark, inner)
    for (const [name, folder] of this.#folders) {
      yield `${inner}<DT><H3>${escape(name)}</H3>`
      yield* folder.lines(inner)
    }
    yield `${indent}</DL><p>`
  }
}

function* linesOf({ url, title, tags, added, note }: BookmarkInput, indent: string) {
  const date = added === undefined ? '' : ` ADD_DATE="${Math.floor(added / 1000)}"`
  const tagged = tags.length === 0 ? '' : ` TAGS="${escape(tags.join(','))}"`
  yield `${indent}<DT><A HREF="${escape(url)}"${date}${tagged}>${escape(title)}</A>`
  if (note !== undefined) yield `${indent}<DD>${escape(note)}`
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

function textOf({ childNodes }: Element): string {
  return childNodes
    .map((node) => ('value' in node ? node.value : 'tagName' in node ? textOf(node) : ''))
    .join('')
}

function attribute({ attrs }: Element, name: string): string | undefined {
  return attrs.find((each) => each.name === name)?.value
}
