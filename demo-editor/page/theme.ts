/** What all elements share: colours of people, buttons, badges, questions. The palette itself is in page.css, light and dark. */
import { css, html, nothing, unsafeCSS } from 'lit'
import type { Trouble } from '../protocol.ts'

/** So many colours for people; page.css has one for each. */
export const HUES = 6

/** Sets `--hue` by a class, since style attributes are refused by the page's Content-Security-Policy. */
export const hues = Array.from({ length: HUES }, (_, hue) =>
  unsafeCSS(`.hue-${hue} { --hue: var(--hue-${hue}); }`)
)

export const shared = css`
  * {
    box-sizing: border-box;
  }

  button,
  input {
    font: inherit;
    color: inherit;
  }

  button {
    padding: 0.35rem 0.75rem;
    border: 1px solid var(--line);
    border-radius: 0.5rem;
    background: var(--raised);
    cursor: pointer;
  }

  button:hover:not(:disabled) {
    border-color: var(--accent);
  }

  button:disabled {
    opacity: 0.5;
    cursor: default;
  }

  button.primary {
    border-color: transparent;
    background: var(--accent);
    color: var(--on-accent);
  }

  button.plain {
    border-color: transparent;
    background: none;
  }

  :focus-visible {
    outline: 2px solid var(--accent);
    outline-offset: 2px;
  }

  dialog {
    max-width: 22rem;
    border: 1px solid var(--line);
    border-radius: 0.75rem;
    background: var(--raised);
    color: var(--ink);
  }

  dialog::backdrop {
    background: rgb(0 0 0 / 35%);
  }

  dialog p:first-of-type {
    margin-top: 0;
    font-weight: 600;
  }

  form {
    margin-top: 1rem;
    display: flex;
    gap: 0.5rem;
    justify-content: flex-end;
  }

  .badge {
    padding: 0.05rem 0.5rem;
    border-radius: 1rem;
    background: var(--warn-soft);
    color: var(--warn);
    font-size: 0.8rem;
    white-space: nowrap;
  }
`

/** Of forms and of what stands in boxes. */
export const cards = css`
  .card {
    margin-top: 0.75rem;
    padding: 0.75rem;
    border: 1px solid var(--line);
    border-radius: 0.5rem;
    background: var(--paper);
  }

  .card > .row:first-child {
    margin-top: 0;
  }

  .card h3 {
    margin: 0;
    font-size: 1rem;
  }

  .card p {
    margin: 0.35rem 0 0;
  }

  .faint {
    color: var(--faint);
  }

  .row,
  .card form {
    display: flex;
    flex-wrap: wrap;
    gap: 0.5rem;
    align-items: end;
    justify-content: start;
    margin-top: 0.6rem;
  }

  label.field {
    display: grid;
    flex: 1 1 12rem;
    gap: 0.2rem;
    color: var(--faint);
    font-size: 0.85rem;
  }

  label.field.small {
    flex: 0 1 6rem;
  }

  label.field.wide {
    flex-basis: 100%;
  }

  select,
  input,
  textarea {
    min-width: 0;
    padding: 0.35rem 0.5rem;
    border: 1px solid var(--line);
    border-radius: 0.5rem;
    background: var(--raised);
    color: var(--ink);
    font: inherit;
  }

  textarea {
    min-height: 4.5rem;
    resize: vertical;
  }

  .secret {
    font-family: ui-monospace, 'Noto Sans Mono', monospace;
    font-size: 0.85rem;
    overflow-wrap: anywhere;
  }

  /* Six digits that two people, or one at two screens, compare. */
  .code {
    flex-basis: 100%;
    color: var(--ink);
    font:
      600 2rem/1.3 ui-monospace,
      'Noto Sans Mono',
      monospace;
    font-variant-numeric: tabular-nums;
    letter-spacing: 0.08em;
  }

  .trouble {
    padding: 0.5rem 0.75rem;
    border-radius: 0.5rem;
    background: var(--warn-soft);
    color: var(--warn);
    overflow-wrap: anywhere;
  }
`

/** What went wrong, and what to do. */
export function troubleShown(trouble: Trouble | null) {
  if (trouble === null) return nothing
  const { message, next } = trouble
  return html`<p class="trouble" role="alert">${message.replace(/[.]?$/, '.')} ${next}</p>`
}

/** A panel in the place of the text. */
export const panel = css`
  :host {
    display: block;
    min-height: 0;
    overflow: auto;
    padding: 1.25rem max(1.25rem, calc(50% - 22rem)) 3rem;
    background: var(--paper);
  }

  header {
    display: flex;
    align-items: center;
    justify-content: space-between;
  }

  h2 {
    margin: 0;
    font: 600 1.5rem/1.3 var(--text);
  }
`

/** What stands in the page before there is a notebook to show. */
export const front = css`
  :host {
    display: block;
    width: min(34rem, 100% - 2rem);
    margin: 2rem auto;
  }

  h2 {
    margin: 0 0 0.5rem;
    font: 600 1.4rem/1.3 var(--text);
  }
`
