/**
 * Automerge's changes as they are stored: one byte that says how, then
 *
 *     1  changes, as Automerge encodes each: count uint, then per change its length uint and its bytes
 *     2  the same, deflated
 *     3  a bundle: Automerge's own encoding of some of a document's changes, a few bytes for each keystroke
 *     4  a whole document, as Automerge saves it: one chunk of that format, which says in front whose changes it holds and which are
 *        its heads. It takes a third of what a bundle takes to load, and nothing to know whose it is
 */
import * as A from '@automerge/automerge'
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import { deflate, inflate } from './deflate.ts'

const CHANGES = 1
const CHANGES_DEFLATED = 2
const BUNDLE = 3
const DOCUMENT = 4

const changesEncoding = c.array(c.buffer)

/** One change: its bytes, and what it says of itself. */
export interface Change {
  readonly bytes: Uint8Array
  readonly decoded: A.DecodedChange
}

export function packChanges(changes: readonly Uint8Array[]): Uint8Array {
  const all = c.encode(changesEncoding, [...changes])
  const deflated = deflate(all)
  return deflated === null ? packed(CHANGES, all) : packed(CHANGES_DEFLATED, deflated)
}

/** Some of a document's changes, by their hashes. */
export function packBundle(doc: A.Doc<unknown>, hashes: readonly string[]): Uint8Array {
  return packed(BUNDLE, A.saveBundle(doc, [...hashes]))
}

export function packDocument(doc: A.Doc<unknown>): Uint8Array {
  return packed(DOCUMENT, A.save(doc))
}

/** A document as it was saved. */
export interface Saved {
  readonly bytes: Uint8Array
  /** Who changed it: nobody else has a change in it. */
  readonly actors: readonly string[]
  /** They name all that is below them: Automerge loads it only where these come of it. */
  readonly heads: readonly string[]
}

/** The saved document in it; null when it is something else, or cannot be read. */
export function savedIn(update: Uint8Array): Saved | null {
  if (update[0] !== DOCUMENT) return null
  try {
    return readSaved(update.subarray(1))
  } catch {
    return null // the codecs throw plain Errors on short input
  }
}

/** Of https://automerge.org/automerge-binary-format-spec/: "Document Chunks". */
function readSaved(bytes: Uint8Array): Saved | null {
  if (!b4a.equals(bytes.subarray(0, MAGIC.byteLength), MAGIC)) return null
  const state: State = { start: TYPE_AT, end: bytes.byteLength, buffer: bytes }
  if (c.uint8.decode(state) !== DOCUMENT_CHUNK) return null
  // More chunks behind it would be loaded as well, and say nothing here of whose they are.
  if (leb128(state) !== state.end - state.start) return null
  const actors = listed(state, () => leb128(state))
  const heads = listed(state, () => HASH_BYTES)
  return { bytes, actors, heads }
}

/** In front of each chunk of Automerge's; a checksum of 4 bytes follows. */
const MAGIC = b4a.from([0x85, 0x6f, 0x4a, 0x83])
const TYPE_AT = 8
const DOCUMENT_CHUNK = 0
const HASH_BYTES = 32

/** In hexadecimal, as Automerge names actors and changes. */
function listed(state: State, sizeOfNext: () => number): readonly string[] {
  const names: string[] = []
  for (let left = leb128(state); left > 0; left--) {
    const size = sizeOfNext()
    names.push(b4a.toString(c.fixed(size).decode(state), 'hex'))
  }
  return names
}

/** An unsigned number in Automerge's encoding, of at most 42 bits. */
function leb128(state: State): number {
  for (let value = 0, scale = 1; scale < 2 ** 42; scale *= 2 ** 7) {
    const byte = c.uint8.decode(state)
    value += (byte % 128) * scale
    if (byte < 128) return value
  }
  throw new Error('A number that is too large')
}

/** The bundle in it, which Automerge loads as it is, or null when it is something else. */
export function bundleIn(update: Uint8Array): Uint8Array | null {
  return update[0] === BUNDLE ? update.subarray(1) : null
}

/** Reading one costs as much as an edit, and several ask for the same. */
const known = new WeakMap<Uint8Array, readonly Change[] | null>()

/** Null for what cannot be read. */
export function readChanges(update: Uint8Array): readonly Change[] | null {
  let changes = known.get(update)
  if (changes === undefined) {
    changes = tryRead(update)
    known.set(update, changes)
  }
  return changes
}

function tryRead(update: Uint8Array): readonly Change[] | null {
  try {
    return read(update)
  } catch {
    return null
  }
}

/** @throws Error, RangeError on what no version packs, or only a newer one */
function read(update: Uint8Array): readonly Change[] {
  const bytes = update.subarray(1)
  switch (update[0]) {
    case CHANGES:
      return c.decode(changesEncoding, bytes).map(readChange)
    case CHANGES_DEFLATED:
      return c.decode(changesEncoding, inflate(bytes)).map(readChange)
    case BUNDLE:
      return readBundle(bytes)
    case DOCUMENT:
      return readBundle(bundleOf(update))
    default:
      throw new Error('An update in an encoding that only a newer version knows')
  }
}

function readBundle(bytes: Uint8Array): readonly Change[] {
  return A.readBundle(bytes).changes.map((decoded) => new BundledChange(decoded))
}

/** All changes of a saved document: Automerge tells those of a bundle at once. @throws Error where it is none */
function bundleOf(update: Uint8Array): Uint8Array {
  const saved = savedIn(update)
  if (saved === null) throw new Error('No saved document')
  const doc = A.load(saved.bytes)
  return A.saveBundle(
    doc,
    A.getChangesMetaSince(doc, []).map(({ hash }) => hash)
  )
}

/** Encoding one takes as long as reading it, and where a bundle is loaded as a whole nobody asks for it. */
class BundledChange implements Change {
  readonly decoded: A.DecodedChange
  #bytes: Uint8Array | null = null

  constructor(decoded: A.DecodedChange) {
    this.decoded = decoded
  }

  get bytes(): Uint8Array {
    return (this.#bytes ??= A.encodeChange(this.decoded))
  }
}

function readChange(bytes: Uint8Array): Change {
  return { bytes, decoded: A.decodeChange(bytes) }
}

function packed(version: number, bytes: Uint8Array): Uint8Array {
  return b4a.concat([b4a.from([version]), bytes])
}
