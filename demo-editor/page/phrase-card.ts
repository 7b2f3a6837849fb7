/** The 24 words of who this is: shown when they are asked for, checked against what was written down, in parts for several people. */
import { css, html, LitElement, nothing } from 'lit'
import { property, query, state } from 'lit/decorators.js'
import { MAX_SHARES, type KeysNotice, type Trouble } from '../protocol.ts'
import type { DeviceLink } from './device-link.ts'
import { formOf, textIn, wordsField } from './forms.ts'
import type { KitSheet } from './kit-sheet.ts'
import { ShownSecret } from './shown-secret.ts'
import { cards, shared, troubleShown } from './theme.ts'

export class PhraseCard extends LitElement {
  static override readonly styles = [
    shared,
    cards,
    css`
      ol {
        margin: 0.75rem 0 0;
        padding: 0 0 0 2rem;
        columns: 8rem 4;
      }

      .shares {
        columns: auto;
      }

      .shares li {
        margin-top: 0.5rem;
      }
    `
  ]

  @property({ attribute: false }) accessor link: DeviceLink | null = null
  @property({ attribute: false }) accessor keys: KeysNotice | null = null
  @property({ type: Boolean }) accessor disabled = false
  @state() private accessor verdict: 'right' | 'other' | null = null
  @state() private accessor troubles: { readonly check?: Trouble; readonly split?: Trouble } = {}
  @query('kit-sheet') private accessor sheet!: KitSheet | null
  readonly #phrase = new ShownSecret<string>(this)
  readonly #shares = new ShownSecret<readonly string[]>(this)

  protected override render() {
    const hasPhrase = this.keys?.hasPhrase ?? false
    return html`
      <section class="card" aria-labelledby="words">
        <h3 id="words">Your 24 words</h3>
        <p class="faint">
          Whoever has them, is you. Write them down on paper: with them you come back when all your
          devices are lost.
        </p>
        ${hasPhrase ? this.#words() : html`<p>They are not on this device.</p>`}
      </section>
      <section class="card" aria-labelledby="check">
        <h3 id="check">Check what you wrote down</h3>
        ${this.#check()}
      </section>
      ${hasPhrase ? this.#split() : nothing}
      <kit-sheet></kit-sheet>
    `
  }

  #words() {
    const phrase = this.#phrase.value
    if (phrase === null)
      return html`<div class="row">
        <button ?disabled=${this.disabled} @click=${() => void this.#show()}>Show the words</button>
      </div>`
    return html`<ol class="secret" aria-label="The words">
        ${phrase.split(' ').map((word) => html`<li>${word}</li>`)}
      </ol>
      <div class="row">
        <button @click=${() => this.#phrase.hide()}>Hide</button>
        ${this.#printing(null)}
      </div>`
  }

  #check() {
    return html`<form @submit=${this.#oncheck}>
        ${wordsField('secret', 'The words; or shares, each on a line')}
        <button ?disabled=${this.disabled}>Check</button>
      </form>
      ${this.verdict === 'right' ? html`<p role="status">Right: with this you come back.</p>` : nothing}
      ${this.verdict === 'other' ? html`<p class="trouble" role="alert">Well written, but of somebody else.</p>` : nothing}
      ${troubleShown(this.troubles.check ?? null)}`
  }

  #split() {
    const shares = this.#shares.value
    return html`<section class="card" aria-labelledby="shares">
      <h3 id="shares">Shares for people you trust</h3>
      <p class="faint">Some of them together give the words; fewer say nothing.</p>
      <form @submit=${this.#onsplit}>
        ${number('of', 'Shares', 5)} ${number('needed', 'Needed', 3)}
        <button ?disabled=${this.disabled}>Split</button>
      </form>
      ${troubleShown(this.troubles.split ?? null)}
      ${shares === null ? nothing : this.#parts(shares)}
    </section>`
  }

  #parts(shares: readonly string[]) {
    return html`<ol class="secret shares" aria-label="The shares">
        ${shares.map((share) => html`<li>${share}</li>`)}
      </ol>
      <div class="row">
        <button @click=${() => this.#shares.hide()}>Hide</button>
        ${this.#printing(shares)}
      </div>`
  }

  #printing(shares: readonly string[] | null) {
    const print = () => this.link !== null && void this.sheet?.show(this.link, shares)
    return html`<button ?disabled=${this.disabled} @click=${print}>Print…</button>`
  }

  async #show(): Promise<void> {
    const answer = await this.link?.ask('phrase', { type: 'phrase' })
    if (answer?.type === 'phrase') this.#phrase.show(answer.phrase)
    if (answer?.type === 'refused') this.link?.tellFailed(answer.trouble)
    await this.updateComplete
    this.renderRoot.querySelector<HTMLElement>('section button')?.focus()
  }

  readonly #oncheck = async (event: SubmitEvent): Promise<void> => {
    const form = formOf(event)
    const secret = textIn(form, 'secret')
    this.verdict = null
    const answer = await this.link?.ask('verify', { type: 'verify', secret })
    if (answer?.type === 'verify') {
      this.verdict = answer.isRight ? 'right' : 'other'
      form.reset()
    }
    this.troubles = answer?.type === 'refused' ? { check: answer.trouble } : {}
  }

  readonly #onsplit = async (event: SubmitEvent): Promise<void> => {
    const form = formOf(event)
    const [shares, needed] = [Number(textIn(form, 'of')), Number(textIn(form, 'needed'))]
    const answer = await this.link?.ask('split', { type: 'split', shares, needed })
    if (answer?.type === 'split') this.#shares.show(answer.shares)
    this.troubles = answer?.type === 'refused' ? { split: answer.trouble } : {}
  }
}

function number(name: string, label: string, value: number) {
  return html`<label class="field small">
    ${label}
    <input type="number" name=${name} required min="2" max=${MAX_SHARES} value=${value} />
  </label>`
}
