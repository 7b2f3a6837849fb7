/**
 * Keys in a bee: a section, the path of sub-databases, and the caller's own key, so that byte order in the bee is the caller's
 * order within one sub-database, and no key of one can be read as a key of another (docs/FORMAT.md, "Keys").
 *
 *     key  = section u8, path, 0x00, own key
 *     path = (length u8 from 1, name UTF-8)*
 */
import b4a from 'b4a'
import { invalid, ManyhandsError } from '../errors.ts'
import type { TreeRange } from '../core/index.ts'

/** The database. 0x30 (files) is kept free. */
export const SECTION_DB = 0x10

/** Documents: their updates, what is told of them, and which were deleted (documents/keys.ts). */
export const SECTION_UPDATES = 0x20
export const SECTION_METADATA = 0x21
export const SECTION_DELETIONS = 0x22

/** Anchors and their proofs (anchors/anchors.ts). */
export const SECTION_ANCHORS = 0x40

/** Updates of documents are read from the logs alone: a local index would hold them a second time, to no use. */
export function isIndexed(key: Uint8Array): boolean {
  return key[0] !== SECTION_UPDATES
}

/** 4 KiB: a tree node carries up to 255 keys. */
export const MAX_KEY_BYTES = 4096

const MAX_NAME_BYTES = 255

/** All names on the way together: they stand in front of every key. */
const MAX_PATH_BYTES = 1024

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** The bounds of a range read; strings or whatever the key encoding takes. */
export interface Range<K> {
  readonly gt?: K
  readonly gte?: K
  readonly lt?: K
  readonly lte?: K
}

/** Which sub-database: its name, or the names on the way to it; [] is the database itself. */
export type SubPath = string | readonly string[]

/** @throws INVALID_ARGUMENT */
export function pathOf(sub: SubPath): readonly string[] {
  const path = typeof sub === 'string' ? [sub] : sub
  if (!Array.isArray(path)) invalid('sub', 'a name, or an array of names', sub)
  void new Keyspace(path) // checks them
  return path
}

/** A key of the bee, taken apart. */
export interface SplitKey {
  readonly path: readonly string[]
  /** The caller's part. */
  readonly key: Uint8Array
}

/** Of a key that a Keyspace made. */
export function splitKey(bytes: Uint8Array): SplitKey {
  const path: string[] = []
  let at = 1 // behind the section
  for (let length = bytes[at] ?? 0; length > 0; length = bytes[at] ?? 0) {
    path.push(decoder.decode(bytes.subarray(at + 1, at + 1 + length)))
    at += 1 + length
  }
  return { path, key: bytes.subarray(at + 1) }
}

/** One sub-database's part of the key space. */
export class Keyspace {
  readonly #path: readonly string[]
  readonly #section: number
  readonly #prefix: Uint8Array

  constructor(path: readonly string[] = [], section = SECTION_DB) {
    this.#path = path
    this.#section = section
    const names = b4a.concat(path.map(encodeName))
    if (names.byteLength > MAX_PATH_BYTES) {
      invalid('name', `nested names of at most ${MAX_PATH_BYTES} bytes together`, path.at(-1))
    }
    this.#prefix = b4a.concat([b4a.from([section]), names, b4a.from([0])])
  }

  /** What every key of this space begins with, and no other key. */
  get prefix(): Uint8Array {
    return this.#prefix
  }

  sub(name: string): Keyspace {
    return new Keyspace([...this.#path, name], this.#section)
  }

  /** @throws KEY_INVALID */
  encode(key: Uint8Array): Uint8Array {
    checkBytes(key)
    if (key.byteLength === 0) keyInvalid('is empty')
    if (key.byteLength > MAX_KEY_BYTES) {
      keyInvalid(`takes ${key.byteLength} bytes, the limit is ${MAX_KEY_BYTES}`)
    }
    return b4a.concat([this.#prefix, key])
  }

  /** The caller's part of a key of this space. */
  decode(key: Uint8Array): Uint8Array {
    return key.subarray(this.#prefix.byteLength)
  }

  has(key: Uint8Array): boolean {
    const { byteLength } = this.#prefix
    return key.byteLength > byteLength && b4a.equals(key.subarray(0, byteLength), this.#prefix)
  }

  equals(other: Keyspace): boolean {
    return b4a.equals(this.#prefix, other.#prefix)
  }

  /** Bounds in the bee for bounds of the caller; an absent bound ends with this space. */
  range<K>({ gt, gte, lt, lte }: Range<K>, encode: (key: K) => Uint8Array): TreeRange {
    if (gt !== undefined && gte !== undefined) invalid('gt', 'no gte beside it', gt)
    if (lt !== undefined && lte !== undefined) invalid('lt', 'no lte beside it', lt)
    const bound = (key: K) => b4a.concat([this.#prefix, checkBytes(encode(key))])
    const lower =
      gt !== undefined ? { gt: bound(gt) } : { gte: gte === undefined ? this.#prefix : bound(gte) }
    const upper =
      lt !== undefined
        ? { lt: bound(lt) }
        : lte !== undefined
          ? { lte: bound(lte) }
          : { lt: this.#end() }
    return { ...lower, ...upper }
  }

  /** This space and all spaces inside it. */
  get whole(): TreeRange {
    const start = this.#prefix.subarray(0, -1)
    const end = b4a.from(start)
    // Never all 0xff: the first byte is the section.
    let at = end.byteLength - 1
    while (end[at] === 0xff) at--
    end[at] = (end[at] ?? 0) + 1
    return { gte: start, lt: end.subarray(0, at + 1) }
  }

  /** The first key behind this space: the prefix ends in 0x00. */
  #end(): Uint8Array {
    const end = b4a.from(this.#prefix)
    end[end.byteLength - 1] = 1
    return end
  }
}

function encodeName(name: string): Uint8Array {
  if (typeof name !== 'string' || !name.isWellFormed())
    invalid('name', 'a well-formed string', name)
  const bytes = encoder.encode(name)
  if (bytes.byteLength === 0 || bytes.byteLength > MAX_NAME_BYTES) {
    invalid('name', `1 to ${MAX_NAME_BYTES} bytes`, name)
  }
  return b4a.concat([b4a.from([bytes.byteLength]), bytes])
}

/** What a key encoding of the caller's gave. */
function checkBytes(key: unknown): Uint8Array {
  return key instanceof Uint8Array ? key : keyInvalid('encoding gave no Uint8Array')
}

function keyInvalid(problem: string): never {
  throw new ManyhandsError('KEY_INVALID', `The key ${problem}`)
}

/** Of a key that a Keyspace made, or of a prefix: the prefixes of its sub-database and of those around it, the outermost first. */
export function outerPrefixes(key: Uint8Array): readonly Uint8Array[] {
  const prefixes: Uint8Array[] = []
  let at = 1 // behind the section
  for (;;) {
    prefixes.push(b4a.concat([key.subarray(0, at), b4a.from([0])]))
    const length = key[at] ?? 0
    if (length === 0) return prefixes
    at += 1 + length
  }
}
