/**
 * The title of the document that is shown: rename, delete, and settle what two devices called it at once.
 *
 * Others may rename or delete the document at any moment. What a person is typing here is not taken from under the hands, and what
 * was asked about one document is never done to the next one that is shown.
 */
import { css, html, LitElement, nothing, type PropertyValues } from 'lit'
import { property, query } from 'lit/decorators.js'
import { MAX_TITLE, type DocumentRow } from '../protocol.ts'
import { shared } from './theme.ts'

/** Of which document, and what it is to be called. */
export interface Rename {
  readonly id: string
  readonly title: string
}

/** Emits `rename` with a `Rename`, `delete` with an id, `authors`, `history`, and `done` when the person goes on to the text. */
export class TitleBar extends LitElement {
  static override readonly styles = [
    shared,
    css`
      :host {
        display: block;
        padding: 0.6rem 1.25rem 0;
        background: var(--paper);
      }

      .row {
        display: flex;
        gap: 0.25rem;
        align-items: center;
        max-width: 44rem;
        margin: 0 auto;
      }

      input {
        flex: 1;
        min-width: 0;
        margin-left: -0.5rem;
        padding: 0.2rem 0.5rem;
        border: 1px solid transparent;
        border-radius: 0.5rem;
        background: none;
        font: 600 1.5rem/1.3 var(--text);
      }

      input:hover:not(:disabled) {
        border-color: var(--line);
      }

      @media (max-width: 30rem) {
        .row {
          flex-wrap: wrap;
        }

        input {
          flex-basis: 100%;
        }

        input + button {
          margin-left: -0.75rem;
        }
      }

      button[aria-pressed='true'] {
        background: var(--accent-soft);
      }

      .titles {
        flex-wrap: wrap;
        padding: 0.5rem 0.75rem;
        margin-top: 0.35rem;
        border-radius: 0.5rem;
        background: var(--warn-soft);
        color: var(--warn);
      }

      .titles button {
        max-width: 100%;
        overflow: hidden;
        text-overflow: ellipsis;
        color: var(--ink);
      }
    `
  ]

  @property({ attribute: false }) accessor row: DocumentRow | null = null
  @property({ type: Boolean }) accessor disabled = false
  /** Nothing can be written. */
  @property({ type: Boolean }) accessor readonly = false
  /** Who wrote what is shown. */
  @property({ type: Boolean }) accessor authors = false
  /** Its past is shown. */
  @property({ type: Boolean }) accessor past = false
  /** The document that the dialog is about. */
  #asked: string | null = null
  @query('input') private accessor input!: HTMLInputElement | null
  @query('dialog') private accessor dialog!: HTMLDialogElement | null

  override focus(): void {
    this.input?.focus()
    this.input?.select()
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (!changed.has('row')) return
    const before = changed.get('row') ?? null
    if (before?.id !== this.row?.id) this.dialog?.close()
    else if (this.#isTyping(before?.title)) return
    if (this.input !== null && this.row !== null) this.input.value = this.row.title
  }

  protected override render() {
    if (this.row === null) return nothing
    const { title, otherTitles } = this.row
    return html`
      <div class="row">
        <input
          aria-label="Title"
          title="Rename (F2)"
          maxlength=${MAX_TITLE}
          ?readonly=${this.readonly}
          @keydown=${this.#onkey}
          @change=${this.#onrename}
        />
        <button
          class="plain"
          aria-pressed=${this.authors ? 'true' : 'false'}
          ?disabled=${this.disabled}
          @click=${() => this.#emit('authors')}
        >
          Authors
        </button>
        <button
          class="plain"
          aria-pressed=${this.past ? 'true' : 'false'}
          ?disabled=${this.disabled}
          @click=${() => this.#emit('history')}
        >
          History
        </button>
        <button class="plain" ?disabled=${this.disabled || this.readonly} @click=${this.#onask}>
          Delete
        </button>
      </div>
      ${otherTitles.length > 0 ? this.#titles([title, ...otherTitles]) : nothing}
      <dialog aria-label="Delete the document" @close=${this.#onanswer}>
        <p>Delete “${title}” on all devices?</p>
        <form method="dialog">
          <button value="">Keep</button>
          <button value="delete" class="primary">Delete</button>
        </form>
      </dialog>
    `
  }

  #titles(titles: readonly string[]) {
    return html`<div class="row titles" role="group" aria-label="Titles given at the same time">
      Two titles at once. Keep:
      ${titles.map((title) => html`<button @click=${() => this.#rename(title)}>${title}</button>`)}
    </div>`
  }

  /** Something else than the title that stood there. */
  #isTyping(title: string | undefined): boolean {
    return this.shadowRoot?.activeElement === this.input && this.input?.value !== title
  }

  readonly #onkey = (event: KeyboardEvent): void => {
    if (this.input === null || (event.key !== 'Escape' && event.key !== 'Enter')) return
    event.preventDefault() // or the text, focused meanwhile, would get the Enter
    if (event.key === 'Escape') this.input.value = this.row?.title ?? ''
    this.input.blur() // which makes it a 'change', if it is one
    this.#emit('done')
  }

  readonly #onrename = (): void => {
    if (this.input === null || this.row === null) return
    const title = this.input.value.trim()
    if (title === '') this.input.value = this.row.title
    else if (title !== this.row.title) this.#rename(title)
  }

  readonly #onask = (): void => {
    this.#asked = this.row?.id ?? null
    this.dialog?.showModal()
  }

  readonly #onanswer = (): void => {
    const { dialog } = this
    if (dialog?.returnValue === 'delete' && this.#asked !== null) this.#emit('delete', this.#asked)
    if (dialog !== null) dialog.returnValue = ''
  }

  #rename(title: string): void {
    if (this.row !== null) this.#emit('rename', { id: this.row.id, title } satisfies Rename)
  }

  #emit(type: string, detail?: Rename | string): void {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}
