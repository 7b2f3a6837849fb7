/** A link to pass on: as text to copy, as a QR code to hold a phone to. */
import { css, html, LitElement, svg } from 'lit'
import { property, query, state } from 'lit/decorators.js'
import { encode } from 'uqr'
import { cards, shared } from './theme.ts'

export class ShownLink extends LitElement {
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

  @property() accessor text = ''
  /** Which text was copied. */
  @state() private accessor copied = ''
  @query('input') private accessor field!: HTMLInputElement | null

  override focus(): void {
    this.field?.focus()
  }

  protected override render() {
    const { text, copied } = this
    return html`<div class="row">
        <input
          class="secret"
          readonly
          aria-label="The link"
          .value=${text}
          @focus=${() => this.field?.select()}
        />
        <button @click=${() => void this.#copy(text)}>
          ${copied === text ? 'Copied' : 'Copy'}
        </button>
      </div>
      ${codeOf(text)}`
  }

  async #copy(text: string): Promise<void> {
    await navigator.clipboard.writeText(text).catch(() => this.field?.select()) // to copy by hand
    this.copied = text
  }
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
