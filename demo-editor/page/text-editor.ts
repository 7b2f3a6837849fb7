/** The text of one document: CodeMirror, bound to a Y.Text, with the others' cursors. */
import { defaultKeymap } from '@codemirror/commands'
import { search, searchKeymap } from '@codemirror/search'
import {
  Compartment,
  EditorState,
  type Extension,
  type Text,
  type Transaction
} from '@codemirror/state'
import { drawSelection, EditorView, keymap, placeholder } from '@codemirror/view'
import { css, html, LitElement, nothing, type PropertyValues } from 'lit'
import { property, query, state } from 'lit/decorators.js'
import { yCollab, yUndoManagerKeymap } from 'y-codemirror.next'
import { UndoManager } from 'yjs'
import { MAX_TEXT_BYTES, type Author } from '../protocol.ts'
import { authorShading, type Shade } from './author-shading.ts'
import { indexIn } from './carry-over.ts'
import type { DeviceLink } from './device-link.ts'
import type { PageDocument } from './page-document.ts'
import { remoteCursors } from './remote-cursors.ts'
import { hues, shared } from './theme.ts'

/** What inserts less is typing, and is taken whatever the size: there is room between a text and a message. */
const LARGE = 10_000

/** In a UTF-16 unit there are so many bytes of UTF-8 at most. */
const MAX_BYTES_PER_UNIT = 3

const START = { y: 'start', yMargin: 0 } as const

/** Emits `refuse` with the reason when something is not inserted. */
export class TextEditor extends LitElement {
  static override readonly styles = [
    shared,
    ...hues,
    css`
      :host {
        display: flex;
        flex-direction: column;
        min-height: 0;
        overflow: hidden;
        background: var(--paper);
      }

      .text {
        flex: 1;
        min-height: 0;
      }

      .cm-editor {
        height: 100%;
      }

      .author {
        -webkit-box-decoration-break: clone;
        box-decoration-break: clone;
        border-radius: 0.15em;
        background: color-mix(in srgb, var(--hue, var(--faint)) 20%, transparent);
        box-shadow: 0 1.5px 0 var(--hue, var(--faint));
      }

      .author.imported {
        border-bottom: 2px dotted var(--hue, var(--faint));
        background: none;
        box-shadow: none;
      }

      .cm-editor.cm-focused {
        outline: none;
      }

      /* Doubled, to weigh more than CodeMirror's own. */
      .cm-editor.cm-editor .cm-scroller {
        padding: 1.25rem max(1.25rem, calc(50% - 22rem)) 30vh;
        font: 1.1rem/1.85 var(--text);
      }

      .cm-editor.cm-editor .cm-content,
      .cm-editor.cm-editor .cm-line {
        padding: 0;
      }

      .cm-editor.cm-editor .cm-content {
        caret-color: var(--ink);
      }

      .cm-editor .cm-cursor {
        border-left: 2px solid var(--ink);
      }

      .cm-editor .cm-placeholder {
        color: var(--faint);
      }

      .cm-editor.cm-editor .cm-selectionBackground {
        background: color-mix(in srgb, var(--accent) 25%, transparent);
      }

      .cm-panels.cm-panels {
        background: var(--desk);
        color: var(--ink);
        border-color: var(--line);
        font-family: var(--ui);
      }

      .cm-panels .cm-textfield,
      .cm-panels .cm-button {
        border: 1px solid var(--line);
        border-radius: 0.4rem;
        background: var(--raised);
        color: inherit;
      }

      .remote-selection {
        background: color-mix(in srgb, var(--hue) 25%, transparent);
      }

      .remote-caret {
        position: relative;
        margin: 0 -1px;
        border-left: 2px solid var(--hue);
      }

      .remote-name {
        position: absolute;
        top: -1.3em;
        left: -2px;
        padding: 0 0.4em;
        border-radius: 0.25em 0.25em 0.25em 0;
        background: var(--hue);
        color: var(--paper);
        font: 600 0.6rem/1.3 var(--ui);
        white-space: nowrap;
        pointer-events: none;
        user-select: none;
        z-index: 1;
      }

      /* Above the first line there is no room. */
      .cm-line:first-child .remote-name {
        top: auto;
        bottom: -1.1em;
        border-radius: 0 0.25em 0.25em 0.25em;
      }
    `
  ]

  @property({ attribute: false }) accessor document: PageDocument | null = null
  /** Asked who wrote what. */
  @property({ attribute: false }) accessor link: DeviceLink | null = null
  /** Who wrote what is shown. */
  @property({ type: Boolean }) accessor authors = false
  /** Nothing can be written. */
  @property({ type: Boolean }) accessor readonly = false
  @state() private accessor shares: ReadonlyMap<Author, number> = new Map()
  @state() private accessor atCaret: Shade | null = null
  @query('.text') private accessor place!: HTMLElement
  readonly #shading = new Compartment()
  readonly #writing = new Compartment()
  #view: EditorView | null = null
  #undo: UndoManager | null = null

  /** The whole text as it is shown. */
  get text(): string {
    return this.#view?.state.doc.toString() ?? ''
  }

  override focus(): void {
    this.#view?.focus()
  }

  protected override render() {
    const legend = () =>
      html`<author-legend .shares=${this.shares} .atCaret=${this.atCaret}></author-legend>`
    return html`${this.authors ? legend() : nothing}
      <div class="text"></div>`
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has('document')) this.#show(this.document, changed.get('document') ?? null)
    else if (changed.has('authors')) this.#shade()
    if (changed.has('readonly')) this.#permit()
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.#show(null)
  }

  /** Only for what is done here: what others wrote is in the document already. */
  readonly #limit = EditorState.transactionFilter.of((transaction) => {
    if (!transaction.isUserEvent('input') || insertedBy(transaction) < LARGE) return transaction
    const bytes = bytesOf(transaction.newDoc)
    if (bytes <= MAX_TEXT_BYTES) return transaction
    const detail = `Nothing was inserted: the text would take ${toMegabytes(bytes)} MB, and a document holds
      ${toMegabytes(MAX_TEXT_BYTES)} MB. Divide it among several documents.`
    this.dispatchEvent(new CustomEvent('refuse', { detail }))
    return []
  })

  #permit(): void {
    if (this.readonly) this.#undo?.clear() // undoing would be writing
    const effects = this.#writing.reconfigure(EditorState.readOnly.of(this.readonly))
    this.#view?.dispatch({ effects })
  }

  #shade(): void {
    if (this.document === null) return
    const effects = this.#shading.reconfigure(this.#shadesOf(this.document))
    this.#view?.dispatch({ effects })
  }

  #shadesOf(document: PageDocument): Extension {
    this.shares = new Map()
    this.atCaret = null
    const { link } = this
    if (!this.authors || link === null) return []
    return authorShading(document, {
      ask: () => link.authorship(document),
      onpeople: (listener) => {
        link.on('members', listener)
        return () => link.off('members', listener)
      },
      show: (shares, atCaret) => {
        this.shares = shares
        this.atCaret = atCaret
      }
    })
  }

  #show(document: PageDocument | null, before: PageDocument | null = null): void {
    const hadFocus = this.#view?.hasFocus ?? false
    const isSame = document !== null && document.id === before?.id
    const place = isSame ? placeIn(document, before, this.#view) : { anchor: 0, head: 0, top: 0 }
    this.#view?.destroy()
    this.#undo?.destroy()
    this.#view = null
    this.#undo = null
    if (document === null) return
    this.#undo = new UndoManager(document.text)
    this.#view = new EditorView({
      parent: this.place,
      root: this.renderRoot as ShadowRoot,
      // Not at the beginning: it would scroll the space above the first line away.
      ...(place.top > 0 ? { scrollTo: EditorView.scrollIntoView(place.top, START) } : {}),
      state: EditorState.create({
        doc: document.text.toJSON(),
        selection: place,
        extensions: [
          extensionsFor(document, this.#undo),
          this.#limit,
          this.#writing.of(EditorState.readOnly.of(this.readonly)),
          this.#shading.of(this.#shadesOf(document))
        ]
      })
    })
    if (isSame && hadFocus) this.#view.focus()
  }
}

/** A document that was made anew: the caret, and what is in sight, stay about where they were. */
function placeIn(document: PageDocument, before: PageDocument, view: EditorView | null) {
  if (view === null) return { anchor: 0, head: 0, top: 0 }
  const { anchor, head } = view.state.selection.main
  const edge = view.scrollDOM.getBoundingClientRect().top - view.documentTop
  const top = edge <= 0 ? 0 : view.elementAtHeight(edge).from
  const place = (index: number) => indexIn(before.text, index, document.text)
  return { anchor: place(anchor), head: place(head), top: place(top) }
}

function toMegabytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20)
}

function insertedBy({ changes }: Transaction): number {
  let length = 0
  changes.iterChanges((_fromA, _toA, _fromB, _toB, inserted) => (length += inserted.length))
  return length
}

function bytesOf(text: Text): number {
  if (text.length * MAX_BYTES_PER_UNIT <= MAX_TEXT_BYTES) return 0 // whatever it is, there is room
  const encoder = new TextEncoder()
  let bytes = 0
  for (const part of text) bytes += encoder.encode(part).byteLength
  return bytes
}

function extensionsFor(document: PageDocument, undoManager: UndoManager): Extension[] {
  return [
    // A text from elsewhere may hold other line ends: positions must stay those of the Y.Text.
    EditorState.lineSeparator.of('\n'),
    EditorView.clipboardInputFilter.of((text) => text.replace(/\r\n?/g, '\n')),
    EditorView.lineWrapping,
    EditorView.contentAttributes.of({ 'aria-label': 'Text', spellcheck: 'true' }),
    drawSelection(),
    search({ top: true }),
    placeholder('Write something…'),
    // Tab is not bound: it leads out of the text, as keyboard users need.
    keymap.of([...yUndoManagerKeymap, ...searchKeymap, ...defaultKeymap]),
    yCollab(document.text, null, { undoManager }),
    remoteCursors(document)
  ]
}
