/**
 * A document's updates out of the entries that hold them: decoded, put together where one was too large for one entry, and with
 * what proves whose they are. What is no update is refused and counted.
 */
import b4a from 'b4a'
import type { Stamp } from '../../clock/index.ts'
import {
  decodeStatement,
  decodeUpdate,
  Minutes,
  TYPE_DOCUMENT_UPDATE,
  type Authored,
  type UpdateKind
} from '../../crdt/index.ts'
import type { RefusalReason, Refusals } from '../refusals.ts'
import type { Part } from '../part.ts'
import type { CoreEntry, Said, View } from '../view.ts'
import type { AheadCodec, AheadUpdate } from './ahead.ts'
import { parseUpdateKey } from './keys.ts'
import type { Sources } from './sources.ts'

/** One update of one writer. */
export interface Update extends Authored {
  /** The log that it stands in: of a quote another than its writer's. */
  readonly part: Part
  /** The block of its last piece. */
  readonly seq: number
  /** The first block, when it was written first: a snapshot stands for what was written up to there. */
  readonly position: number
  /** The numbers of its first and its last piece in this log. */
  readonly first: number
  readonly last: number
  readonly sessions: readonly number[]
  /** All that was said, with the update in it. */
  readonly statement: Uint8Array
}

/** Whether this device made it. */
export function isOurs({ part, kind }: Update): boolean {
  return part.isOwn && kind !== 'quote'
}

export interface UpdateReader {
  readonly view: View
  readonly refusals: Refusals
  /** The code of the document's engine. */
  readonly engine: number
  readonly id: string
  readonly codec: AheadCodec
  readonly sources: Sources
}

/** @param entries of one document, each core's in key order @returns in no order but that of each core */
export function readUpdates(reader: UpdateReader, entries: Iterable<CoreEntry>): readonly Update[] {
  const open = new Map<string, Joining>()
  const updates: Update[] = []
  for (const { part, entry } of entries) {
    const joining = open.get(part.writer) ?? new Joining(reader, part)
    open.set(part.writer, joining)
    const update = joining.add(entry)
    if (update !== null) updates.push(update)
  }
  for (const joining of open.values()) joining.end()
  return updates
}

/** Whether entries are updates of another engine than this. */
export function isOfOtherEngine(
  { view, engine }: Pick<UpdateReader, 'view' | 'engine'>,
  entries: readonly CoreEntry[]
): boolean {
  return entries.some(({ part, entry }) => {
    const said = view.read(part, entry, TYPE_DOCUMENT_UPDATE)
    if (typeof said === 'string' || said.entry.type !== 'unknown') return false
    const piece = decodeUpdate(said.entry.payload)
    return piece !== null && piece.engine !== engine
  })
}

/** What somebody said ahead of its log, or is quoted with. Null when it does not read. */
export function authoredAhead(
  sources: Sources,
  { core, number, bytes }: AheadUpdate,
  stamp: Stamp
): Authored | null {
  const statement = decodeStatement(bytes)
  if (statement === null) return null
  const { sessions, isImport, update } = statement
  const derived = sources.derived(core, sessions)
  const minutes = new Minutes()
  return { core, number, stamp, derived, isImport, kind: 'quote', minutes, bytes: update }
}

/** The pieces of one writer. */
class Joining {
  readonly #reader: UpdateReader
  readonly #part: Part
  #pieces: Uint8Array[] = []
  #next = 0
  #seq = 0

  constructor(reader: UpdateReader, part: Part) {
    this.#reader = reader
    this.#part = part
  }

  /** The update that this entry completes, or null. */
  add(entry: CoreEntry['entry']): Update | null {
    const { view, engine } = this.#reader
    const said = view.read(this.#part, entry, TYPE_DOCUMENT_UPDATE)
    if (typeof said === 'string') return null // counted by the view
    const { entry: held } = said
    if (held.type === 'unknown' && held.number !== TYPE_DOCUMENT_UPDATE) return null // as well
    const number = parseUpdateKey(entry.key)?.number
    const piece = held.type === 'unknown' ? decodeUpdate(held.payload) : null
    if (number === undefined || piece === null) {
      this.#refuse(entry.seq)
      return null
    }
    if (piece.engine !== engine) {
      this.#refuse(entry.seq, 'document-other-engine')
      return null
    }
    if (this.#pieces.length > 0 && number !== this.#next) this.end()
    this.#pieces.push(piece.bytes)
    this.#next = number + 1
    this.#seq = entry.seq
    return piece.isContinued ? null : this.#take(said, piece.kind, number)
  }

  /** Nothing comes any more: what is open is missing its rest. */
  end(): void {
    if (this.#pieces.length > 0) this.#refuse(this.#seq)
    this.#pieces = []
  }

  #take({ entry: { head } }: Said, kind: UpdateKind, last: number): Update | null {
    const [only = new Uint8Array(0)] = this.#pieces
    const bytes = this.#pieces.length === 1 ? only : b4a.concat(this.#pieces)
    const first = last - this.#pieces.length + 1
    this.#pieces = []
    const place = { part: this.#part, seq: this.#seq, position: head.position.seq, first, last }
    const update =
      kind === 'quote'
        ? this.#quoted(bytes, place, head.stamp)
        : this.#said(bytes, place, kind, head.stamp)
    if (update === null) this.#refuse(this.#seq)
    return update
  }

  #said(statement: Uint8Array, place: Place, kind: UpdateKind, stamp: Stamp): Update | null {
    const decoded = decodeStatement(statement)
    if (decoded === null) return null
    const { core } = this.#part
    const { update: bytes, sessions, ...said } = decoded
    const derived = this.#reader.sources.derived(core, sessions)
    const number = place.last
    return { ...place, ...said, core, number, stamp, kind, derived, sessions, bytes, statement }
  }

  /** What somebody else had said, and signed. */
  #quoted(signed: Uint8Array, place: Place, stamp: Stamp): Update | null {
    const { id, engine, codec, sources } = this.#reader
    const ahead = codec.read(signed)
    if (typeof ahead === 'string' || ahead.id !== id || ahead.engine !== engine) return null
    const authored = authoredAhead(sources, ahead, stamp)
    if (authored === null || !ahead.isTrue()) return null
    return { ...place, ...authored, sessions: [], statement: ahead.bytes }
  }

  #refuse(seq: number, reason: RefusalReason = 'document-malformed'): void {
    this.#reader.refusals.add(this.#part.writer, reason, seq)
  }
}

type Place = Pick<Update, 'part' | 'seq' | 'position' | 'first' | 'last'>
