/** Whose the shades in a text are, and who wrote what stands at the caret, and when. */
import { css, html, LitElement, nothing } from 'lit'
import { property } from 'lit/decorators.js'
import type { Author } from '../protocol.ts'
import { authorToText, shadeToText, type Shade } from './author-shading.ts'
import { hues, shared } from './theme.ts'

/** Whoever wrote less than so many others is not named: there is the letter itself to look at. */
const MOST = 8

export class AuthorLegend extends LitElement {
  static override readonly styles = [
    shared,
    ...hues,
    css`
      :host {
        display: flex;
        flex-wrap: wrap;
        gap: 0.35rem 1rem;
        align-items: center;
        width: calc(100% - 2.5rem);
        max-width: 44rem;
        margin: 0.5rem auto 0;
        padding: 0.5rem 0.75rem;
        border: 1px solid var(--line);
        border-radius: 0.75rem;
        background: var(--desk);
        font-size: 0.85rem;
      }

      ul {
        display: contents;
        list-style: none;
      }

      li {
        display: flex;
        gap: 0.4rem;
        align-items: center;
      }

      li::before {
        content: '';
        width: 1.4rem;
        height: 0.9rem;
        border-bottom: 2px solid var(--hue, var(--faint));
        border-radius: 0.2rem;
        background: color-mix(in srgb, var(--hue, var(--faint)) 20%, transparent);
      }

      li.imported::before {
        border-bottom-style: dotted;
        background: none;
      }

      .caret,
      small {
        color: var(--faint);
        font-size: inherit;
        font-variant-numeric: tabular-nums;
      }

      .caret {
        margin-left: auto;
      }
    `
  ]

  /** Letters of each. */
  @property({ attribute: false }) accessor shares: ReadonlyMap<Author, number> = new Map()
  @property({ attribute: false }) accessor atCaret: Shade | null = null

  protected override render() {
    const all = [...this.shares.values()].reduce((sum, letters) => sum + letters, 0)
    const rows = [...this.shares].slice(0, MOST).map(([author, letters]) => {
      const { hue, isProven } = author
      return html`<li class=${`${isProven ? '' : 'imported'} hue-${hue ?? 'none'}`}>
        ${authorToText(author)} <small>${share(letters, all)}</small>
      </li>`
    })
    return html`
      <ul aria-label="Authors">
        ${rows.length > 0 ? rows : html`<li class="imported">Nobody is known to have written here</li>`}
      </ul>
      <span class="caret" role="status"
        >${this.atCaret === null ? nothing : `At the caret: ${shadeToText(this.atCaret)}`}</span
      >
    `
  }
}

function share(letters: number, all: number): string {
  const percent = Math.round((100 * letters) / all)
  if (percent === 0) return '< 1 %'
  return percent === 100 && letters < all ? '> 99 %' : `${percent} %`
}
