/** Who this is, and how they come back: the words, shares, the passphrase, and what others need who come back. */
import { css, html, LitElement, nothing } from 'lit'
import { property, query } from 'lit/decorators.js'
import type { KeysNotice } from '../protocol.ts'
import type { DeviceLink } from './device-link.ts'
import { ShownSecret } from './shown-secret.ts'
import { cards, panel, shared } from './theme.ts'

/** Emits `done` when the person goes back to writing. */
export class RecoveryPanel extends LitElement {
  static override readonly styles = [
    shared,
    cards,
    panel,
    css`
      input {
        flex: 1;
      }
    `
  ]

  @property({ attribute: false }) accessor link: DeviceLink | null = null
  /** Of the link: given again whenever it changes. */
  @property({ attribute: false }) accessor keys: KeysNotice | null = null
  /** Not just now. */
  @property({ type: Boolean }) accessor disabled = false
  @query('header button') private accessor close!: HTMLButtonElement | null
  readonly #ticket = new ShownSecret<string>(this)

  override focus(): void {
    this.close?.focus()
  }

  protected override render() {
    const { link, keys, disabled } = this
    return html`<div role="group" aria-label="Recovery" @keydown=${this.#onkey}>
      <header>
        <h2>Recovery</h2>
        <button @click=${() => this.#done()}>Close</button>
      </header>
      <p class="faint secret">${keys === null ? nothing : `You are ${keys.identity}`}</p>
      <phrase-card .link=${link} .keys=${keys} ?disabled=${disabled}></phrase-card>
      <passphrase-card .link=${link} .keys=${keys} ?disabled=${disabled}></passphrase-card>
      <section class="card" aria-labelledby="others">
        <h3 id="others">When somebody else comes back</h3>
        <p class="faint">
          Who has lost all devices needs the notebook’s ticket from somebody who is in. Give it to
          nobody else: whoever has it can read everything.
        </p>
        ${this.#ticketShown()}
      </section>
    </div>`
  }

  #ticketShown() {
    const ticket = this.#ticket.value
    if (ticket === null)
      return html`<div class="row">
        <button ?disabled=${this.disabled} @click=${() => void this.#show()}>
          Show the ticket
        </button>
      </div>`
    return html`<div class="row">
      <input readonly class="secret" aria-label="The ticket" .value=${ticket} />
      <button @click=${() => this.#ticket.hide()}>Hide</button>
    </div>`
  }

  async #show(): Promise<void> {
    const answer = await this.link?.ask('ticket', { type: 'ticket' })
    if (answer?.type === 'ticket') this.#ticket.show(answer.ticket)
    if (answer?.type === 'refused') this.link?.tellFailed(answer.trouble)
    await this.updateComplete
    this.renderRoot.querySelector('input')?.select()
  }

  readonly #onkey = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') this.#done()
  }

  #done(): void {
    this.dispatchEvent(new CustomEvent('done'))
  }
}
