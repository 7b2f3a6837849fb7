/** Keys as people hand them on. */
import z32 from 'z32'

const KEY_BYTES = 32

/** The key in a text; null when it is not the one text form of any key: the decoder alone would overlook a cut-off end. */
export function keyIn(text: unknown): Uint8Array | null {
  if (typeof text !== 'string') return null
  try {
    const key = z32.decode(text)
    return key.byteLength === KEY_BYTES && z32.encode(key) === text ? key : null
  } catch {
    return null
  }
}
