/**
 * Automerge's changes as they are stored: one byte that says how, then
 *
 *     1  changes, as Automerge encodes each: count uint, then per change its length uint and its bytes
 *     2  the same, deflated
 *     3  a bundle: Automerge's own encoding of some of a document's changes, a few bytes for each keystroke
 *     4  a whole document, as Automerge saves it (in caches of this device only)
 */
import * as A from '@automerge/automerge'
import b4a from 'b4a'
import c from 'compact-encoding'
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

/** The saved document in it, or null when it is something else. */
export function savedIn(update: Uint8Array): Uint8Array | null {
  return update[0] === DOCUMENT ? update.subarray(1) : null
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
      return A.readBundle(bytes).changes.map((decoded) => new BundledChange(decoded))
    default:
      throw new Error('An update in an encoding that only a newer version knows')
  }
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
