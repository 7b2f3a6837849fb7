/**
 * A device has come by the link that another one of this person made: whoever sees both screens compares the digits. It takes no
 * focus: who was typing would answer without having looked.
 */
import { css, html, LitElement } from 'lit'
import { property } from 'lit/decorators.js'
import { cards, shared } from './theme.ts'

/** Emits `decide` with whether it is this person's. */
export class PairingQuestion extends LitElement {
  static override readonly styles = [
    shared,
    cards,
    css`
      :host {
        display: block;
        width: calc(100% - 2.5rem);
        max-width: 44rem;
        margin: 0 auto;
      }

      .card {
        border-color: var(--accent);
        background: var(--accent-soft);
      }
    `
  ]

  /** What the device calls itself, which is no proof. */
  @property() accessor name = ''
  @property() accessor code = ''
  /** Not just now. */
  @property({ type: Boolean }) accessor disabled = false

  protected override render() {
    const { name, code, disabled } = this
    return html`<section class="card" role="alert" aria-label="A device of yours">
      <p>“${name}” wants to be a device of yours. It is, if it shows the same digits:</p>
      <p class="code">${code}</p>
      <div class="row">
        <button class="primary" ?disabled=${disabled} @click=${() => this.#decide(true)}>
          The same: it is mine
        </button>
        <button ?disabled=${disabled} @click=${() => this.#decide(false)}>Turn it away</button>
      </div>
    </section>`
  }

  #decide(isOurs: boolean): void {
    this.dispatchEvent(new CustomEvent('decide', { detail: isOurs }))
  }
}
