/**
 * Paths of strings as keys of the database, so that a path's own bytes, and what lies below it, are one range:
 *
 *     path = (UTF-8 of a name, with 0x00 as 0x00 0xff, then 0x00)*
 *
 * 0xff never occurs in UTF-8: behind an end there is the next name or nothing. So ['a'] is no prefix of ['ab'], whatever
 * characters names have.
 */

const END = 0x00
const ESCAPE = 0xff

export type Path = readonly string[]

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @throws TypeError for what is no well-formed string: it would come back as another one */
export function encodePath(path: Path): Uint8Array {
  const bytes: number[] = []
  for (const name of path) {
    if (typeof name !== 'string' || !name.isWellFormed())
      throw new TypeError('A key expected well-formed strings')
    for (const byte of encoder.encode(name)) {
      bytes.push(byte)
      if (byte === END) bytes.push(ESCAPE)
    }
    bytes.push(END)
  }
  return new Uint8Array(bytes)
}

/** Null for bytes that no path has. */
export function decodePath(bytes: Uint8Array): Path | null {
  const path: string[] = []
  let name: number[] = []
  for (let at = 0; at < bytes.byteLength; at++) {
    const byte = bytes[at] ?? END
    if (byte === ESCAPE) return null
    const isEscaped = byte === END && bytes[at + 1] === ESCAPE
    if (byte === END && !isEscaped) {
      const text = textOf(name)
      if (text === null) return null
      path.push(text)
      name = []
      continue
    }
    name.push(byte)
    if (isEscaped) at++
  }
  return name.length === 0 ? path : null
}

/** A path and all below it. */
export function rangeOf(path: Path): { readonly gte: Uint8Array; readonly lt: Uint8Array } {
  const gte = encodePath(path)
  return { gte, lt: new Uint8Array([...gte, ESCAPE]) }
}

function textOf(bytes: readonly number[]): string | null {
  try {
    return decoder.decode(new Uint8Array(bytes))
  } catch {
    return null
  }
}
