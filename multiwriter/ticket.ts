/**
 * A ticket names a space and lets its bearer in: address and membership key as one line of text (docs/FORMAT.md, "Ticket").
 *
 *     ticket = "mh1" + z32(flags u8, address 32 B, membership key 32 B, checksum 4 B)
 */
import b4a from 'b4a'
import z32 from 'z32'
import { ManyhandsError } from '../errors.ts'
import { hash } from '../core/index.ts'

/** What a space was made as. */
export interface SpaceKind {
  readonly open: boolean
  /** Its logs are: false of a space that was made without encryption, to measure. */
  readonly encrypted: boolean
}

export interface Ticket extends SpaceKind {
  readonly address: Uint8Array
  readonly membershipKey: Uint8Array
}

const PREFIX = 'mh1'
const FLAG_OPEN = 1
const FLAG_PLAIN = 2
const BODY_BYTES = 65
const CHECKSUM_BYTES = 4

/** One byte. */
export function encodeKind({ open, encrypted }: SpaceKind): Uint8Array {
  return b4a.from([(open ? FLAG_OPEN : 0) | (encrypted ? 0 : FLAG_PLAIN)])
}

/** Null for what a newer version says. */
export function decodeKind(flags: number): SpaceKind | null {
  if ((flags & ~(FLAG_OPEN | FLAG_PLAIN)) !== 0) return null
  return { open: (flags & FLAG_OPEN) !== 0, encrypted: (flags & FLAG_PLAIN) === 0 }
}

export function encodeTicket({ address, membershipKey, ...kind }: Ticket): string {
  const body = b4a.concat([encodeKind(kind), address, membershipKey])
  return PREFIX + z32.encode(b4a.concat([body, checksum(body)]))
}

/** Whether a text means to be a ticket. */
export function isTicket(text: string): boolean {
  return text.trim().startsWith(PREFIX)
}

/** @throws TICKET_INVALID */
export function decodeTicket(text: string): Ticket {
  if (typeof text !== 'string' || !isTicket(text)) throw bad(`does not begin with ${PREFIX}`)
  const bytes = decodeText(text.trim().slice(PREFIX.length))
  if (bytes.byteLength !== BODY_BYTES + CHECKSUM_BYTES) throw bad('has the wrong length')
  const body = bytes.subarray(0, BODY_BYTES)
  if (!b4a.equals(checksum(body), bytes.subarray(BODY_BYTES))) throw bad('has a mistyped character')
  const kind = decodeKind(body[0] ?? 0)
  if (kind === null) throw bad('is of a newer version')
  return { ...kind, address: body.subarray(1, 33), membershipKey: body.subarray(33) }
}

function decodeText(text: string): Uint8Array {
  const bytes = decodeLoosely(text)
  // The decoder overlooks the unused bits of the last character, and a last character that is missing.
  if (z32.encode(bytes) !== text) throw bad('has a mistyped end')
  return bytes
}

function decodeLoosely(text: string): Uint8Array {
  try {
    return z32.decode(text)
  } catch {
    throw bad('has a character that is not of its alphabet')
  }
}

function checksum(body: Uint8Array): Uint8Array {
  return hash('manyhands/ticket', body).subarray(0, CHECKSUM_BYTES)
}

function bad(problem: string): ManyhandsError {
  return new ManyhandsError('TICKET_INVALID', `The ticket ${problem}`)
}
