/** A device that is in no notebook yet: comes in by an invite, or back by the words of who has lost all devices. */
import { css, html, LitElement, nothing } from 'lit'
import { property } from 'lit/decorators.js'
import type { Arrival } from '../protocol.ts'
import type { DeviceLink } from './device-link.ts'
import { formOf, textIn } from './forms.ts'
import { cards, front, shared, troubleShown } from './theme.ts'

const DOING: Readonly<Record<Exclude<Arrival['doing'], null>, string>> = {
  joining: 'Looking for somebody who lets in…',
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
  @property({ attribute: false }) accessor arrival: Arrival = { doing: null, trouble: null }
  /** Not just now. */
  @property({ type: Boolean }) accessor disabled = false

  protected override firstUpdated(): void {
    this.renderRoot.querySelector('input')?.focus()
  }

  protected override render() {
    const { doing, trouble } = this.arrival
    const isBusy = this.disabled || doing !== null
    return html`
      <h2>This device is in no notebook yet</h2>
      ${doing === null ? nothing : this.#progress(DOING[doing])} ${troubleShown(trouble)}
      <section class="card" aria-labelledby="join">
        <h3 id="join">Come in by an invite</h3>
        <p class="faint">
          Whoever invites you makes it under “People”. It begins with manyhands://join/
        </p>
        <form @submit=${this.#onjoin}>
          ${typed('link', 'The link')}
          <button class="primary" ?disabled=${isBusy}>Join</button>
        </form>
      </section>
      <details class="card">
        <summary>All my devices are lost</summary>
        <form @submit=${this.#onrecover}>
          <label class="field wide">
            Your 24 words; or enough of your shares, each on a line
            <textarea
              name="secret"
              required
              spellcheck="false"
              autocomplete="off"
              autocapitalize="off"
            ></textarea>
          </label>
          ${typed('entrance', 'The notebook’s ticket, which everybody has under “Recovery”')}
          <button ?disabled=${isBusy}>Come back</button>
        </form>
        <p class="faint">The lost devices have no rights any more then. Yours stay.</p>
      </details>
    `
  }

  #progress(what: string) {
    return html`<div class="card doing" role="status">
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

function typed(name: string, label: string) {
  return html`<label class="field wide">
    ${label}
    <input class="secret" name=${name} required spellcheck="false" autocomplete="off" />
  </label>`
}
