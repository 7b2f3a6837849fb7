/** As much of jsdom as dom.ts uses: its own types would bring those of a browser into the whole project. */
declare module 'jsdom' {
  import type { PageElement } from './dom.ts'

  export class JSDOM {
    constructor(
      html: string,
      options: { readonly url: string; readonly pretendToBeVisual: boolean }
    )
    readonly window: {
      readonly [name: string]: unknown
      readonly addEventListener: () => void
      readonly removeEventListener: () => void
      readonly dispatchEvent: () => void
      readonly document: {
        readonly body: PageElement
        createElement(name: string): PageElement
      }
      readonly KeyboardEvent: new (type: string, init: object) => object
      readonly Range: { readonly prototype: object }
      readonly HTMLCanvasElement: { readonly prototype: object }
      close(): void
    }
  }
}
