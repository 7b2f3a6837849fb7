/**
 * What a document is: all updates that its space admits, judged together (authors.ts), and of those that lie past a seal what
 * admitted ones stand on. These are brought in without their deletions, and struck, as far as the engine can. So honest text that
 * was typed into a sealed one does not hang for ever, and what nobody built on is not there at all.
 */
import { judge, type Authored, type Authors, type Counted, type Judged } from './authors.ts'
import type { DocumentEngine, EngineDoc } from './engine.ts'
import { Spans } from './spans.ts'

type ContentEngine = Pick<DocumentEngine<EngineDoc>, 'spans' | 'only' | 'needed' | 'partsAlone'>

export interface Content<U extends Authored> extends Pick<Judged<U>, 'refused'> {
  /** In the order in which they count. */
  readonly updates: readonly Counted<U>[]
  readonly authors: Authors
  /** Of the past, what they stand on. */
  readonly needed: readonly Counted<U>[]
  /** What lies past a seal. */
  readonly struck: Spans
}

/**
 * @param admitted all of a document, in no order
 * @param past what lies past seals
 * @param ours what is not written yet: it may stand on what is past a seal, too
 */
export function contentOf<U extends Authored>(
  engine: ContentEngine,
  admitted: readonly U[],
  past: readonly U[],
  ours: readonly Uint8Array[] = []
): Content<U> {
  const { updates, refused, authors } = judge(engine, admitted)
  const needed = neededBy(engine, [...updates.map(({ bytes }) => bytes), ...ours], past)
  return { updates, refused, authors, needed, struck: struckOf(engine, admitted, past) }
}

/** What updates need of those past a seal, as it is to be brought in. */
export function neededBy<U extends Authored>(
  engine: ContentEngine,
  updates: readonly Uint8Array[],
  past: readonly U[]
): readonly Counted<U>[] {
  if (past.length === 0) return []
  const indices = engine.needed(
    updates,
    past.map(({ bytes }) => bytes)
  )
  return indices.flatMap((i) => {
    const update = past[i]
    return update === undefined ? [] : [{ update, bytes: engine.partsAlone(update.bytes) }]
  })
}

/** A snapshot past a seal says again what was said before it, and a quote what somebody else says, which stays. */
function struckOf(
  engine: ContentEngine,
  admitted: readonly Authored[],
  past: readonly Authored[]
): Spans {
  const brought = new Spans(past.flatMap(({ bytes }) => [...(engine.spans(bytes) ?? [])]))
  if (past.every(({ kind }) => kind === 'update')) return brought
  const kept = new Spans(admitted.flatMap(({ bytes }) => [...(engine.spans(bytes) ?? [])]))
  return new Spans([...brought].flatMap((span) => [...kept.without(span)]))
}
