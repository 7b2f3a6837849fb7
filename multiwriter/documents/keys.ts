/** Where a document stands in the logs (docs/FORMAT.md, "Keys"). */
import b4a from 'b4a'
import { invalid } from '../../errors.ts'
import type { TreeRange } from '../../core/index.ts'
import { keyEncodingOf, type KeyEncoding } from '../encodings.ts'
import { Keyspace, SECTION_UPDATES, splitKey } from '../keyspace.ts'

/** As long as a name in a key may be. */
export const MAX_ID_BYTES = 255

const NUMBER_BYTES = 8

/** The updates of all documents. */
export const ALL_UPDATES: TreeRange = {
  gte: b4a.from([SECTION_UPDATES]),
  lt: b4a.from([SECTION_UPDATES + 1])
}

/** An id is any name: it stands for nothing outside, a path is just a name. @throws INVALID_ARGUMENT */
export function checkId(id: unknown): string {
  const isId =
    typeof id === 'string' &&
    id.isWellFormed() &&
    id.length > 0 &&
    b4a.byteLength(id) <= MAX_ID_BYTES
  return isId ? id : invalid('id', `a well-formed string of 1 to ${MAX_ID_BYTES} bytes`, id)
}

const text = keyEncodingOf<string>('utf-8')

/** Ids as keys: nothing is told of what cannot be opened. The empty one bounds a range. */
export const ID_KEYS: KeyEncoding<string> = {
  encode: (id) => text.encode(id === '' ? id : checkId(id)),
  decode: (bytes) => checkId(text.decode(bytes))
}

/** Each writer numbers its own updates of a document, upwards. */
export class UpdateKeys {
  readonly #space: Keyspace

  constructor(id: string) {
    this.#space = new Keyspace([id], SECTION_UPDATES)
  }

  /** How all of them begin. */
  get prefix(): Uint8Array {
    return this.#space.prefix
  }

  get range(): TreeRange {
    return this.#space.range({}, () => b4a.alloc(0))
  }

  at(number: number): Uint8Array {
    const bytes = new Uint8Array(NUMBER_BYTES)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(number))
    return this.#space.encode(bytes)
  }
}

/** Of a key in the section of updates. Null for one that stands for no update: anybody can write anything into its own log. */
export function parseUpdateKey(key: Uint8Array): { id: string; number: number } | null {
  const { path, key: rest } = splitKey(key)
  const [id] = path
  if (path.length !== 1 || id === undefined || rest.byteLength !== NUMBER_BYTES) return null
  const number = Number(new DataView(rest.buffer, rest.byteOffset, NUMBER_BYTES).getBigUint64(0))
  return Number.isSafeInteger(number) ? { id, number } : null
}
