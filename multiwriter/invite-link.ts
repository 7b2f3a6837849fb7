/**
 * What an invite looks like on its way from one person to another: one line of text. In it is what it takes to find somebody who is in,
 * and to prove to have it; of the membership key only what it takes to know it when it comes (docs/FORMAT.md, "Invites").
 *
 *     manyhands://join/ z32(version u8, address 32 B, secret 16 B, meeting 16 B, checksum 4 B)
 */
import b4a from 'b4a'
import z32 from 'z32'
import { deriveKeyPair, hash, keyedHash } from '../core/index.ts'
import { ManyhandsError } from '../errors.ts'

export interface InviteLink {
  /** The space's. */
  readonly address: Uint8Array
  /** Whoever has it has the invite. */
  readonly secret: Uint8Array
  /** @see meetingOf */
  readonly meeting: Uint8Array
}

const PREFIX = 'manyhands://join/'
const VERSION = 1
export const SECRET_BYTES = 16
const MEETING_BYTES = 16
const CHECKSUM_BYTES = 4
const BODY_BYTES = 1 + 32 + SECRET_BYTES + MEETING_BYTES

export function encodeInviteLink({ address, secret, meeting }: InviteLink): string {
  const body = b4a.concat([b4a.from([VERSION]), address, secret, meeting])
  return PREFIX + z32.encode(b4a.concat([body, checksum(body)]))
}

/** Whether a text means to be an invite. */
function isInviteLink(text: string): boolean {
  return text.trim().toLowerCase().startsWith(PREFIX)
}

/** Capital letters and white space do no harm: they come from QR codes and from mails. @throws INVITE_INVALID */
export function decodeInviteLink(text: unknown): InviteLink {
  if (typeof text !== 'string') throw bad('is no text')
  if (!isInviteLink(text)) throw bad(`does not begin with ${PREFIX}`)
  const bytes = decodeText(text.replaceAll(/\s/g, '').toLowerCase().slice(PREFIX.length))
  if (bytes[0] !== VERSION && bytes.byteLength > 0) throw bad('is of another version')
  if (bytes.byteLength !== BODY_BYTES + CHECKSUM_BYTES) throw bad('has the wrong length')
  const body = bytes.subarray(0, BODY_BYTES)
  if (!b4a.equals(checksum(body), bytes.subarray(BODY_BYTES))) throw bad('has a mistyped character')
  return {
    address: body.subarray(1, 33),
    secret: body.subarray(33, 33 + SECRET_BYTES),
    meeting: body.subarray(33 + SECRET_BYTES)
  }
}

/** Where those meet who have an invite and those who let in. Of two membership keys never the same: so it also proves the key. */
export function meetingOf(membershipKey: Uint8Array): Uint8Array {
  return keyedHash(membershipKey, 'manyhands/meeting').subarray(0, MEETING_BYTES)
}

/** The discovery topic, and the channel id. */
export function meetingTopic(meeting: Uint8Array): Uint8Array {
  return hash('manyhands/meeting-topic', meeting)
}

/** What proves that somebody has the invite. */
export function inviteKeyPair(secret: Uint8Array) {
  return deriveKeyPair(secret, 'manyhands/invite')
}

function decodeText(text: string): Uint8Array {
  try {
    const bytes = z32.decode(text)
    // The decoder overlooks a last character that is missing.
    if (z32.encode(bytes) === text) return bytes
  } catch {
    // a character outside the alphabet: said below
  }
  throw bad('has a mistyped character, or lacks some')
}

function checksum(body: Uint8Array): Uint8Array {
  return hash('manyhands/invite-link', body).subarray(0, CHECKSUM_BYTES)
}

function bad(problem: string): ManyhandsError {
  return new ManyhandsError('INVITE_INVALID', `The invite ${problem}`)
}
