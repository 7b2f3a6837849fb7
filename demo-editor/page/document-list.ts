/** The documents of the notebook, and the way to a new one. */
import { css, html, LitElement, nothing } from 'lit'
import { property } from 'lit/decorators.js'
import type { DocumentRow } from '../protocol.ts'
import { shared } from './theme.ts'

/** Emits `choose` with an id, and `create`. */
export class DocumentList extends LitElement {
  static override readonly styles = [
    shared,
    css`
      :host {
        display: flex;
        flex-direction: column;
        gap: 0.75rem;
        min-height: 0;
      }

      ul {
        margin: 0;
        padding: 2px;
        list-style: none;
        overflow-y: auto;
      }

      li button {
        display: flex;
        gap: 0.5rem;
        align-items: center;
        width: 100%;
        border-color: transparent;
        background: none;
        text-align: start;
      }

      li span:first-child {
        flex: 1;
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }

      li button[aria-current='true'] {
        background: var(--accent-soft);
        font-weight: 600;
      }

      p {
        margin: 0;
        color: var(--faint);
      }
    `
  ]

  @property({ attribute: false }) accessor documents: readonly DocumentRow[] | null = null
  @property() accessor chosen: string | null = null
  @property({ type: Boolean }) accessor disabled = false

  override focus(): void {
    const buttons = this.renderRoot.querySelectorAll<HTMLElement>('li button')
    const current = this.renderRoot.querySelector<HTMLElement>('[aria-current="true"]')
    ;(current ?? buttons[0] ?? this.renderRoot.querySelector('button'))?.focus()
  }

  protected override render() {
    return html`
      <button class="primary" ?disabled=${this.disabled} @click=${() => this.#emit('create')}>
        New document
      </button>
      <ul aria-label="Documents" @keydown=${this.#onkey}>
        ${this.documents?.map((row) => this.#row(row))}
      </ul>
      ${this.documents?.length === 0 ? html`<p>No documents yet.</p>` : nothing}
    `
  }

  #row({ id, title, otherTitles }: DocumentRow) {
    const badge = html`<span class="badge" title="Renamed on two devices at once">
      ${otherTitles.length + 1} titles
    </span>`
    return html`<li>
      <button
        aria-current=${id === this.chosen ? 'true' : 'false'}
        @click=${() => this.#emit('choose', id)}
      >
        <span>${title}</span>
        ${otherTitles.length > 0 ? badge : nothing}
      </button>
    </li>`
  }

  /** Arrows move along the list, besides Tab. */
  readonly #onkey = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step === undefined) return
    event.preventDefault()
    const buttons = [...this.renderRoot.querySelectorAll<HTMLElement>('li button')]
    const at = buttons.findIndex((each) => each.matches(':focus'))
    buttons[(at + step + buttons.length) % buttons.length]?.focus()
  }

  #emit(type: string, detail?: string): void {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}
