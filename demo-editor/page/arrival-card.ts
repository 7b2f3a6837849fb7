/** A device that is in no notebook yet: comes in by an invite, or as another device of somebody who is in, or back by the words of who has lost all devices. */
import { css, html, LitElement, nothing } from 'lit'
import { property } from 'lit/decorators.js'
import type { Arrival } from '../protocol.ts'
import type { DeviceLink } from './device-link.ts'
import { formOf, lineField, textIn, wordsField } from './forms.ts'
import { cards, front, shared, troubleShown } from './theme.ts'

const DOING: Readonly<Record<Exclude<Arrival['doing'], null>, string>> = {
  joining: 'Looking for somebody who lets in…',
  comparing: 'If your other device shows the same digits, say so there.',
  reading: 'Reading the words…',
  meeting: 'Looking for somebody who is in the notebook…',
  recovering: 'Taking the place of the lost devices…'
}

export class ArrivalCard extends LitElement {
  static override readonly styles = [
    shared,
    cards,
    front,
    css`
      summary {
        cursor: pointer;
        font-weight: 600;
      }

      .doing {
        display: flex;
        flex-wrap: wrap;
        gap: 0.75rem;
        align-items: center;
        justify-content: space-between;
      }

      .doing span::before {
        content: '';
        display: inline-block;
        width: 0.7em;
        height: 0.7em;
        margin-right: 0.5em;
        border-radius: 50%;
        background: var(--accent);
        animation: breathe 1.2s ease-in-out infinite alternate;
      }

      @keyframes breathe {
        to {
          opacity: 0.2;
        }
      }

      @media (prefers-reduced-motion: reduce) {
        .doing span::before {
          animation: none;
        }
      }
    `
  ]

  @property({ attribute: false }) accessor link: DeviceLink | null = null
  /** Of the link: given again whenever it changes. */
  @property({ attribute: false }) accessor arrival: Arrival = {
    doing: null,
    code: null,
    trouble: null
  }
  /** Not just now. */
  @property({ type: Boolean }) accessor disabled = false

  protected override firstUpdated(): void {
    this.renderRoot.querySelector('input')?.focus()
  }

  protected override render() {
    const { doing, code, trouble } = this.arrival
    const isBusy = this.disabled || doing !== null
    return html`
      <h2>This device is in no notebook yet</h2>
      ${doing === null ? nothing : this.#progress(DOING[doing], code)} ${troubleShown(trouble)}
      <section class="card" aria-labelledby="join">
        <h3 id="join">Come in by a link</h3>
        <p class="faint">
          Whoever invites you makes it under “People”. So does another device of yours, for you:
          then this one is yours, too.
        </p>
        <form @submit=${this.#onjoin}>
          ${lineField('link', 'The link')}
          <button class="primary" ?disabled=${isBusy}>Join</button>
        </form>
      </section>
      <details class="card">
        <summary>All my devices are lost</summary>
        <form @submit=${this.#onrecover}>
          ${wordsField('secret', 'Your 24 words; or enough of your shares, each on a line')}
          ${lineField('entrance', 'The notebook’s ticket, which everybody has under “Recovery”')}
          <button ?disabled=${isBusy}>Come back</button>
        </form>
        <p class="faint">The lost devices have no rights any more then. Yours stay.</p>
      </details>
    `
  }

  #progress(what: string, code: string | null) {
    return html`<div class="card doing" role="status">
      ${code === null ? nothing : html`<p class="code">${code}</p>`}
      <span>${what}</span>
      <button @click=${() => this.link?.giveUp()}>Call off</button>
    </div>`
  }

  readonly #onjoin = (event: SubmitEvent): void => {
    this.link?.join(textIn(formOf(event), 'link'))
  }

  readonly #onrecover = (event: SubmitEvent): void => {
    const form = formOf(event)
    this.link?.recover(textIn(form, 'secret'), textIn(form, 'entrance'))
  }
}
