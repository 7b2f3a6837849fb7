/** What a person has typed into a form. */

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
