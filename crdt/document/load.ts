/** Engines are loaded when they are needed: the libraries behind them are optional. */
import type { DocumentEngine, EngineDocs, EngineName } from './engine.ts'

type Loaders = { readonly [E in EngineName]: () => Promise<DocumentEngine<EngineDocs[E]>> }

const LOADERS: Loaders = {
  yjs: async () => (await import('./yjs.ts')).yjs,
  automerge: async () => (await import('./automerge.ts')).automerge
}

export const ENGINE_NAMES: readonly EngineName[] = ['yjs', 'automerge']

/** @throws what importing throws when the engine's library is not installed */
export function loadEngine<E extends EngineName>(name: E): Promise<DocumentEngine<EngineDocs[E]>> {
  return LOADERS[name]()
}
