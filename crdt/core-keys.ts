/**
 * The keys of cores, as lists of what was seen have them over and over: of each one array, made at first sight and shared from then
 * on. So a list costs no view of bytes per item, and mostly two equal keys are one. Small: a key takes the place of another.
 */
/** Of a key. */
export const CORE_BYTES = 32

/** A power of two: cores of some spaces, with room. */
const PLACES = 1024

const known: (Uint8Array | undefined)[] = Array.from({ length: PLACES }, () => undefined)

/** The key at an offset, of which all bytes are there. Not to be changed. */
export function coreKeyAt(bytes: Uint8Array, start: number): Uint8Array {
  // Keys are random: their first bytes are as good as a hash.
  const place = (((bytes[start] ?? 0) << 8) | (bytes[start + 1] ?? 0)) & (PLACES - 1)
  const key = known[place]
  if (key !== undefined && isAt(key, bytes, start)) return key
  const made = new Uint8Array(CORE_BYTES)
  for (let i = 0; i < CORE_BYTES; i++) made[i] = bytes[start + i] ?? 0
  known[place] = made
  return made
}

function isAt(key: Uint8Array, bytes: Uint8Array, start: number): boolean {
  for (let i = 0; i < CORE_BYTES; i++) if (key[i] !== bytes[start + i]) return false
  return true
}
