/**
 * A ticket names a space and lets its bearer in: address and membership key as one line of text (docs/FORMAT.md, "Ticket"). With the key of
 * an epoch its bearer can read, and write, before it has met a member; without one it holds what it cannot read.
 *
 *     ticket = "mh1" + z32(flags u8, address 32 B, membership key 32 B, epoch key 32 B if flagged, checksum 4 B)
 */
import b4a from 'b4a'
import z32 from 'z32'
import { ManyhandsError } from '../errors.ts'
import { hash } from '../core/index.ts'

export interface Ticket {
  readonly address: Uint8Array
  readonly membershipKey: Uint8Array
  /** What content is encrypted under; null for who is to read nothing before it is let in. */
  readonly epoch: Uint8Array | null
  readonly open: boolean
  /** Its logs are: false of a space that was made without encryption, to measure. */
  readonly encrypted: boolean
}

const PREFIX = 'mh1'
const FLAG_OPEN = 1
const FLAG_PLAIN = 2
const FLAG_EPOCH = 4
const BODY_BYTES = 65
const EPOCH_BYTES = 32
const CHECKSUM_BYTES = 4

export function encodeTicket(ticket: Ticket): string {
  const { address, membershipKey, epoch, open, encrypted } = ticket
  const flags =
    (open ? FLAG_OPEN : 0) | (encrypted ? 0 : FLAG_PLAIN) | (epoch === null ? 0 : FLAG_EPOCH)
  const keys = epoch === null ? [membershipKey] : [membershipKey, epoch]
  const body = b4a.concat([b4a.from([flags]), address, ...keys])
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
  const flags = bytes[0] ?? 0
  if ((flags & ~(FLAG_OPEN | FLAG_PLAIN | FLAG_EPOCH)) !== 0) throw bad('is of a newer version')
  const hasEpoch = (flags & FLAG_EPOCH) !== 0
  const size = BODY_BYTES + (hasEpoch ? EPOCH_BYTES : 0)
  if (bytes.byteLength !== size + CHECKSUM_BYTES) throw bad('has the wrong length')
  const body = bytes.subarray(0, size)
  if (!b4a.equals(checksum(body), bytes.subarray(size))) throw bad('has a mistyped character')
  return {
    open: (flags & FLAG_OPEN) !== 0,
    encrypted: (flags & FLAG_PLAIN) === 0,
    address: body.subarray(1, 33),
    membershipKey: body.subarray(33, BODY_BYTES),
    epoch: hasEpoch ? body.subarray(BODY_BYTES) : null
  }
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
