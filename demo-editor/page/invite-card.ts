/** Makes a link that lets somebody into the notebook, and shows it. */
import { html, LitElement, nothing } from 'lit'
import { property, query, state } from 'lit/decorators.js'
import type { InviteRole } from '../protocol.ts'
import type { DeviceLink } from './device-link.ts'
import { cards, shared } from './theme.ts'

const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

export class InviteCard extends LitElement {
  static override readonly styles = [shared, cards]

  @property({ attribute: false }) accessor link: DeviceLink | null = null
  /** Not just now. */
  @property({ type: Boolean }) accessor disabled = false
  @state() private accessor made: { readonly link: string; readonly expires: number } | null = null
  @query('select') private accessor choice!: HTMLSelectElement | null
  @query('shown-link') private accessor shown!: HTMLElement | null

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
      <shown-link .text=${link}></shown-link>
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
    await this.updateComplete
    this.shown?.focus()
  }
}

function roleOf(value: string | undefined): InviteRole {
  return value === 'reader' || value === 'admin' ? value : 'writer'
}
