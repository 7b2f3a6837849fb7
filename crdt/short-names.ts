/**
 * The paths of short field names, which the entries of one database have over and over: of each one path, made at first sight and
 * shared from then on. Most of what reading a field allocates is its name. Small: a name takes the place of another.
 */
import type { Path } from './paths.ts'

/** Names are of at most this many bytes: longer ones are rarely the same. */
const MAX_SHORT_NAME = 24

/** A power of two: what a database of some tables has, with room. */
const PLACES = 512

const known: (Path | undefined)[] = Array.from({ length: PLACES }, () => undefined)

/** The path of one name, of ASCII letters; null for any other. It cannot be changed. */
export function shortPath(bytes: Uint8Array, start: number, length: number): Path | null {
  if (length > MAX_SHORT_NAME) return null
  let hash = length
  for (let i = start; i < start + length; i++) hash = (hash * 31 + (bytes[i] ?? 0)) | 0
  const place = hash & (PLACES - 1)
  const path = known[place]
  if (path !== undefined && isNamed(path, bytes, start, length)) return path
  const made = pathOf(bytes, start, length)
  if (made !== null) known[place] = made
  return made
}

function isNamed([name = '']: Path, bytes: Uint8Array, start: number, length: number): boolean {
  if (name.length !== length) return false
  for (let i = 0; i < length; i++) if (name.charCodeAt(i) !== bytes[start + i]) return false
  return true
}

function pathOf(bytes: Uint8Array, start: number, length: number): Path | null {
  let name = ''
  for (let i = start; i < start + length; i++) {
    const byte = bytes[i] ?? 0
    if (byte >= 0x80) return null
    name += String.fromCharCode(byte)
  }
  // Shared by all entries, and shown to callers.
  return name === '__proto__' ? null : Object.freeze([name])
}
