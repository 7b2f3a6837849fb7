/**
 * A document's past: who wrote when, and the text as it was, with what came and went. One moment follows the other by hand or by
 * itself. What is asked of the device is one thing at a time: of moments that were passed over meanwhile nobody wants to know.
 */
import { css, html, LitElement, nothing, type PropertyValues } from 'lit'
import { property, query, state } from 'lit/decorators.js'
import { classMap } from 'lit/directives/class-map.js'
import type { Moment, Person, Piece, Place } from '../protocol.ts'
import type { DeviceLink } from './device-link.ts'
import { hues, shared } from './theme.ts'

/** So long each moment is shown while it plays. */
const STEP_MS = 350

const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

/** Who has not said who it is. */
const UNKNOWN: Partial<Person> & Pick<Person, 'name'> = { name: 'Somebody' }

/** Emits `done` when the person goes back to writing. */
export class HistoryPanel extends LitElement {
  static override readonly styles = [
    shared,
    ...hues,
    css`
      :host {
        display: grid;
        grid-template: auto 1fr / minmax(0, 1fr);
        min-height: 0;
        background: var(--paper);
      }

      .bar {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem 0.75rem;
        align-items: center;
        box-sizing: border-box;
        width: 100%;
        max-width: 46.5rem;
        margin: 0.5rem auto 0;
        padding: 0.6rem 1.25rem;
        border: 1px solid var(--line);
        border-radius: 0.75rem;
        background: var(--desk);
      }

      input[type='range'] {
        flex: 1 1 6rem;
        min-width: 4rem;
        accent-color: var(--accent);
      }

      .line {
        display: flex;
        flex-wrap: wrap;
        gap: 0.35rem 1rem;
        align-items: center;
        width: 100%;
      }

      .who {
        display: flex;
        gap: 0.5rem;
        align-items: center;
        min-width: 0;
      }

      .who::before {
        content: '';
        flex: none;
        width: 0.7rem;
        height: 0.7rem;
        border-radius: 50%;
        background: var(--hue, var(--faint));
      }

      .who strong {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }

      time {
        color: var(--faint);
        font-variant-numeric: tabular-nums;
      }

      label {
        display: flex;
        gap: 0.35rem;
        align-items: center;
        margin-left: auto;
        cursor: pointer;
      }

      .text {
        overflow: auto;
        padding: 1.25rem max(1.25rem, calc(50% - 22rem)) 30vh;
        font: 1.1rem/1.85 var(--text);
      }

      .text > :is(span, ins, del) {
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }

      ins {
        border-radius: 0.15em;
        background: color-mix(in srgb, var(--hue, var(--good)) 22%, transparent);
        box-shadow: 0 1.5px 0 var(--hue, var(--good));
        text-decoration: none;
      }

      del {
        color: var(--bad);
        opacity: 0.75;
      }

      .note {
        color: var(--faint);
        font-family: var(--ui);
      }
    `
  ]

  @property({ attribute: false }) accessor link: DeviceLink | null = null
  /** Nothing can be written. */
  @property({ type: Boolean }) accessor readonly = false
  /** The document's id. */
  @property() accessor document = ''
  @state() private accessor moments: readonly Moment[] | null = null
  @state() private accessor people: Readonly<Record<string, Person>> = {}
  @state() private accessor at = 0
  @state() private accessor withNow = false
  @state() private accessor pieces: readonly Piece[] | null = null
  @state() private accessor isPlaying = false
  @query('input[type=range]') private accessor slider!: HTMLInputElement | null
  /** What is asked of the device just now; null for nothing. */
  #asking: Promise<void> | null = null
  #isDue = false
  #timer: ReturnType<typeof setTimeout> | null = null

  override focus(): void {
    this.slider?.focus()
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.#stop()
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('document')) void this.#load()
  }

  protected override render() {
    const { moments, isPlaying, at } = this
    const moment = moments?.[at]
    return html`
      <div class="bar" role="group" aria-label="History" @keydown=${this.#onkey}>
        <button ?disabled=${!moment} @click=${() => (isPlaying ? this.#stop() : this.#play())}>
          ${isPlaying ? 'Pause' : 'Play'}
        </button>
        <input
          type="range"
          aria-label="Moment"
          aria-valuetext=${moment ? this.#told(moment) : 'none'}
          min="0"
          max=${Math.max(0, (moments?.length ?? 1) - 1)}
          .value=${String(at)}
          @input=${this.#onslide}
        />
        <button
          class="primary"
          ?disabled=${!moment || this.readonly}
          @click=${() => void this.#restore()}
        >
          Restore
        </button>
        <button @click=${() => this.#emit('done')}>Close</button>
        <div class="line">${moment ? this.#line(moment) : nothing}</div>
      </div>
      <div class="text" tabindex="0" role="document" aria-label="The text as it was">
        ${this.#text()}
      </div>
    `
  }

  #line(moment: Moment) {
    const { name, hue = '' } = this.#person(moment.writer)
    const count = this.moments?.length ?? 0
    return html`
      <span class=${`who hue-${hue}`}><strong>${name}</strong></span>
      <time datetime=${new Date(moment.until).toISOString()}>${TIME.format(moment.until)}</time>
      <span class="note">${this.at + 1} of ${count}</span>
      <label>
        <input type="checkbox" .checked=${this.withNow} @change=${this.#oncompare} />
        Compare with now
      </label>
    `
  }

  #text() {
    if (this.moments?.length === 0)
      return html`<p class="note" role="status">Nothing was written here yet.</p>`
    if (this.pieces === null) return html`<p class="note" role="status">Looking it up…</p>`
    return this.pieces.map((piece) => this.#piece(piece))
  }

  #piece({ kind, text, writer }: Piece) {
    if (kind === 'same') return html`<span>${text}</span>`
    if (kind === 'deleted') return html`<del>${text}</del>`
    const { name, hue = null } = writer === null ? UNKNOWN : this.#person(writer)
    const classes = hue === null ? {} : { [`hue-${hue}`]: true }
    return html`<ins title=${name} class=${classMap(classes)}>${text}</ins>`
  }

  #person(writer: string): Partial<Person> & Pick<Person, 'name'> {
    return this.people[writer] ?? UNKNOWN
  }

  #told(moment: Moment): string {
    return `${this.#person(moment.writer).name}, ${TIME.format(moment.until)}`
  }

  async #load(): Promise<void> {
    this.#stop()
    const { document } = this
    this.moments = null
    this.pieces = null
    const history = (await this.link?.history(document)) ?? null
    if (document !== this.document) return
    if (history === null) return this.#emit('done')
    this.people = history.people
    this.moments = history.moments
    this.#show(history.moments.length - 1)
  }

  #show(at: number): void {
    this.at = Math.min(Math.max(0, at), Math.max(0, (this.moments?.length ?? 0) - 1))
    this.#isDue = true
    this.#asking ??= this.#look().finally(() => (this.#asking = null))
  }

  async #look(): Promise<void> {
    while (this.#isDue && this.isConnected) {
      this.#isDue = false
      const { document, moments, at, withNow } = this
      const moment = moments?.[at]
      if (moment === undefined || this.link === null) return
      const there = { version: moment.version }
      const before = moments?.[at - 1]
      const earlier: Place = before === undefined ? 'start' : { version: before.version }
      const found = withNow
        ? await this.link.compare(document, there, 'now')
        : await this.link.compare(document, earlier, there)
      if (document !== this.document) return
      if (found === null) return this.#stop()
      this.pieces = found.pieces
    }
  }

  #play(): void {
    if (this.moments === null) return
    if (this.at === this.moments.length - 1) this.#show(0)
    this.isPlaying = true
    this.#timer = setTimeout(() => void this.#step(), STEP_MS)
  }

  async #step(): Promise<void> {
    await this.#asking
    if (!this.isPlaying || this.moments === null) return
    if (this.at === this.moments.length - 1) return this.#stop()
    this.#show(this.at + 1)
    this.#timer = setTimeout(() => void this.#step(), STEP_MS)
  }

  #stop(): void {
    clearTimeout(this.#timer ?? undefined)
    this.#timer = null
    this.isPlaying = false
  }

  async #restore(): Promise<void> {
    this.#stop()
    const moment = this.moments?.[this.at]
    if (moment === undefined) return
    const done = (await this.link?.restore(this.document, moment.version)) ?? null
    if (done !== null) this.#emit('done')
  }

  readonly #onslide = (): void => {
    this.#stop()
    this.#show(Number(this.slider?.value ?? 0))
  }

  readonly #oncompare = (event: Event): void => {
    this.withNow = (event.target as HTMLInputElement).checked
    this.#show(this.at)
  }

  readonly #onkey = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') this.#emit('done')
  }

  #emit(type: string): void {
    this.dispatchEvent(new CustomEvent(type))
  }
}
