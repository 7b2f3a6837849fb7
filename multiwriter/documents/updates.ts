/**
 * A document's updates out of the entries that hold them: decoded, put together where one was too large for one entry, and
 * ordered so that what an update stands on mostly comes before it. What is no update is refused and counted.
 */
import b4a from 'b4a'
import { compareStamps, type Stamp } from '../../clock/index.ts'
import { decodeUpdate, TYPE_DOCUMENT_UPDATE, type UpdateKind } from '../../crdt/index.ts'
import type { RefusalReason, Refusals } from '../refusals.ts'
import type { Part } from '../part.ts'
import type { CoreEntry, Said, View } from '../view.ts'
import type { AheadCodec } from './ahead.ts'
import { parseUpdateKey } from './keys.ts'

/** One update of one writer. */
export interface Update {
  /** The log that it stands in. */
  readonly part: Part
  /** Key of its writer's log: of a quote another than it stands in. */
  readonly author: Uint8Array
  readonly stamp: Stamp
  /** The block of its last piece. */
  readonly seq: number
  /** The first block, when it was written first: a snapshot stands for what was written up to there. */
  readonly position: number
  readonly kind: UpdateKind
  /** The numbers of its first and its last piece. */
  readonly first: number
  readonly number: number
  /** The number that its writer gave it. */
  readonly aheadNumber: number
  readonly bytes: Uint8Array
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
}

/** @param entries of one document, each core's in key order */
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
  return updates.sort(compareUpdates)
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

/** Snapshots first: they are newer than what others wrote over what they hold. Then by time: an update is older than its answers. */
function compareUpdates(a: Update, b: Update): number {
  if (a.kind !== b.kind) return a.kind === 'snapshot' ? -1 : 1
  return compareStamps(a.stamp, b.stamp) || b4a.compare(a.part.core, b.part.core)
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
    if (piece.isContinued) return null
    const update = this.#take(said, piece.kind, number)
    return piece.kind === 'quote' ? this.#quoted(update) : update
  }

  /** Nothing comes any more: what is open is missing its rest. */
  end(): void {
    if (this.#pieces.length > 0) this.#refuse(this.#seq)
    this.#pieces = []
  }

  #take({ entry: { head } }: Said, kind: UpdateKind, number: number): Update {
    const [only = new Uint8Array(0)] = this.#pieces
    const bytes = this.#pieces.length === 1 ? only : b4a.concat(this.#pieces)
    const first = number - this.#pieces.length + 1
    this.#pieces = []
    return {
      part: this.#part,
      author: this.#part.core,
      stamp: head.stamp,
      seq: this.#seq,
      position: head.position.seq,
      kind,
      first,
      number,
      aheadNumber: number,
      bytes
    }
  }

  /** What somebody else had said, and signed. */
  #quoted(update: Update): Update | null {
    const { id, engine, codec } = this.#reader
    const ahead = codec.read(update.bytes)
    if (
      typeof ahead === 'string' ||
      ahead.id !== id ||
      ahead.engine !== engine ||
      !ahead.isTrue()
    ) {
      this.#refuse(update.seq)
      return null
    }
    return { ...update, author: ahead.core, aheadNumber: ahead.number, bytes: ahead.bytes }
  }

  #refuse(seq: number, reason: RefusalReason = 'document-malformed'): void {
    this.#reader.refusals.add(this.#part.writer, reason, seq)
  }
}
