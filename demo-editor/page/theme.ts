/** What all elements share: colours of people, buttons, badges, questions. The palette itself is in page.css, light and dark. */
import { css, unsafeCSS } from 'lit'

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
