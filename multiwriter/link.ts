/**
 * A link names a place in a space, now or at one version, as one line of text (docs/FORMAT.md, "Link"). It lets nobody in: who
 * opens it is in the space already.
 *
 *     manyhands://<space>[+<version>]/[db[:name]*[/<key>]][#<hash>]
 *
 * Laws: every key and every path of names has exactly one link; what is read from it is what was written into it; and a URL
 * parser that a link passes through on its way changes nothing. The last one costs a mark: URLs resolve a segment of one or two
 * dots away, escaped or not, so in a key it is written with "=" before it ("=..", where a key's own "=" is always escaped).
 * Escaped is everything but letters, digits, "-", ".", "_", "~", and "/" in keys.
 *
 * Reading is lenient where nothing can be misunderstood (white space around, letters left unescaped), and refuses the rest.
 */
import b4a from 'b4a'
import z32 from 'z32'
import { decodeVersion } from '../clock/index.ts'
import { ManyhandsError } from '../errors.ts'
import { keyIn } from './key-text.ts'
import { Keyspace, MAX_KEY_BYTES } from './keyspace.ts'

export interface Link {
  /** The space's address, in text form. */
  readonly space: string
  /** The version's text form; null for what is there now. */
  readonly version: string | null
  /** The names of sub-databases on the way; null when the link leads to the space itself. */
  readonly path: readonly string[] | null
  /** The key's bytes, not empty; null when the link leads to a whole database. */
  readonly key: Uint8Array | null
  /** What the logs of the version hash to (strong-link.ts); null for a link that proves nothing. */
  readonly hash: Uint8Array | null
}

export interface Place {
  readonly path: readonly string[]
  readonly key: Uint8Array | null
}

const SCHEME = 'manyhands:'
const SECTION = 'db'
const UNESCAPED = /[A-Za-z0-9\-._~]/
/** Stands before a segment that a URL parser would resolve away. */
const MARK = '='
const DOTS = ['.', '..']

/** A segment of dots in the text as it was given, when the URL parser has not yet resolved it away. */
const RESOLVED_AWAY = /\/(?:\.|%2e){1,2}(?=[/?#]|$)/i

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The one canonical text. The parts are sound: names and key fit a database, `hash` stands beside a version. */
export function encodeLink({ space, version, path, key, hash }: Link): string {
  return (
    `${SCHEME}//${space}${version === null ? '' : `+${version}`}/` +
    (path === null ? '' : placeToText({ path, key })) +
    (hash === null ? '' : `#${z32.encode(hash)}`)
  )
}

/** A place inside a space, as it stands in links: `db:sub/key`. */
export function placeToText({ path, key }: Place, section = SECTION): string {
  const names = path.map((name) => ':' + escape(encoder.encode(name)))
  return section + names.join('') + (key === null ? '' : '/' + encodeKey(key))
}

/** The other way, where sections may be any and keys empty; letters need not be escaped. Null for what is no such text. */
export function placeFromText(text: string): (Place & { readonly section: string }) | null {
  try {
    const ascii = text.replace(/[^\0-\x7f]+/g, encodeURIComponent)
    const slash = ascii.indexOf('/')
    const [section = '', ...names] = (slash < 0 ? ascii : ascii.slice(0, slash)).split(':')
    const path = names.map((name) => decodeText(unescape(name)))
    const segments = slash < 0 ? [] : ascii.slice(slash + 1).split('/')
    const key = slash < 0 ? null : (decodeKey(segments) ?? new Uint8Array(0))
    checkFits(path, key)
    return { section, path, key }
  } catch {
    return null
  }
}

/** @throws LINK_INVALID, saying what is wrong with the text */
export function decodeLink(text: string): Link {
  if (typeof text !== 'string') throw bad(`expected a string, got ${typeof text}`)
  // As a URL parser does it; here, because what it would resolve away must be found first.
  const line = text.replaceAll(/[\t\n\r]/g, '').trim()
  const url = parse(line)
  if (url.protocol !== SCHEME) throw bad(`does not begin with ${SCHEME}//`)
  if (url.username !== '' || url.password !== '' || url.port !== '')
    throw bad('has an "@" or a ":" in the name of the space')
  if (url.href.includes('?')) throw bad('has a "?", which in a key is written %3F')
  if (url.hash === '' && url.href.includes('#'))
    throw bad('has a "#" with nothing behind it, which in a key is written %23')
  if (RESOLVED_AWAY.test(line)) throw bad('has a segment of dots, which is written =. or =..')
  const { space, version } = decodeHost(url.hostname)
  const { path, key } = decodePath(url.pathname)
  const hash = url.hash === '' ? null : decodeBase32(url.hash.slice(1), 'hash')
  if (hash !== null && version === null) throw bad('has a hash, but no version that it is of')
  return { space, version, path, key, hash }
}

function parse(text: string): URL {
  try {
    return new URL(text)
  } catch (cause) {
    throw new ManyhandsError('LINK_INVALID', 'The link is no URL', { cause })
  }
}

function decodeHost(host: string): Pick<Link, 'space' | 'version'> {
  if (host === 'join') throw bad('is an invite: `device.join` takes it')
  const at = host.indexOf('+')
  const space = at < 0 ? host : host.slice(0, at)
  const version = at < 0 ? null : host.slice(at + 1)
  decodeBase32(space, 'name of the space')
  if (version !== null && decodeVersion(version) === null) throw bad('has a damaged version')
  return { space, version }
}

/** @param pathname '' or '/…', escaped */
function decodePath(pathname: string): Pick<Link, 'path' | 'key'> {
  const [, database = '', ...segments] = pathname.split('/')
  if (database === '' && segments.length === 0) return { path: null, key: null }
  const [section, ...names] = database.split(':')
  if (section !== SECTION) throw bad(`leads to "${section}", where only "${SECTION}" is known`)
  const path = names.map((name) => decodeText(unescape(name)))
  const key = decodeKey(segments)
  checkFits(path, key)
  return { path, key }
}

function encodeKey(key: Uint8Array): string {
  return splitAtSlashes(key)
    .map(escape)
    .map((segment) => (DOTS.includes(segment) ? MARK + segment : segment))
    .join('/')
}

/** Keys are never empty: nothing behind the slash is the whole database. */
function decodeKey(segments: readonly string[]): Uint8Array | null {
  if (segments.length === 0 || (segments.length === 1 && segments[0] === '')) return null
  const isMarked = (segment: string) => DOTS.some((dots) => segment === MARK + dots)
  const bytes = segments.map((segment) => unescape(isMarked(segment) ? segment.slice(1) : segment))
  return b4a.concat(bytes.flatMap((each, i) => (i === 0 ? [each] : [b4a.from('/'), each])))
}

function splitAtSlashes(key: Uint8Array): Uint8Array[] {
  const segments: Uint8Array[] = []
  let start = 0
  for (let at = key.indexOf(SLASH); at >= 0; at = key.indexOf(SLASH, start)) {
    segments.push(key.subarray(start, at))
    start = at + 1
  }
  return [...segments, key.subarray(start)]
}

const SLASH = 0x2f

function escape(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) {
    const character = String.fromCharCode(byte)
    const isPlain = byte < 0x80 && UNESCAPED.test(character)
    text += isPlain ? character : '%' + byte.toString(16).toUpperCase().padStart(2, '0')
  }
  return text
}

/** @param text ASCII, as the URL parser leaves it */
function unescape(text: string): Uint8Array {
  if (/%(?![0-9a-f]{2})/i.test(text)) throw bad('has a "%" without two digits behind it')
  const characters = text.match(/%..|./gs) ?? []
  return Uint8Array.from(characters, (each) =>
    each.startsWith('%') ? parseInt(each.slice(1), 16) : each.charCodeAt(0)
  )
}

function decodeText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw bad('names a sub-database that is no text')
  }
}

function decodeBase32(text: string, what: string): Uint8Array {
  const bytes = keyIn(text)
  if (bytes === null) throw bad(`has a damaged ${what}`)
  return bytes
}

function checkFits(path: readonly string[], key: Uint8Array | null): void {
  try {
    void new Keyspace(path)
  } catch (cause) {
    throw new ManyhandsError('LINK_INVALID', 'The link names no possible sub-database', { cause })
  }
  if (key !== null && key.byteLength > MAX_KEY_BYTES) throw bad('has a key that is too long')
}

function bad(problem: string): ManyhandsError {
  return new ManyhandsError('LINK_INVALID', `The link ${problem}`)
}
