/**
 * A Yjs document without some of its updates, though others were typed into what these brought: as behind a seal (yjs-seal.ts), what
 * others stand on is brought in without its deletions, and struck. One thing of it cannot be struck: a value that was set at a key
 * took the place of the one before, which is gone with it. So keys are filled again from what was said without it.
 */
import type * as Y from 'yjs'
import type { DocumentEngine } from './engine.ts'
import { Spans } from './spans.ts'
import type { Without } from './time.ts'
import { fillSlots } from './yjs-restore.ts'

export function without(
  engine: DocumentEngine<Y.Doc>,
  updates: readonly Uint8Array[],
  left: readonly Uint8Array[]
): Without<Y.Doc> {
  const needed = engine.needed(updates, left).flatMap((i) => left[i] ?? [])
  const doc = engine.create('')
  engine.apply(doc, [...updates, ...needed.map((update) => engine.partsAlone(update))], null)
  if (needed.length === 0) return { doc, kept: 0 }
  engine.strike(doc, spansIn(engine, needed, spansIn(engine, updates, new Spans())))
  const rest = engine.create('')
  engine.apply(rest, updates, null)
  fillSlots(doc, rest)
  engine.destroy(rest)
  return { doc, kept: 0 }
}

/** What updates bring that is not known. */
function spansIn(
  engine: Pick<DocumentEngine<Y.Doc>, 'brings'>,
  updates: readonly Uint8Array[],
  known: Spans
): Spans {
  return new Spans(
    updates.flatMap((update) => engine.brings(update)).flatMap((span) => known.without(span))
  )
}
