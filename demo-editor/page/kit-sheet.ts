/** What is to be printed and put away, before it is: the device's page, in a frame. It is served once, and gone when this is closed. */
import { css, html, LitElement, nothing } from 'lit'
import { query, state } from 'lit/decorators.js'
import type { DeviceLink } from './device-link.ts'
import { shared } from './theme.ts'

export class KitSheet extends LitElement {
  static override readonly styles = [
    shared,
    css`
      dialog {
        width: min(52rem, calc(100% - 2rem));
        max-width: none;
      }

      iframe {
        width: 100%;
        height: min(36rem, 60dvh);
        border: 1px solid var(--line);
        background: white;
        color-scheme: light;
      }
    `
  ]

  @state() private accessor path: string | null = null
  @query('dialog') private accessor dialog!: HTMLDialogElement | null
  @query('iframe') private accessor frame!: HTMLIFrameElement | null

  /** @param shares null: the phrase */
  async show(link: DeviceLink, shares: readonly string[] | null): Promise<void> {
    const answer = await link.ask('kit', { type: 'kit', shares })
    if (answer.type === 'refused') return link.tellFailed(answer.trouble)
    this.path = answer.path
    await this.updateComplete
    this.dialog?.showModal()
    this.dialog?.querySelector<HTMLElement>('.primary')?.focus() // not the frame, which hears no Escape
  }

  protected override render() {
    return html`<dialog
      aria-label="Recovery kit"
      @keydown=${(event: KeyboardEvent) => event.stopPropagation()}
      @close=${() => (this.path = null)}
    >
      <p>Print this, and put it away like cash. It is kept nowhere.</p>
      ${this.path === null ? nothing : html`<iframe title="The sheet" src=${this.path}></iframe>`}
      <form method="dialog">
        <button>Close</button>
        <button type="button" class="primary" @click=${() => this.frame?.contentWindow?.print()}>
          Print
        </button>
      </form>
    </dialog>`
  }
}
