/** Makes a link that lets somebody into the notebook, and shows it: as text to send, as a QR code to hold a phone to. */
import { css, html, LitElement, nothing, svg } from 'lit'
import { property, query, state } from 'lit/decorators.js'
import { encode } from 'uqr'
import type { InviteRole } from '../protocol.ts'
import type { DeviceLink } from './device-link.ts'
import { cards, shared } from './theme.ts'

const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

export class InviteCard extends LitElement {
  static override readonly styles = [
    shared,
    cards,
    css`
      input {
        flex: 1 1 12rem;
      }

      /* Scanners want dark on light, whatever the theme. */
      svg {
        display: block;
        width: min(14rem, 100%);
        margin-top: 0.75rem;
        background: white;
        border-radius: 0.25rem;
      }
    `
  ]

  @property({ attribute: false }) accessor link: DeviceLink | null = null
  /** Not just now. */
  @property({ type: Boolean }) accessor disabled = false
  @state() private accessor made: { readonly link: string; readonly expires: number } | null = null
  @state() private accessor isCopied = false
  @query('select') private accessor choice!: HTMLSelectElement | null
  @query('input') private accessor text!: HTMLInputElement | null

  protected override render() {
    return html`<section class="card" aria-label="Invite">
      <div class="row">
        <label>
          Invite one more device, which
          <select>
            <option value="writer">writes</option>
            <option value="reader">reads</option>
            <option value="admin">is an admin</option>
          </select>
        </label>
        <button class="primary" ?disabled=${this.disabled} @click=${() => void this.#make()}>
          Make a link
        </button>
      </div>
      ${this.made === null ? nothing : this.#shown(this.made)}
    </section>`
  }

  #shown({ link, expires }: { readonly link: string; readonly expires: number }) {
    return html`
      <p class="faint" role="status">
        Whoever has this link is let in, once, until ${TIME.format(expires)}. It is shown only now.
      </p>
      <div class="row">
        <input
          class="secret"
          readonly
          aria-label="The link"
          .value=${link}
          @focus=${() => this.text?.select()}
        />
        <button @click=${() => void this.#copy(link)}>${this.isCopied ? 'Copied' : 'Copy'}</button>
      </div>
      ${codeOf(link)}
      <p class="faint">
        There, on this machine: <code>npm start -- --join LINK</code>, or the page of
        <code>npm start -- --guest</code>.
      </p>
    `
  }

  async #make(): Promise<void> {
    const role = roleOf(this.choice?.value)
    const made = (await this.link?.invite(role)) ?? null
    if (made === null) return
    this.made = made
    this.isCopied = false
    await this.updateComplete
    this.text?.focus()
  }

  async #copy(link: string): Promise<void> {
    await navigator.clipboard.writeText(link).catch(() => this.text?.select()) // to copy by hand
    this.isCopied = true
  }
}

function roleOf(value: string | undefined): InviteRole {
  return value === 'reader' || value === 'admin' ? value : 'writer'
}

/** Capital letters make a smaller code, and mean the same. */
function codeOf(link: string) {
  const { data, size } = encode(link.toUpperCase(), { border: 4 })
  const path = data.flatMap((row, y) =>
    row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ''))
  )
  return html`<svg
    role="img"
    aria-label="The link as a QR code"
    viewBox=${`0 0 ${size} ${size}`}
    shape-rendering="crispEdges"
  >
    ${svg`<path d=${path.join('')} />`}
  </svg>`
}
