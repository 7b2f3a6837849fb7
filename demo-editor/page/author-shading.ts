/**
 * The text shaded by who wrote it. The device is asked some time after the text has changed; until it answers, shades move along with
 * their letters, and what is new has none. CodeMirror draws those in sight alone, however long the text is.
 */
import { RangeSetBuilder, StateEffect, StateField, type Extension } from '@codemirror/state'
import {
  Decoration,
  EditorView,
  ViewPlugin,
  type DecorationSet,
  type PluginValue,
  type ViewUpdate
} from '@codemirror/view'
import type { Author, Authorship } from '../protocol.ts'
import type { PageDocument } from './page-document.ts'

/** After a change: nobody reads who wrote a letter while it is being typed. */
const REST_MS = 500

/** A device that takes long to answer is asked the more seldom: it has other things to do. */
const REST_FACTOR = 5

const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

/** What is told of a stretch. */
export interface Shade extends Author {
  /** In ms since 1970; null for just now. */
  readonly minute: number | null
}

export interface AuthorSource {
  /** Null when it cannot be told: then it is not asked again until something changes. */
  ask(): Promise<Authorship | null>
  /** Somebody may have said who they are, which can come after what they write. @returns what stops it */
  onpeople(listener: () => void): () => void
  /** Who wrote how many letters, and the letter at the caret; the most first. */
  show(shares: ReadonlyMap<Author, number>, atCaret: Shade | null): void
}

const told = StateEffect.define<Authorship>()

interface Shading {
  readonly shades: DecorationSet
  readonly shares: ReadonlyMap<Author, number>
}

const shading = StateField.define<Shading>({
  create: () => ({ shades: Decoration.none, shares: new Map() }),
  update(value, { changes, effects }) {
    const news = effects.find((effect) => effect.is(told))
    if (news !== undefined) return shadingOf(news.value)
    return changes.empty ? value : { ...value, shades: value.shades.map(changes) }
  },
  provide: (field) => EditorView.decorations.from(field, ({ shades }) => shades)
})

export function authorShading(document: PageDocument, source: AuthorSource): Extension {
  return [shading, ViewPlugin.define((view) => new AuthorWatch(view, document, source))]
}

class AuthorWatch implements PluginValue {
  readonly #view: EditorView
  readonly #document: PageDocument
  readonly #source: AuthorSource
  readonly #stop: () => void
  #timer: ReturnType<typeof setTimeout> | null = null
  #isAsking = false
  /** People have changed since it was asked last. */
  #isStale = false
  #rest = 0
  #isOver = false

  constructor(view: EditorView, document: PageDocument, source: AuthorSource) {
    this.#view = view
    this.#document = document
    this.#source = source
    this.#stop = source.onpeople(() => {
      this.#isStale = true
      this.#wait(Math.max(REST_MS, this.#rest))
    })
    this.#wait(0)
  }

  update({ docChanged, selectionSet, state, transactions }: ViewUpdate): void {
    if (docChanged) this.#wait(Math.max(REST_MS, this.#rest))
    const isNews = transactions.some(({ effects }) => effects.some((effect) => effect.is(told)))
    if (!isNews && !docChanged && !selectionSet) return
    const { shades, shares } = state.field(shading)
    this.#source.show(shares, shadeAt(shades, state.selection.main.head))
  }

  destroy(): void {
    this.#isOver = true
    this.#stop()
    clearTimeout(this.#timer ?? undefined)
  }

  #wait(ms: number): void {
    if (this.#isAsking) return
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      void this.#ask()
    }, ms)
  }

  async #ask(): Promise<void> {
    this.#isAsking = true
    this.#isStale = false
    const { edits } = this.#document
    const began = performance.now()
    const authorship = await this.#source.ask()
    this.#rest = REST_FACTOR * (performance.now() - began)
    this.#isAsking = false
    if (this.#isOver || authorship === null) return
    // The device may or may not have heard what was typed while it answered.
    const isLate = this.#document.edits !== edits
    if (isLate || authorship.length !== this.#view.state.doc.length)
      return this.#wait(Math.max(REST_MS, this.#rest))
    this.#view.dispatch({ effects: told.of(authorship) })
    if (this.#isStale) this.#wait(Math.max(REST_MS, this.#rest))
  }
}

function shadingOf({ authors, stretches }: Authorship): Shading {
  const builder = new RangeSetBuilder<Decoration>()
  const shares = new Map<Author, number>()
  for (const [from, to, index, minute] of stretches) {
    const author = authors[index]
    if (author === undefined) continue
    builder.add(from, to, decorationOf({ ...author, minute }))
    shares.set(author, (shares.get(author) ?? 0) + to - from)
  }
  const sorted = [...shares].sort(([, a], [, b]) => b - a)
  return { shades: builder.finish(), shares: new Map(sorted) }
}

function decorationOf(shade: Shade): Decoration {
  const { hue, isProven } = shade
  return Decoration.mark({
    class: `author ${isProven ? '' : 'imported'} ${hue === null ? '' : `hue-${hue}`}`,
    attributes: { title: shadeToText(shade) },
    shade
  })
}

/** Of the letter before the caret. */
function shadeAt(shades: DecorationSet, caret: number): Shade | null {
  let found: Shade | null = null
  shades.between(Math.max(0, caret - 1), caret, (from, to, { spec }) => {
    if (from < caret && to >= caret) found = (spec as { readonly shade: Shade }).shade
  })
  return found
}

export function authorToText({ name, isProven }: Author): string {
  return isProven ? name : `Brought in by ${name}`
}

export function shadeToText(shade: Shade): string {
  const when = shade.minute === null ? 'just now' : TIME.format(shade.minute)
  return `${authorToText(shade)}, ${when}`
}
