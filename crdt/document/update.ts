/**
 * The payload of a document's entry (type 16): one piece of one update, or of a snapshot that stands for all updates that its
 * writer had written of the document before, or what another writer had said and signed. Byte by byte in docs/FORMAT.md,
 * "Document update".
 *
 *     payload = engine u8, kind u8 (bit 0 snapshot, bit 1 goes on in the next entry, bit 2 alone: quote), bytes
 *
 * What is larger than one entry may be goes on in the entries behind it, all of one batch.
 */
import b4a from 'b4a'

/** The entry's type number. */
export const TYPE_DOCUMENT_UPDATE = 16

export type UpdateKind = 'update' | 'snapshot' | 'quote'

export interface DocumentUpdate {
  /** The code of the engine that wrote it (engine.ts). */
  readonly engine: number
  readonly kind: UpdateKind
  /** The next entry of the same writer goes on with it. */
  readonly isContinued: boolean
  readonly bytes: Uint8Array
}

const SNAPSHOT = 1
const CONTINUED = 2
const QUOTE = 4
const HEAD_BYTES = 2

const BIT: Readonly<Record<UpdateKind, number>> = { update: 0, snapshot: SNAPSHOT, quote: QUOTE }

/** 1 MiB: far below what a block takes, and few enough blocks for a large paste. */
const PIECE_BYTES = 1024 * 1024

/** The payloads of one update, in order: one for each entry. */
export function encodeUpdate(engine: number, kind: UpdateKind, bytes: Uint8Array): Uint8Array[] {
  const payloads: Uint8Array[] = []
  let start = 0
  do {
    const end = Math.min(start + PIECE_BYTES, bytes.byteLength)
    const flags = BIT[kind] | (end < bytes.byteLength ? CONTINUED : 0)
    payloads.push(b4a.concat([b4a.from([engine, flags]), bytes.subarray(start, end)]))
    start = end
  } while (start < bytes.byteLength)
  return payloads
}

/** Null for what no version wrote, or a newer one. */
export function decodeUpdate(payload: Uint8Array): DocumentUpdate | null {
  const [engine, flags] = payload
  if (engine === undefined || flags === undefined || flags > QUOTE) return null
  return {
    engine,
    kind: flags === QUOTE ? 'quote' : (flags & SNAPSHOT) === 0 ? 'update' : 'snapshot',
    isContinued: (flags & CONTINUED) !== 0,
    bytes: payload.subarray(HEAD_BYTES)
  }
}
