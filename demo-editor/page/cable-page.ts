/** Two devices side by side, and the cable between them. */
import { css, html, LitElement, nothing } from 'lit'
import { state } from 'lit/decorators.js'
import type { CableNotice, CableRequest } from '../protocol.ts'
import { LastingSocket } from './lasting-socket.ts'
import { shared } from './theme.ts'

class CablePage extends LitElement {
  static override readonly styles = [
    shared,
    css`
      :host {
        display: grid;
        grid-template-rows: auto 1fr;
        height: 100dvh;
      }

      header {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem 1rem;
        align-items: center;
        justify-content: center;
        padding: 0.6rem 1rem;
      }

      button {
        min-width: 9rem;
      }

      .cable {
        flex: 0 1 9rem;
        height: 1.5rem;
        color: var(--good);
      }

      .cable.cut {
        color: var(--bad);
      }

      path {
        fill: none;
        stroke: currentColor;
        stroke-width: 4;
        stroke-linecap: round;
        vector-effect: non-scaling-stroke;
      }

      /* Beside the cable, which must not move under the pointer. */
      @media (min-width: 64rem) {
        .state {
          position: absolute;
          right: 1rem;
        }
      }

      .panes {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 0.75rem;
        min-height: 0;
        padding: 0 0.75rem 0.75rem;
      }

      iframe {
        width: 100%;
        height: 100%;
        border: 1px solid var(--line);
        border-radius: 0.75rem;
        background: var(--paper);
      }

      p {
        max-width: 30rem;
        margin: 3rem auto;
        padding: 0 1rem;
        text-align: center;
        color: var(--faint);
      }

      @media (max-width: 44rem) {
        .panes {
          grid-template: 1fr 1fr / 1fr;
        }

        .cable,
        strong {
          display: none;
        }
      }
    `
  ]

  readonly #socket = new LastingSocket(
    new URLSearchParams(location.hash.slice(1)).get('token') ?? ''
  )
  @state() accessor notice: CableNotice | null = null

  constructor() {
    super()
    this.#socket.on('text', (text) => (this.notice = JSON.parse(text) as CableNotice))
    this.#socket.on('state', () => this.requestUpdate())
    this.#socket.connect()
  }

  protected override render() {
    const { state } = this.#socket
    if (state === 'refused') {
      return html`<p role="alert">
        This address is not valid (any more): each start makes new ones. Open an address that
        <code>npm start</code> has printed.
      </p>`
    }
    if (this.notice === null) return html`<p role="status">Connecting…</p>`
    return html`${this.#header(this.notice, state === 'open')}${this.#panes(this.notice)}`
  }

  #header({ isCut, pages }: CableNotice, isHere: boolean) {
    const [left, right] = pages.map(({ name }) => name)
    const half = (path: string) =>
      html`<svg
        class=${isCut ? 'cable cut' : 'cable'}
        viewBox="0 0 100 24"
        preserveAspectRatio="none"
        aria-hidden="true"
      >
        <path d=${path} />
      </svg>`
    return html`<header>
      <strong>${left}</strong>
      ${half(isCut ? CABLE.leftCut : CABLE.left)}
      <button
        class="primary"
        ?disabled=${!isHere}
        @click=${() => this.#ask(isCut ? 'heal' : 'cut')}
      >
        ${isCut ? 'Heal the cable' : 'Cut the cable'}
      </button>
      ${half(isCut ? CABLE.rightCut : CABLE.right)}
      <strong>${right}</strong>
      <span class="state" role="status">${statusOf(isCut, isHere)}</span>
    </header>`
  }

  #panes({ pages }: CableNotice) {
    return html`<div class="panes">
      ${pages.map(({ name, url }) => html`<iframe title=${name} src=${url}></iframe>`)}
    </div>`
  }

  #ask(type: CableRequest['type']): void {
    this.#socket.send(JSON.stringify({ type }))
  }
}

function statusOf(isCut: boolean, isHere: boolean) {
  if (!isHere) return html`<span class="badge">npm start has ended</span>`
  return isCut ? html`<span class="badge">They hear nothing of each other</span>` : nothing
}

/** Its halves, left and right of the button. */
const CABLE = {
  left: 'M3 12 C 30 26, 70 14, 100 12',
  right: 'M0 12 C 30 10, 70 -2, 97 12',
  leftCut: 'M3 12 C 25 12, 45 16, 62 21',
  rightCut: 'M38 21 C 55 16, 75 12, 97 12'
} as const

customElements.define('cable-page', CablePage)
document.body.append(document.createElement('cable-page'))
