/** Whether what was written is safe here, and whether the others have it. */
import { css, html, LitElement, nothing } from 'lit'
import { property } from 'lit/decorators.js'
import type { SyncNotice } from '../protocol.ts'
import type { SocketState } from './lasting-socket.ts'
import { shared } from './theme.ts'

export class StatusLine extends LitElement {
  static override readonly styles = [
    shared,
    css`
      :host {
        display: flex;
        flex-wrap: wrap;
        gap: 0.15rem 1rem;
        align-items: center;
        font-size: 0.85rem;
        color: var(--faint);
      }

      .dot::before {
        content: '';
        display: inline-block;
        width: 0.6em;
        height: 0.6em;
        margin-right: 0.4em;
        border-radius: 50%;
        background: currentColor;
      }

      .good::before {
        color: var(--good);
      }

      .offline {
        color: var(--warn);
      }

      .away {
        color: var(--bad);
      }
    `
  ]

  @property() accessor device = ''
  @property({ attribute: false }) accessor state: SocketState = 'connecting'
  @property({ attribute: false }) accessor sync: SyncNotice = { peers: 0, unsynced: 0 }
  @property({ type: Number }) accessor unsaved = 0
  /** The device's rights have ended. */
  @property({ type: Boolean }) accessor removed = false
  @property({ type: Boolean }) accessor hasDocument = false

  protected override render() {
    return html`
      <span role="status">${this.#connection()}</span>
      <span role="status">${this.hasDocument ? this.#saved() : nothing}</span>
    `
  }

  #connection() {
    if (this.state === 'connecting') return html`<span class="dot">Connecting…</span>`
    if (this.state !== 'open') {
      return html`<span class="dot away">${this.device || 'This device'} is not running</span>`
    }
    if (this.removed) return html`<span class="dot away">Removed</span>`
    const { peers, unsynced } = this.sync
    if (peers === 0) {
      return html`<span class="dot offline">Offline</span> ${
          unsynced > 0
            ? html`<span class="badge">${count(unsynced, 'change')} to send</span>`
            : nothing
        }`
    }
    const others = peers === 1 ? 'one other device' : `${peers} other devices`
    return html`<span class="dot good"
      >${unsynced > 0 ? `Sending to ${others}…` : `In step with ${others}`}</span
    >`
  }

  #saved() {
    if (this.removed)
      return this.unsaved === 0
        ? nothing
        : html`<span class="badge">${count(this.unsaved, 'edit')} not saved</span>`
    if (this.unsaved === 0) return this.state === 'open' ? 'Saved' : nothing
    if (this.state === 'open') return 'Saving…'
    return html`<span class="badge"
      >${count(this.unsaved, 'edit')} kept in this page, not saved</span
    >`
  }
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`
}
