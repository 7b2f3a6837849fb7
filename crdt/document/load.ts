/** Engines are loaded when they are needed: the libraries behind them are optional. */
import type { DocumentEngine } from './engine.ts'

/** @throws what importing throws when `yjs` or `lib0` is not installed */
export async function loadYjs(): Promise<DocumentEngine> {
  return (await import('./yjs.ts')).yjs
}
