/**
 * Where the others are in the text: a caret with a name, and what they have selected.
 *
 * y-codemirror.next has such an extension, but it sets style attributes, which the page's Content-Security-Policy refuses: here a
 * person's colour is a class, one of a few. What others send is shown only as far as it makes sense.
 */
import { Annotation, RangeSet, type Extension, type Range } from '@codemirror/state'
import {
  Decoration,
  type EditorView,
  ViewPlugin,
  WidgetType,
  type DecorationSet,
  type PluginValue,
  type ViewUpdate
} from '@codemirror/view'
import * as Y from 'yjs'
import { HUES } from './theme.ts'
import type { PageDocument } from './page-document.ts'

const MAX_NAME = 24

interface Person {
  readonly name: string
  readonly hue: number
}

/** Marks an update that only redraws. */
const moved = Annotation.define<true>()

export function remoteCursors(document: PageDocument): Extension {
  return ViewPlugin.define((view) => new RemoteCursors(view, document), {
    decorations: ({ decorations }) => decorations
  })
}

class RemoteCursors implements PluginValue {
  decorations: DecorationSet = RangeSet.empty
  readonly #view: EditorView
  readonly #document: PageDocument

  constructor(view: EditorView, document: PageDocument) {
    this.#view = view
    this.#document = document
    document.awareness.on('change', this.#onchange)
    this.#draw()
  }

  update(update: ViewUpdate): void {
    if (update.selectionSet || update.docChanged || update.focusChanged) this.#tell()
    if (update.docChanged || update.transactions.some((each) => each.annotation(moved))) {
      this.#draw()
    }
  }

  destroy(): void {
    this.#document.awareness.off('change', this.#onchange)
  }

  readonly #onchange = (
    { added, updated, removed }: Record<'added' | 'updated' | 'removed', number[]>,
    origin: unknown
  ): void => {
    const isOurs = [...added, ...updated, ...removed].every((id) => id === this.#own)
    // Our own state changes in the middle of an update of the view; nobody else's does.
    if (!isOurs && origin !== 'local') this.#view.dispatch({ annotations: moved.of(true) })
  }

  get #own(): number {
    return this.#document.doc.clientID
  }

  /** The others where we are; once we have been in the text, also while we are elsewhere. */
  #tell(): void {
    const { awareness, text } = this.#document
    const state = awareness.getLocalState()
    if (state === null || !this.#view.hasFocus) return
    const { anchor, head } = this.#view.state.selection.main
    const position = (at: number) => Y.createRelativePositionFromTypeIndex(text, at)
    const cursor = { anchor: position(anchor), head: position(head) }
    if (JSON.stringify(cursor) !== JSON.stringify(state['cursor']))
      awareness.setLocalStateField('cursor', cursor)
  }

  #draw(): void {
    const ranges: Range<Decoration>[] = []
    for (const [id, state] of this.#document.awareness.getStates()) {
      if (id !== this.#own) ranges.push(...this.#rangesOf(state))
    }
    this.decorations = Decoration.set(ranges, true)
  }

  #rangesOf({ cursor, user }: Record<string, unknown>): Range<Decoration>[] {
    const { name, hue } = personOf(user)
    const { anchor, head } = (cursor ?? {}) as { anchor?: unknown; head?: unknown }
    const [from, to] = [this.#indexOf(anchor), this.#indexOf(head)]
    if (from === null || to === null) return []
    const caret = Decoration.widget({ widget: new Caret(name, hue), side: to < from ? 1 : -1 })
    if (from === to) return [caret.range(to)]
    const selection = Decoration.mark({ class: `remote-selection hue-${hue}` })
    return [selection.range(Math.min(from, to), Math.max(from, to)), caret.range(to)]
  }

  #indexOf(position: unknown): number | null {
    const { doc, text } = this.#document
    if (typeof position !== 'object' || position === null) return null
    try {
      const relative = Y.createRelativePositionFromJSON(position)
      const absolute = Y.createAbsolutePositionFromRelativePosition(relative, doc)
      if (absolute === null || absolute.type !== text) return null
      return Math.min(absolute.index, this.#view.state.doc.length)
    } catch {
      return null // not a position: whoever sent it is not shown
    }
  }
}

function personOf(user: unknown): Person {
  const { name, hue } = (user ?? {}) as { name?: unknown; hue?: unknown }
  return {
    name: typeof name === 'string' ? name.slice(0, MAX_NAME) : '?',
    hue: Number.isInteger(hue) && Number(hue) >= 0 ? Number(hue) % HUES : 0
  }
}

class Caret extends WidgetType {
  readonly #name: string
  readonly #hue: number

  constructor(name: string, hue: number) {
    super()
    this.#name = name
    this.#hue = hue
  }

  override eq(other: Caret): boolean {
    return other.#name === this.#name && other.#hue === this.#hue
  }

  override toDOM(): HTMLElement {
    const caret = document.createElement('span')
    caret.className = `remote-caret hue-${this.#hue}`
    caret.dataset['name'] = this.#name
    const label = document.createElement('span')
    label.className = 'remote-name'
    label.textContent = this.#name
    caret.append('\u2060', label, '\u2060')
    return caret
  }

  override ignoreEvent(): boolean {
    return true
  }
}
