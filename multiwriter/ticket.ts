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

/** What it takes to be in a space: its keys, and what it was made as. */
export interface Entrance {
  readonly membershipKey: Uint8Array
  /** What content is encrypted under; null for who is to read nothing before it is let in. */
  readonly epoch: Uint8Array | null
  readonly open: boolean
  /** Its logs are: false of a space that was made without encryption, to measure. */
  readonly encrypted: boolean
}

export interface Ticket extends Entrance {
  readonly address: Uint8Array
}

const PREFIX = 'mh1'
const FLAG_OPEN = 1
const FLAG_PLAIN = 2
const FLAG_EPOCH = 4
const KEY_BYTES = 32
const CHECKSUM_BYTES = 4
const NO_KEY = new Uint8Array(0)

/** flags u8, membership key, and the key of an epoch where there is one. */
export function encodeEntrance({ membershipKey, epoch, open, encrypted }: Entrance): Uint8Array {
  const flags =
    (open ? FLAG_OPEN : 0) | (encrypted ? 0 : FLAG_PLAIN) | (epoch === null ? 0 : FLAG_EPOCH)
  return b4a.concat([b4a.from([flags]), membershipKey, epoch ?? NO_KEY])
}

/** Null for what a newer version says, or is no entrance. */
export function decodeEntrance(bytes: Uint8Array): Entrance | null {
  const [flags = 0] = bytes
  const hasEpoch = (flags & FLAG_EPOCH) !== 0
  if (isNewer(flags) || bytes.byteLength !== 1 + (hasEpoch ? 2 : 1) * KEY_BYTES) return null
  return {
    open: (flags & FLAG_OPEN) !== 0,
    encrypted: (flags & FLAG_PLAIN) === 0,
    membershipKey: bytes.subarray(1, 1 + KEY_BYTES),
    epoch: hasEpoch ? bytes.subarray(1 + KEY_BYTES) : null
  }
}

function isNewer(flags: number): boolean {
  return (flags & ~(FLAG_OPEN | FLAG_PLAIN | FLAG_EPOCH)) !== 0
}

export function encodeTicket({ address, ...entrance }: Ticket): string {
  const bytes = encodeEntrance(entrance)
  const body = b4a.concat([bytes.subarray(0, 1), address, bytes.subarray(1)])
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
  if (isNewer(bytes[0] ?? 0)) throw bad('is of a newer version')
  const body = bytes.subarray(0, Math.max(0, bytes.byteLength - CHECKSUM_BYTES))
  const address = body.subarray(1, 1 + KEY_BYTES)
  const entrance = decodeEntrance(b4a.concat([body.subarray(0, 1), body.subarray(1 + KEY_BYTES)]))
  if (entrance === null) throw bad('has the wrong length')
  if (!b4a.equals(checksum(body), bytes.subarray(body.byteLength)))
    throw bad('has a mistyped character')
  return { ...entrance, address }
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
