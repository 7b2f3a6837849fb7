/**
 * A page without a browser, for the libraries that expect one: to be imported before them. What a page has and Node has not becomes
 * global; nothing is laid out, so every place is at 0, 0.
 */
import { JSDOM } from 'jsdom'

const page = new JSDOM('<!doctype html><body></body>', {
  url: 'http://localhost/',
  pretendToBeVisual: true
}).window

for (const name of Object.getOwnPropertyNames(page)) {
  if (name in globalThis) continue
  Object.defineProperty(globalThis, name, { get: () => page[name], configurable: true })
}

const NOWHERE = { left: 0, top: 0, right: 0, bottom: 0, x: 0, y: 0, width: 0, height: 0 }
Object.assign(page.Range.prototype, {
  getClientRects: () => [],
  getBoundingClientRect: () => NOWHERE
})

/** A new element of the page, to mount something in. */
export function mountPoint(): PageElement {
  const element = page.document.createElement('div')
  page.document.body.append(element)
  return element
}

/** What the elements say that a selector finds. */
export function textsOf(element: PageElement, selector: string): string[] {
  return [...element.querySelectorAll(selector)].map(({ textContent }) => textContent ?? '')
}

/** Ends what still runs in the page: its frames keep a process alive. */
export function closePage(): void {
  page.close()
}

/** As much of an element as tests look at; the project has no types of a page. */
export interface PageElement {
  readonly textContent: string | null
  append(child: PageElement): void
  querySelectorAll(selector: string): Iterable<PageElement>
}
