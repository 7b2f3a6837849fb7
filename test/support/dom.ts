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

// Node has an EventTarget of its own, so the page's is not among the names above.
for (const name of ['addEventListener', 'removeEventListener', 'dispatchEvent'] as const) {
  const value = page[name].bind(page)
  Object.defineProperty(globalThis, name, { value, configurable: true })
}

/** What some editors ask for and jsdom has not. */
export function fillIn({ CSS, matchMedia, queryCommandSupported, getContext }: Lacking): void {
  Object.assign(globalThis, { CSS, matchMedia })
  Object.assign(page, { CSS, matchMedia })
  Object.assign(page.document, { queryCommandSupported })
  Object.assign(page.HTMLCanvasElement.prototype, { getContext })
}

interface Lacking {
  readonly CSS: object
  readonly matchMedia: () => object
  readonly queryCommandSupported: () => boolean
  readonly getContext: () => object
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

/** Gives an element and all texts a place, for an editor that draws nothing where nothing is laid out. */
export function layOut(element: PageElement): void {
  const line = { ...NOWHERE, width: 1, height: 16, right: 1, bottom: 16 }
  Object.assign(page.Range.prototype, {
    getClientRects: () => [line],
    getBoundingClientRect: () => line
  })
  Object.defineProperty(element, 'offsetParent', { value: page.document.body })
}

/** What the elements say that a selector finds. */
export function textsOf(element: PageElement, selector: string): string[] {
  return [...element.querySelectorAll(selector)].map(({ textContent }) => textContent ?? '')
}

/** The classes of the elements that a selector finds. */
export function classesOf(element: PageElement, selector: string): string[] {
  return [...element.querySelectorAll(selector)].flatMap(({ classList }) => [...classList])
}

/** Ctrl-Z, in the editor that is mounted there. */
export function pressUndo(element: PageElement): void {
  const { KeyboardEvent } = page
  const [typedInto] = element.querySelectorAll('[contenteditable=true], textarea')
  const keys = { key: 'z', code: 'KeyZ', keyCode: 90, ctrlKey: true }
  const target = typedInto ?? element
  target.focus()
  target.dispatchEvent(new KeyboardEvent('keydown', { ...keys, bubbles: true, cancelable: true }))
}

/** Ends what still runs in the page: its frames keep a process alive. */
export function closePage(): void {
  page.close()
}

/** As much of an element as tests look at; the project has no types of a page. */
export interface PageElement {
  readonly textContent: string | null
  readonly classList: Iterable<string>
  append(child: PageElement): void
  focus(): void
  dispatchEvent(event: object): boolean
  querySelectorAll(selector: string): Iterable<PageElement>
}
