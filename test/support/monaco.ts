/**
 * Monaco in a page without a browser: it imports style sheets, asks for the screen, and measures text on a canvas. It is the editor
 * itself that runs, not only its text model; what it draws on a canvas goes nowhere.
 */
import { register } from 'node:module'
import { fillIn } from './dom.ts'

register('./style-hooks.mjs', import.meta.url)

const pen: object = new Proxy({}, { get: () => () => ({ width: 8 }), set: () => true })

fillIn({
  CSS: { escape: (text: string) => text },
  matchMedia: () => ({ matches: false, addEventListener() {}, removeEventListener() {} }),
  queryCommandSupported: () => false,
  getContext: () => pen
})

// After all that.
export const monaco = await import('monaco-editor')
export const { MonacoBinding } = await import('y-monaco')
