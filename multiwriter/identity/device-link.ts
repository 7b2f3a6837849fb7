/**
 * A link by which another device becomes one of the same person's, and what the two say to each other on the meeting that it names
 * (core/net/meeting.ts; docs/FORMAT.md, "Device link"). Whoever has the link can become one of theirs: it ends soon, and works once.
 *
 *     link    = "manyhands://device/" z32(version u8, identity 32 B, secret 16 B, checksum 4 B)
 *     request = version u8, proof 64 B: sign(link key, "manyhands/device-link", said), said: as in a request by hand (certifying.ts)
 *     answer  = version u8, 0 u8, sealed box of (signature 64 B, attestation (length, then bytes), spaces: space-list.ts)
 *             | version u8, why not u8: as with invites
 *     signature = sign(the device that answers, "manyhands/device-link-answer", the new device 32 B, attestation, spaces)
 */
import b4a from 'b4a'
import c from 'compact-encoding'
import {
  BoxOpener,
  deriveKeyPair,
  hash,
  isAttested,
  isSigned,
  randomBytes,
  readAttestation,
  sealTo,
  sign,
  type KeyPair
} from '../../core/index.ts'
import { ManyhandsError } from '../../errors.ts'
import { decodeText, encodeText } from '../checked-text.ts'
import { openRequest, type DeviceRequest } from './certifying.ts'
import { decodeSpaces, encodeSpaces, type KnownSpace } from './space-list.ts'

const LINK = { prefix: 'manyhands://device/', context: 'manyhands/device-link-text' }
const PROOF = 'manyhands/device-link'
const ANSWER = 'manyhands/device-link-answer'
const VERSION = 1
const IDENTITY_BYTES = 32
const SECRET_BYTES = 16
const SIGNATURE_BYTES = 64

/** Far above what a key, two signatures and a name take. */
const MAX_REQUEST_BYTES = 2048

export interface DeviceLink {
  /** Whose device one becomes. */
  readonly identity: Uint8Array
  /** Whoever has it has the link. */
  readonly secret: Uint8Array
}

export function newDeviceLink(identity: Uint8Array): DeviceLink {
  return { identity, secret: randomBytes(SECRET_BYTES) }
}

export function encodeDeviceLink({ identity, secret }: DeviceLink): string {
  return encodeText(LINK, b4a.concat([b4a.from([VERSION]), identity, secret]))
}

/** Capital letters and white space do no harm. @throws DEVICE_LINK_INVALID */
export function decodeDeviceLink(text: unknown): DeviceLink {
  if (typeof text !== 'string') throw bad('is no text')
  const body = decodeText(LINK, text, bad)
  if (body[0] !== VERSION) throw bad('is of another version')
  if (body.byteLength !== 1 + IDENTITY_BYTES + SECRET_BYTES) throw bad('has the wrong length')
  return { identity: body.subarray(1, 1 + IDENTITY_BYTES), secret: body.subarray(33) }
}

/** Where the two meet: the discovery topic, and the channel id. */
export function topicOfLink({ secret }: DeviceLink): Uint8Array {
  return hash('manyhands/device-link-topic', secret)
}

/** @param said what `signedRequest` gave */
export function encodeLinkRequest({ secret }: DeviceLink, said: Uint8Array): Uint8Array {
  const proof = sign(keyPairOf(secret).secretKey, PROOF, said)
  return b4a.concat([b4a.from([VERSION]), proof, said])
}

/** Null for what is none, does not prove to have the link, or is not signed by its device. */
export function openLinkRequest({ secret }: DeviceLink, bytes: Uint8Array): DeviceRequest | null {
  if (bytes[0] !== VERSION || bytes.byteLength > MAX_REQUEST_BYTES) return null
  const proof = bytes.subarray(1, 1 + SIGNATURE_BYTES)
  const said = bytes.subarray(1 + SIGNATURE_BYTES)
  if (proof.byteLength < SIGNATURE_BYTES) return null
  return isSigned(proof, keyPairOf(secret).publicKey, PROOF, said) ? openRequest(said) : null
}

/** What the new device is told: whose it is, and where they are. */
export interface Welcome {
  readonly attestation: Uint8Array
  readonly spaces: readonly KnownSpace[]
}

/** Null for a device whose key is none. */
export function encodeWelcome(
  by: KeyPair,
  device: Uint8Array,
  { attestation, spaces }: Welcome
): Uint8Array | null {
  const list = encodeSpaces(spaces)
  const signature = sign(by.secretKey, ANSWER, device, attestation, list)
  const plain = b4a.concat([signature, c.encode(c.buffer, attestation), list])
  const box = sealTo(plain, device)
  plain.fill(0)
  return box === null ? null : b4a.concat([b4a.from([VERSION, 0]), box])
}

/** Null for what was not sealed to this device, or does not come from a device of the person whose link it is. */
export function openWelcome(
  own: KeyPair,
  { identity }: DeviceLink,
  sealed: Uint8Array
): Welcome | null {
  const plain = new BoxOpener(own).open(sealed)
  if (plain === null || plain.byteLength < SIGNATURE_BYTES) return null
  const [attestation, list] = splitWelcome(plain.subarray(SIGNATURE_BYTES)) ?? []
  if (attestation === undefined || list === undefined) return null
  const by = readAttestation(attestation)?.devices.at(-2)
  const signature = plain.subarray(0, SIGNATURE_BYTES)
  if (by === undefined || !isAttested(identity, own.publicKey, attestation)) return null
  if (!isSigned(signature, by, ANSWER, own.publicKey, attestation, list)) return null
  const spaces = decodeSpaces(list)
  return spaces === null ? null : { attestation, spaces }
}

function splitWelcome(bytes: Uint8Array): readonly [Uint8Array, Uint8Array] | null {
  const state = { buffer: b4a.from(bytes), start: 0, end: bytes.byteLength }
  try {
    const attestation = c.buffer.decode(state) ?? new Uint8Array(0)
    return [attestation, bytes.subarray(state.start)]
  } catch {
    return null // cut off
  }
}

function keyPairOf(secret: Uint8Array): KeyPair {
  return deriveKeyPair(secret, 'manyhands/device-link')
}

function bad(problem: string): ManyhandsError {
  return new ManyhandsError('DEVICE_LINK_INVALID', `The link ${problem}`)
}
