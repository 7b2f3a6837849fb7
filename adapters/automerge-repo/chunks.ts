/**
 * Whether Automerge can read what somebody stored as a part of a document. automerge-repo joins all parts and loads them at once:
 * one bad part would keep it from loading any, or silently end what is loaded. So those of other devices are tried first, alone.
 *
 * A part is a row of chunks: magic 4 B, checksum 4 B, type u8, length LEB128, so many bytes.
 */
import * as Automerge from '@automerge/automerge'

const MAGIC = [0x85, 0x6f, 0x4a, 0x83]
const LENGTH_AT = 9
const MAX_LENGTH_BYTES = 5

export function isReadable(part: Uint8Array): boolean {
  let scratch = Automerge.init()
  try {
    for (let at = 0; at < part.byteLength;) {
      const end = endOfChunk(part, at)
      if (end === null) return false
      scratch = Automerge.loadIncremental(scratch, part.subarray(at, end))
      at = end
    }
    return true
  } catch {
    return false // whatever Automerge has against it
  } finally {
    Automerge.free(scratch)
  }
}

/** Null where no whole chunk is: Automerge itself would pass over what follows a good one. */
function endOfChunk(part: Uint8Array, start: number): number | null {
  if (MAGIC.some((byte, i) => part[start + i] !== byte)) return null
  let length = 0
  for (let i = 0; i < MAX_LENGTH_BYTES; i++) {
    const byte = part[start + LENGTH_AT + i]
    if (byte === undefined) return null
    length += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) {
      const end = start + LENGTH_AT + i + 1 + length
      return end <= part.byteLength ? end : null
    }
  }
  return null
}
