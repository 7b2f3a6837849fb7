/** Fields of forms, and what a person has typed into them. */
import { html } from 'lit'

/** A line to be copied: a link, a ticket. Styled by `cards`, as the next. */
export function lineField(name: string, label: string) {
  return html`<label class="field wide">
    ${label}
    <input class="secret" name=${name} required spellcheck="false" autocomplete="off" />
  </label>`
}

/** The 24 words, or shares. */
export function wordsField(name: string, label: string) {
  return html`<label class="field wide">
    ${label}
    <textarea
      name=${name}
      required
      spellcheck="false"
      autocomplete="off"
      autocapitalize="off"
    ></textarea>
  </label>`
}

/** Nothing is sent but what we send. */
export function formOf(event: SubmitEvent): HTMLFormElement {
  event.preventDefault()
  if (event.target instanceof HTMLFormElement) return event.target
  throw new TypeError('expected the event of a form')
}

export function textIn(form: HTMLFormElement, name: string): string {
  const value = new FormData(form).get(name)
  return typeof value === 'string' ? value : ''
}
