/** From a place in a space to its link, and back. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Value } from '../crdt/index.ts'
import type { ReadOptions } from '../core/index.ts'
import { checkOptions, invalid, ManyhandsError } from '../errors.ts'
import { checkoutOf, versionNow, viewAt } from './checkout.ts'
import { parseIndexPaths } from './index-path.ts'
import { keyEncodingOf, valueEncodingOf, type KeyEncoding } from './encodings.ts'
import type { Engine } from './engine.ts'
import { Keyspace, pathOf, type SubPath } from './keyspace.ts'
import { decodeLink, encodeLink } from './link.ts'
import { MultiBee, type Entry } from './multibee.ts'
import type { SubOptions } from './sub-options.ts'
import { checkRead } from './options.ts'
import { SchemaEncoding, schemaOf } from './schema.ts'
import { hashVersion, proveVersion } from './strong-link.ts'
import { versionIn } from './versions.ts'

export interface LinkOptions extends ReadOptions {
  /** A key as its text, or the bytes that its key encoding makes. Default: the whole database. */
  readonly key?: string | Uint8Array
  /** The sub-database: its name, or the names on the way. Without a key and this, the link leads to the space. */
  readonly sub?: SubPath
  /** What was there at a version; true for the one that is read now. Default: whatever is there when the link is opened. */
  readonly version?: string | boolean
  /** Proves which state was meant: of `version`, by default of what is read now. */
  readonly strong?: boolean
}

/** Where a link leads. */
export interface LinkPlace<K, V> {
  /** Null for a link to whatever is there now. */
  readonly version: string | null
  /** The database, live or as it was at the version. */
  readonly db: MultiBee<K, V>
  /** Null when the link leads to the whole database, or the space. */
  readonly key: K | null
  /** What stands at the key, or null. */
  readonly entry: Entry<K, V> | null
}

export interface OpenLinkOptions<K, V> extends SubOptions<K, V> {
  /** What values must fit, as for `sub`: a link carries no schema. */
  readonly schema?: StandardSchemaV1<unknown, V>
  /** Milliseconds to wait for one block that is not here. Default 5000. */
  readonly timeout?: number
}

/** 5 s: a peer that is there answers in a fraction of it; who waits longer takes the program for stuck. */
const TIMEOUT_MS = 5000

const LINK_OPTIONS = ['key', 'sub', 'version', 'strong', 'wait', 'timeout']
const OPEN_OPTIONS = ['keyEncoding', 'valueEncoding', 'schema', 'index', 'timeout']

/** @throws KEY_INVALID, VERSION_ codes */
export async function linkTo(engine: Engine, space: string, given: LinkOptions): Promise<string> {
  checkOptions('link', given, LINK_OPTIONS)
  const { key, sub, strong = false, version = strong, wait = true, timeout = TIMEOUT_MS } = given
  if (typeof strong !== 'boolean') invalid('strong', 'true or false', strong)
  if (strong && version === false) invalid('version', 'a version, as the link is strong', version)
  checkRead({ wait, timeout })
  const path = key === undefined && sub === undefined ? null : pathOf(sub ?? [])
  const bytes = key === undefined ? null : keyOf(key, path ?? [])
  const read = { wait, timeout }
  const text = version === true ? await versionNow(engine, read) : version
  if (text === false) return encodeLink({ space, version: null, path, key: bytes, hash: null })
  const named = versionIn(engine, text)
  // Hashes outlive the blocks that were cleared: a state that nobody can read any more is proved to nobody.
  if (strong) await viewAt(engine, named, read)
  const hash = strong ? await hashVersion(engine, named, read) : null
  return encodeLink({ space, version: text, path, key: bytes, hash })
}

/**
 * Follows a link into this space.
 * @throws LINK_INVALID, LINK_MISMATCH, KEY_INVALID, VERSION_ codes, SPACE_UNKNOWN for a link into another space
 */
export async function followLink<K = string, V = Value>(
  engine: Engine,
  space: string,
  url: string,
  given: OpenLinkOptions<K, V>
): Promise<LinkPlace<K, V>> {
  const { keys, values, indexes, timeout } = checkedOpen(given)
  const link = decodeLink(url)
  if (link.space !== space) throw foreign(link.space)
  const version = link.version === null ? null : versionIn(engine, link.version)
  if (version !== null && link.hash !== null) {
    await proveVersion(engine, version, link.hash, { timeout })
  }
  // Closing what a link leads to closes nothing else.
  const live = { ...engine, close: () => Promise.resolve() }
  const at = version === null ? live : checkoutOf(engine, version)
  // A version that is not here is told now, though the link may lead to no key.
  await at.view({ timeout })
  const db = new MultiBee(at, new Keyspace(link.path ?? []), keys, values, indexes)
  const key = link.key === null ? null : decodeKey(keys, link.key)
  const entry = key === null ? null : await db.get(key, { timeout })
  return { version: link.version, db, key, entry }
}

export function foreign(address: string): ManyhandsError {
  return new ManyhandsError(
    'SPACE_UNKNOWN',
    `The link leads into the space ${address}, which this device is not in; a link lets nobody in`
  )
}

function checkedOpen<K, V>(given: OpenLinkOptions<K, V>) {
  checkOptions('openLink', given, OPEN_OPTIONS)
  const { keyEncoding, valueEncoding, schema, index = [], timeout = TIMEOUT_MS } = given
  if (!Number.isFinite(timeout) || timeout <= 0) invalid('timeout', 'milliseconds', timeout)
  const values = valueEncodingOf(valueEncoding ?? 'json')
  return {
    keys: keyEncodingOf(keyEncoding ?? 'utf-8'),
    values: schema === undefined ? values : new SchemaEncoding(schemaOf(schema), values),
    indexes: parseIndexPaths(index),
    timeout
  }
}

/** Bytes as they are: so a key of any encoding has a link. */
function keyOf(key: string | Uint8Array, path: readonly string[]): Uint8Array {
  const bytes = key instanceof Uint8Array ? key : keyEncodingOf<string>('utf-8').encode(key)
  new Keyspace(path).encode(bytes) // throws when no database takes such a key
  return bytes
}

function decodeKey<K>(keys: KeyEncoding<K>, bytes: Uint8Array): K {
  try {
    return keys.decode(bytes)
  } catch (cause) {
    const message = "The link's key is not of this encoding: open the link with its `keyEncoding`"
    throw new ManyhandsError('KEY_INVALID', message, { cause })
  }
}
