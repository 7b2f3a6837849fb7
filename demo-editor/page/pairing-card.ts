/** Makes a link by which another device becomes this person's, and says how far that is. Who comes by it is asked about by pairing-question.ts. */
import { css, html, LitElement, nothing } from 'lit'
import { property, query, state } from 'lit/decorators.js'
import type { Pairing } from '../protocol.ts'
import type { DeviceLink } from './device-link.ts'
import { cards, shared } from './theme.ts'

const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' })

interface Made {
  readonly link: string
  readonly expires: number
}

export class PairingCard extends LitElement {
  static override readonly styles = [
    shared,
    cards,
    css`
      .row {
        align-items: center;
        justify-content: space-between;
      }
    `
  ]

  @property({ attribute: false }) accessor link: DeviceLink | null = null
  /** Of the link: given again whenever it changes. */
  @property({ attribute: false }) accessor pairing: Pairing = { step: 'none' }
  /** Not just now. */
  @property({ type: Boolean }) accessor disabled = false
  /** By this page. */
  @state() private accessor made: Made | null = null
  @query('shown-link') private accessor shown!: HTMLElement | null

  protected override render() {
    return html`<section class="card" aria-labelledby="pairing">
      <div class="row">
        <h3 id="pairing">A device of yours</h3>
        ${this.#acts()}
      </div>
      ${this.#state()}
    </section>`
  }

  #acts() {
    const { step } = this.pairing
    if (step === 'asking') return nothing
    if (step === 'waiting')
      return html`<button ?disabled=${this.disabled} @click=${() => this.link?.unpair()}>
        Call off
      </button>`
    return html`<button
      class="primary"
      ?disabled=${this.disabled}
      @click=${() => void this.#make()}
    >
      Add a device
    </button>`
  }

  #state() {
    const { pairing } = this
    switch (pairing.step) {
      case 'none':
        return html`<p class="faint">It is you, too, with all that you may do here.</p>`
      case 'waiting':
        return this.#waiting()
      case 'asking':
        return html`<p role="status">“${pairing.name}” has come. Compare the digits.</p>`
      case 'joined':
        return html`<p role="status">“${pairing.name}” is a device of yours now.</p>`
      case 'refused':
        return html`<p role="status">It was turned away, and the link has ended with it.</p>`
      case 'expired':
        return html`<p role="status">The link has ended: make another one.</p>`
      default:
        return pairing satisfies never
    }
  }

  #waiting() {
    if (this.made === null)
      return html`<p class="faint" role="status">Another page of this device shows the link.</p>`
    const { link, expires } = this.made
    return html`
      <p class="faint" role="status">
        For the first device that has it, until ${TIME.format(expires)}. Keep this page at hand:
        both devices will show the same six digits.
      </p>
      <shown-link .text=${link}></shown-link>
      <p class="faint">
        There, on this machine: the page of <code>npm start -- --guest</code>, or
        <code>npm start -- --join LINK</code>.
      </p>
    `
  }

  async #make(): Promise<void> {
    const { link } = this
    const answer = await link?.ask('pair', { type: 'pair' })
    if (answer?.type === 'refused') link?.tellFailed(answer.trouble)
    if (answer?.type !== 'pair') return
    this.made = answer
    await this.updateComplete
    this.shown?.focus()
  }
}
