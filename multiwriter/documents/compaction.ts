/**
 * Winning room back in a document: our own updates become one snapshot of what we brought into it, in one batch. It says exactly
 * what they said together, and nothing of the others: whatever is sealed of theirs later, ours stands. What we quoted of them stays
 * as it is. It has the position of the newest update that it replaces. Versions from before show the updates still.
 */
import {
  Authors,
  encodeStatement,
  encodeUpdate,
  Spans,
  TYPE_DOCUMENT_UPDATE,
  type Counted,
  type DocumentEngine,
  type EngineDoc,
  type Statement
} from '../../crdt/index.ts'
import type { OwnShare } from './cache.ts'
import type { OpaqueWrite } from '../group.ts'
import type { UpdateKeys } from './keys.ts'
import type { Upkeep } from './parts.ts'
import { isOurs, type Update } from './updates.ts'

/** Making a snapshot takes as long as there were updates ever: it is done when so large a part of them is new. */
const NEW_PART = 1 / 8

/**
 * A snapshot is written again when as much has been written since: all snapshots together take twice the last one.
 * @param next the number of our next update
 */
export function isWorthIt(
  { entries, bytes, snapshot }: OwnShare,
  next: number,
  { minEntries }: Upkeep
): boolean {
  return entries >= Math.max(minEntries, next * NEW_PART) && bytes >= snapshot
}

export interface Compaction {
  readonly operations: readonly OpaqueWrite[]
  /** The number behind the snapshot's last piece. */
  readonly next: number
  readonly share: OwnShare
}

/**
 * @param counted everybody's
 * @param next the number of our next update
 * @returns null while something that ours stand on is not here
 */
export function compactionOf(
  engine: Pick<DocumentEngine<EngineDoc>, 'code' | 'contribution' | 'spans' | 'only'>,
  keys: UpdateKeys,
  counted: readonly Counted<Update>[],
  next: number
): Compaction | null {
  const own = counted.map(({ update }) => update).filter(isOurs)
  const update = engine.contribution(
    counted.map(({ update: each, bytes }) => ({ bytes, isOwn: isOurs(each) }))
  )
  if (update === null || own.length === 0) return null
  const bytes = encodeStatement({ ...statedBy(engine, own), update })
  const position = { core: OUR_OWN, seq: Math.max(...own.map((update) => update.position)) }
  const opaque = { type: TYPE_DOCUMENT_UPDATE, position }
  const pieces = encodeUpdate(engine.code, 'snapshot', bytes)
  const puts = pieces.map((value, i) => ({ key: keys.at(next + i), value, opaque }))
  const removals = own.flatMap(({ first, last }) => {
    const numbers = Array.from({ length: last - first + 1 }, (_, i) => first + i)
    return numbers.map((each) => ({ key: keys.at(each), value: null, opaque }))
  })
  return {
    operations: [...puts, ...removals],
    next: next + pieces.length,
    share: { entries: pieces.length, bytes: 0, snapshot: bytes.byteLength }
  }
}

/** What our updates said of themselves, together. */
function statedBy(
  engine: Pick<DocumentEngine<EngineDoc>, 'spans' | 'only'>,
  own: readonly Update[]
): Omit<Statement, 'update'> {
  const authors = new Authors()
  for (const update of own) authors.date(update, engine.spans(update.bytes) ?? new Spans())
  return {
    sessions: [...new Set(own.flatMap(({ sessions }) => sessions))],
    isImport: own.some(({ isImport }) => isImport),
    minutes: authors.minutes
  }
}

/** As positions name the core that they stand in. */
const OUR_OWN = new Uint8Array(0)
