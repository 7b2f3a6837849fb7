/**
 * Raw DEFLATE (RFC 1951) around what is stored of documents, in bounds: packing must not stop the event loop for long, and what
 * others have packed must not grow beyond what their bytes are worth.
 */
import { deflateSync, Inflate } from 'fflate/browser'

/** Below, there is nothing to win. */
const MIN_BYTES = 1024

/** 1 MiB: deflating takes some 50 ms for each. What is larger is stored as it is. */
const MAX_BYTES = 1024 * 1024

/** Texts shrink to a half or a quarter. A bomb could grow a thousandfold: reading a log costs so many times its bytes at most. */
const MAX_GROWTH = 64

/** So much is taken in before it is looked at what has come out. */
const STEP_BYTES = 4096

/** Null where it does not pay, or nobody would inflate it. */
export function deflate(bytes: Uint8Array): Uint8Array | null {
  if (bytes.byteLength < MIN_BYTES || bytes.byteLength > MAX_BYTES) return null
  const deflated = deflateSync(bytes)
  const isGain = deflated.byteLength < bytes.byteLength
  return isGain && bytes.byteLength <= deflated.byteLength * MAX_GROWTH ? deflated : null
}

/** @throws Error on what is no DEFLATE, is cut off, or grows too much */
export function inflate(bytes: Uint8Array): Uint8Array {
  const room = bytes.byteLength * MAX_GROWTH
  const parts: Uint8Array[] = []
  let size = 0
  const inflater = new Inflate((part) => {
    size += part.byteLength
    if (size > room) throw new Error('It inflates to more than it may')
    parts.push(part)
  })
  for (let start = 0; start < bytes.byteLength; start += STEP_BYTES) {
    const end = start + STEP_BYTES
    inflater.push(bytes.subarray(start, end), end >= bytes.byteLength)
  }
  return joined(parts, size)
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  const all = new Uint8Array(size)
  let start = 0
  for (const part of parts) {
    all.set(part, start)
    start += part.byteLength
  }
  return all
}
