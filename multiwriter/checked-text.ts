/**
 * Bytes as one line of text that a person can copy, and what went wrong when they did: a prefix that says what it is, then
 * z32 of the bytes and four more that check them.
 */
import b4a from 'b4a'
import z32 from 'z32'
import { hash } from '../core/index.ts'

const CHECKSUM_BYTES = 4

export interface TextForm {
  readonly prefix: string
  /** Keeps the checksums of different kinds apart. */
  readonly context: string
}

export function encodeText({ prefix, context }: TextForm, body: Uint8Array): string {
  return prefix + z32.encode(b4a.concat([body, checksum(context, body)]))
}

/** White space and hyphens between the characters are overlooked. @param bad makes the error of a problem */
export function decodeText(
  { prefix, context }: TextForm,
  text: string,
  bad: (problem: string) => Error
): Uint8Array {
  const plain = text.replace(/[\s-]/g, '').toLowerCase()
  if (!plain.startsWith(prefix)) throw bad(`does not begin with ${prefix}`)
  const bytes = decodeStrictly(plain.slice(prefix.length), bad)
  if (bytes.byteLength <= CHECKSUM_BYTES) throw bad('is cut off')
  const body = bytes.subarray(0, -CHECKSUM_BYTES)
  if (b4a.equals(checksum(context, body), bytes.subarray(-CHECKSUM_BYTES))) return body
  throw bad('is cut off or has a mistyped character')
}

function decodeStrictly(text: string, bad: (problem: string) => Error): Uint8Array {
  let bytes: Uint8Array
  try {
    bytes = z32.decode(text)
  } catch {
    throw bad('has a character that is not of its alphabet')
  }
  // The decoder overlooks the unused bits of the last character, and a last character that is missing.
  if (z32.encode(bytes) !== text) throw bad('has a mistyped end')
  return bytes
}

function checksum(context: string, body: Uint8Array): Uint8Array {
  return hash(context, body).subarray(0, CHECKSUM_BYTES)
}
