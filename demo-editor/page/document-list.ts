/**
 * The documents of the notebook, and the way to a new one. There may be ten thousand: only the rows in sight, and some around them,
 * stand in the page; empty items of the height of the others stand before and behind.
 */
import { css, html, LitElement, nothing } from 'lit'
import { property, query, state } from 'lit/decorators.js'
import { repeat } from 'lit/directives/repeat.js'
import type { DocumentRow } from '../protocol.ts'
import { shared } from './theme.ts'

/** A list of so many is looked through by eye. */
const FEW = 12

/** So many rows stand ready on either side of those in sight. */
const AROUND = 20

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
        padding: 4px;
        list-style: none;
        overflow-y: auto;
      }

      /* The next rows are drawn before they come into sight; nothing is to hold on to where they come from. */
      ul {
        overflow-anchor: none;
      }

      input {
        padding: 0.35rem 0.75rem;
        border: 1px solid var(--line);
        border-radius: 0.5rem;
        background: var(--paper);
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
  /** Nothing can be written: there is no way to a new one. */
  @property({ type: Boolean }) accessor readonly = false
  @property() accessor chosen: string | null = null
  /** What titles are searched for. */
  @state() accessor wanted = ''

  /** A pointer is down on a row: rows stay where they are, or it would come up on another one. */
  #isPressed = false

  protected override shouldUpdate(): boolean {
    return !this.#isPressed
  }

  readonly #onpress = (): void => {
    this.#isPressed = true
    const release = () => {
      removeEventListener('pointerup', release)
      removeEventListener('pointercancel', release)
      // The click comes right after it.
      setTimeout(() => {
        this.#isPressed = false
        this.requestUpdate()
      })
    }
    addEventListener('pointerup', release)
    addEventListener('pointercancel', release)
  }

  /** The first row in sight, and how many there are. */
  @state() accessor top = 0
  @state() accessor inSight = AROUND
  @query('ul') private accessor ul!: HTMLElement | null
  readonly #resized = new ResizeObserver(() => this.#look())

  protected override firstUpdated(): void {
    if (this.ul !== null) this.#resized.observe(this.ul)
  }

  protected override updated(): void {
    for (const [name, rows] of Object.entries(this.#left())) {
      const space = this.renderRoot.querySelector<HTMLElement>(`.${name}`)
      // By a script, since style attributes are refused by the page's Content-Security-Policy.
      if (space !== null) space.style.height = `${rows * this.#rowHeight}px`
    }
    this.#follow()
  }

  /** The chosen row comes into sight when it becomes the chosen one, and when it gets another title, and so another place. */
  #follow(): void {
    const index = this.#found().findIndex(({ id }) => id === this.chosen)
    const { id = '', title = '' } = this.#found()[index] ?? {}
    if (this.ul === null || this.ul.clientHeight === 0 || this.#followed === id + title) return
    this.#followed = id + title
    const isInSight = index >= this.top && index < this.top + this.inSight - 1
    if (index >= 0 && !isInSight) this.ul.scrollTo({ top: index * this.#rowHeight })
  }

  #followed = ''

  override focus(): void {
    const rows = this.#found()
    if (rows.length === 0) this.renderRoot.querySelector('button')?.focus()
    else
      void this.#focusRow(
        Math.max(
          0,
          rows.findIndex(({ id }) => id === this.chosen)
        )
      )
  }

  protected override render() {
    const rows = this.#found()
    const { before, shown } = this.#window(rows)
    // Tab stops at one row, or it would be a way of ten thousand steps.
    const stop = shown.find(({ id }) => id === this.chosen)?.id ?? shown[0]?.id
    return html`
      <button class="primary" ?disabled=${this.readonly} @click=${() => this.#emit('create')}>
        New document
      </button>
      ${this.#search(this.documents?.length ?? 0)}
      <ul
        aria-label="Documents"
        @keydown=${this.#onkey}
        @pointerdown=${this.#onpress}
        @scroll=${() => this.#look()}
      >
        <li class="before" aria-hidden="true"></li>
        ${repeat(
          shown,
          ({ id }) => id,
          (row, i) => this.#row(row, before + i, rows.length, row.id === stop)
        )}
        <li class="behind" aria-hidden="true"></li>
      </ul>
      ${rows.length === 0 && this.documents !== null ? html`<p>${this.#none()}</p>` : nothing}
    `
  }

  /** The rows that stand in the page, and how many come before them. */
  #window(rows: readonly DocumentRow[]) {
    const last = Math.max(0, rows.length - this.inSight)
    const before = Math.max(0, Math.min(this.top, last) - AROUND)
    return { before, shown: rows.slice(before, before + this.inSight + 2 * AROUND) }
  }

  #left() {
    const rows = this.#found()
    const { before, shown } = this.#window(rows)
    return { before, behind: rows.length - before - shown.length }
  }

  get #rowHeight(): number {
    return this.renderRoot.querySelector<HTMLElement>('li button')?.offsetHeight ?? 1
  }

  #look(): void {
    if (this.ul === null || this.ul.clientHeight === 0) return
    const height = this.#rowHeight || 1
    this.top = Math.floor(this.ul.scrollTop / height)
    this.inSight = Math.ceil(this.ul.clientHeight / height)
  }

  async #focusRow(index: number): Promise<void> {
    const { before, shown } = this.#window(this.#found())
    if (index < before || index >= before + shown.length) {
      this.ul?.scrollTo({ top: index * this.#rowHeight })
      this.top = index
      await this.updateComplete
    }
    this.renderRoot.querySelector<HTMLElement>(`li[aria-posinset="${index + 1}"] button`)?.focus()
  }

  /** Those whose titles have what is searched for. */
  #found(): readonly DocumentRow[] {
    const wanted = this.wanted.trim().toLocaleLowerCase()
    const rows = this.documents ?? []
    if (wanted === '') return rows
    return rows.filter(({ title }) => title.toLocaleLowerCase().includes(wanted))
  }

  #none(): string {
    return this.wanted.trim() === '' ? 'No documents yet.' : 'No title has that in it.'
  }

  #search(count: number) {
    if (count <= FEW && this.wanted === '') return nothing
    return html`<input
      type="search"
      aria-label="Find a document"
      placeholder=${`Find among ${count.toLocaleString()}`}
      @input=${this.#onsearch}
      @keydown=${this.#onkey}
    />`
  }

  readonly #onsearch = (event: Event): void => {
    if (event.target instanceof HTMLInputElement) this.wanted = event.target.value
  }

  #row({ id, title, otherTitles }: DocumentRow, index: number, count: number, isStop: boolean) {
    const badge = () =>
      html`<span class="badge" title="Renamed on two devices at once">
        ${otherTitles.length + 1} titles
      </span>`
    return html`<li aria-posinset=${index + 1} aria-setsize=${count}>
      <button
        tabindex=${isStop ? 0 : -1}
        aria-current=${id === this.chosen ? 'true' : 'false'}
        @click=${() => this.#emit('choose', id)}
      >
        <span>${title}</span>
        ${otherTitles.length > 0 ? badge() : nothing}
      </button>
    </li>`
  }

  /** Arrows move along the list, and into it. */
  readonly #onkey = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step === undefined) return
    event.preventDefault()
    const at = this.renderRoot.querySelector('li:focus-within')?.getAttribute('aria-posinset')
    const count = this.#found().length
    const from = at === null || at === undefined ? -1 : Number(at) - 1
    if (count > 0) void this.#focusRow((from + step + count) % count)
  }

  #emit(type: string, detail?: string): void {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}
