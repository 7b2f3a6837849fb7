/**
 * What stands in the database for what automerge-repo stores (docs/FORMAT.md, "automerge-repo"):
 *
 *     head    [number, size, bytes], or [number, size] when the bytes are in pieces
 *     piece   bytes, 1 MiB each but for the last
 *
 * An array is one whole: what two devices write at one key is never mixed.
 */
import type { ValueEncoding } from '../../multiwriter/index.ts'

/** Far below what a value may take, and few enough entries for a large document. */
export const PIECE_BYTES = 1024 * 1024

/** What a channel carries in one message: a larger document could not be sent to anybody. */
export const MAX_BYTES = 64 * 1024 * 1024

export interface Head {
  readonly kind: 'head'
  /** Orders what one device wrote in one batch. */
  readonly number: number
  readonly size: number
  /** Null: in pieces. */
  readonly bytes: Uint8Array | null
}

export type Stored = Head | { readonly kind: 'piece'; readonly bytes: Uint8Array }

export const storedEncoding: ValueEncoding<Stored> = {
  encode(stored) {
    if (stored.kind === 'piece') return stored.bytes
    const { number, size, bytes } = stored
    return bytes === null ? [number, size] : [number, size, bytes]
  },
  /** @throws for anything else, which then is refused and counted */
  decode(value) {
    if (value instanceof Uint8Array) return { kind: 'piece', bytes: value }
    if (!Array.isArray(value)) throw new TypeError('neither a head nor a piece')
    const [number, size, bytes = null, ...rest]: readonly unknown[] = value
    if (!isCount(number) || !isCount(size) || size > MAX_BYTES || rest.length > 0)
      throw new TypeError('no head')
    if (bytes === null && size > PIECE_BYTES) return { kind: 'head', number, size, bytes: null }
    if (!(bytes instanceof Uint8Array) || bytes.byteLength !== size || size > PIECE_BYTES)
      throw new TypeError('no head')
    return { kind: 'head', number, size, bytes }
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
