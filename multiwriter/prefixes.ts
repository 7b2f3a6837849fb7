/**
 * Where a writer may write: what stands in its grant, and how people spell it (docs/FORMAT.md, "Prefixes"). A prefix is how the
 * key in the bee begins, with its section, so one rule holds for every kind of content. What a log says of itself is always
 * its own to say.
 *
 *     db                  the database, and all sub-databases
 *     db:contacts         the sub-database, and those inside it
 *     db:contacts/        the same without those inside it
 *     db:contacts/a       its keys that begin with "a"
 *     documents           all documents
 *     documents:todo      the document "todo"
 *     documents/notes/    documents whose ids begin with "notes/"
 *
 * One departure from comparing bytes: of a document the updates stand in one section, and what is told of it (title, deletion) in
 * two others, under another form of key. Each of them is within what lets either of the first two be written.
 */
import b4a from 'b4a'
import { startsWith } from '../acl/index.ts'
import { invalid } from '../errors.ts'
import {
  Keyspace,
  SECTION_DB,
  SECTION_DELETIONS,
  SECTION_METADATA,
  SECTION_UPDATES,
  splitKey
} from './keyspace.ts'
import { placeFromText, placeToText, type Place } from './link.ts'
import { SECTION_LOG } from './log-section.ts'

/** Null is everything. */
export type Prefixes = readonly Uint8Array[] | null

const MAX_ID_BYTES = 255
const DOCUMENTS = 'documents'

/** Whether a writer may write at a key of the bee. */
export function isWithin(key: Uint8Array, prefixes: Prefixes): boolean {
  if (prefixes === null || key[0] === SECTION_LOG) return true
  const forms = [key, ...documentForms(key)]
  return prefixes.some((prefix) => forms.some((form) => startsWith(form, prefix)))
}

/** Of a key that concerns a document: how the keys of its updates begin, and the one under which its title stands. */
function documentForms(key: Uint8Array): readonly Uint8Array[] {
  const id = documentIn(key)
  return id === null || id.byteLength > MAX_ID_BYTES
    ? []
    : [updatesOf(id), b4a.concat([b4a.from([SECTION_METADATA, 0]), id])]
}

function documentIn(key: Uint8Array): Uint8Array | null {
  const [section, length = 0] = key
  if (section === SECTION_UPDATES) {
    return length > 0 && key[2 + length] === 0 ? key.subarray(2, 2 + length) : null
  }
  const isTold = section === SECTION_METADATA || section === SECTION_DELETIONS
  return isTold && length === 0 ? key.subarray(2) : null
}

/** The narrowest prefix within which a key is. */
export function narrowestPrefix(key: Uint8Array): Uint8Array {
  const id = documentIn(key)
  return id === null || id.byteLength > MAX_ID_BYTES ? key : updatesOf(id)
}

/** One that lets the key's sub-database be written (without those inside it), or all documents. */
export function placePrefix(key: Uint8Array): Uint8Array {
  if (documentIn(key) !== null) return b4a.from([SECTION_UPDATES])
  const { key: own } = splitKey(key)
  return key.subarray(0, key.byteLength - own.byteLength)
}

function updatesOf(id: Uint8Array): Uint8Array {
  return b4a.concat([b4a.from([SECTION_UPDATES, id.byteLength]), id, b4a.from([0])])
}

/** @throws INVALID_ARGUMENT */
export function prefixesOf(texts: unknown): Prefixes {
  if (texts === undefined || texts === null) return null
  if (!Array.isArray(texts)) return invalid('prefixes', 'a list of texts like "db:contacts"', texts)
  return texts.map((text: unknown) => prefixOf(text))
}

function prefixOf(text: unknown): Uint8Array {
  const place = typeof text === 'string' ? placeFromText(text) : null
  if (place === null)
    return invalid('prefixes', 'texts like "db:contacts" or "documents:todo"', text)
  const { section, path, key } = place
  if (section === DOCUMENTS)
    return documentPrefix(place) ?? invalid('prefixes', 'no path of documents', text)
  if (section !== 'db')
    return invalid('prefixes', 'texts that begin with "db" or "documents"', text)
  const space = new Keyspace(path)
  return key === null ? space.prefix.subarray(0, -1) : b4a.concat([space.prefix, key])
}

function documentPrefix({ path, key }: Place): Uint8Array | null {
  const [id] = path
  if (id === undefined) {
    return key === null
      ? b4a.from([SECTION_UPDATES])
      : b4a.concat([b4a.from([SECTION_METADATA, 0]), key])
  }
  return path.length === 1 && key === null ? updatesOf(b4a.from(id)) : null
}

/** As people spell it; bytes that nobody could have spelled are told in hex. */
export function prefixToText(prefix: Uint8Array): string {
  try {
    const text = spelled(prefix)
    if (text !== null && b4a.equals(prefixOf(text), prefix)) return text
  } catch {
    // No name in it can be one.
  }
  return `0x${b4a.toString(prefix, 'hex')}`
}

function spelled(prefix: Uint8Array): string | null {
  const { path, key } = splitKey(prefix)
  switch (prefix[0]) {
    case SECTION_DB: {
      const isWhole = b4a.equals(new Keyspace(path).prefix.subarray(0, -1), prefix)
      return placeToText({ path, key: isWhole ? null : key })
    }
    case SECTION_UPDATES:
      return placeToText({ path, key: null }, DOCUMENTS)
    case SECTION_METADATA:
      return placeToText({ path: [], key }, DOCUMENTS)
    default:
      return null
  }
}
