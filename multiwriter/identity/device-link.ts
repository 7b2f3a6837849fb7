/**
 * A link by which another device becomes one of the same person's, and what the two say to each other on the meeting that it names
 * (core/net/meeting.ts; docs/FORMAT.md, "Device link"). Whoever has the link may ask, and once only: a person lets in the device that shows
 * the same code. The code is made of what both have chosen at random, and the new device commits itself before it hears the other's: so
 * whoever caught the link has one guess in a million, and cannot look for a key that gives a certain code.
 *
 *     link      = "manyhands://device/" z32(version u8, identity 32 B, secret 16 B, checksum 4 B)
 *     request   = version u8, proof 64 B: sign(link key, "manyhands/device-link", said), said
 *     said      = step u8, value 32 B, then what a request by hand has (certifying.ts)
 *     step 0    commits: the value is hash("manyhands/device-link-commitment", nonce), the answer a challenge
 *     step 1    reveals: the value is the nonce, the answer comes when a person has decided
 *     challenge = version u8, 0 u8, nonce 32 B, signature 64 B, attestation of the device that answers
 *     signature = sign(it, "manyhands/device-link-challenge", the new device 32 B, commitment, nonce)
 *     code      = hash("manyhands/device-link-code", the device that answers, its nonce, the new device, its nonce), in six digits
 *     welcome   = version u8, 0 u8, sealed box of (signature 64 B, attestation (length, then bytes), spaces: space-list.ts)
 *     signature = sign(the device that answers, "manyhands/device-link-answer", the new device 32 B, attestation, spaces)
 *     denial    = version u8, why not u8: as with invites; these have their version, not the link's
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
const COMMITMENT = 'manyhands/device-link-commitment'
const CHALLENGE = 'manyhands/device-link-challenge'
const CODE = 'manyhands/device-link-code'
/** Of links and requests. In the first version nobody was asked. */
const VERSION = 2
/** Of answers. */
const ANSWER_VERSION = 1
const NONCE_BYTES = 32
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

const STEPS = ['commit', 'reveal'] as const

/** What the new device asks: first what it will reveal, then what that is. */
export interface LinkStep {
  readonly step: (typeof STEPS)[number]
  /** The commitment, or the nonce. */
  readonly value: Uint8Array
}

export type LinkRequest = DeviceRequest & LinkStep

export function newNonce(): Uint8Array {
  return randomBytes(NONCE_BYTES)
}

export function commitmentTo(nonce: Uint8Array): Uint8Array {
  return hash(COMMITMENT, nonce)
}

/** @param request what `signedRequest` gave */
export function encodeLinkRequest(
  { secret }: DeviceLink,
  { step, value }: LinkStep,
  request: Uint8Array
): Uint8Array {
  const said = b4a.concat([b4a.from([STEPS.indexOf(step)]), value, request])
  const proof = sign(keyPairOf(secret).secretKey, PROOF, said)
  return b4a.concat([b4a.from([VERSION]), proof, said])
}

/** Null for what is none, does not prove to have the link, or is not signed by its device. */
export function openLinkRequest({ secret }: DeviceLink, bytes: Uint8Array): LinkRequest | null {
  if (bytes[0] !== VERSION || bytes.byteLength > MAX_REQUEST_BYTES) return null
  const proof = bytes.subarray(1, 1 + SIGNATURE_BYTES)
  const said = bytes.subarray(1 + SIGNATURE_BYTES)
  if (proof.byteLength < SIGNATURE_BYTES) return null
  return isSigned(proof, keyPairOf(secret).publicKey, PROOF, said) ? decodeSaid(said) : null
}

function decodeSaid(said: Uint8Array): LinkRequest | null {
  const step = STEPS[said[0] ?? STEPS.length]
  const request = openRequest(said.subarray(1 + NONCE_BYTES))
  if (step === undefined || request === null) return null
  return { ...request, step, value: b4a.from(said.subarray(1, 1 + NONCE_BYTES)) }
}

/** What the new device has committed itself to. */
export interface Commitment {
  readonly device: Uint8Array
  readonly commitment: Uint8Array
}

/** The answer to who has committed itself. */
export interface Challenge {
  /** The device that answers, of the person whose link it is. */
  readonly by: Uint8Array
  readonly nonce: Uint8Array
}

export function encodeChallenge(
  by: KeyPair,
  attestation: Uint8Array,
  { device, commitment }: Commitment,
  nonce: Uint8Array
): Uint8Array {
  const signature = sign(by.secretKey, CHALLENGE, device, commitment, nonce)
  return b4a.concat([b4a.from([ANSWER_VERSION, 0]), nonce, signature, attestation])
}

/** Null for what does not come from a device of the person whose link it is, or answers another. */
export function openChallenge(
  { identity }: DeviceLink,
  { device, commitment }: Commitment,
  bytes: Uint8Array
): Challenge | null {
  const nonce = bytes.subarray(0, NONCE_BYTES)
  const signature = bytes.subarray(NONCE_BYTES, NONCE_BYTES + SIGNATURE_BYTES)
  const attestation = bytes.subarray(NONCE_BYTES + SIGNATURE_BYTES)
  const by = readAttestation(attestation)?.devices.at(-1)
  if (by === undefined || !isAttested(identity, by, attestation)) return null
  if (!isSigned(signature, by, CHALLENGE, device, commitment, nonce)) return null
  return { by: b4a.from(by), nonce: b4a.from(nonce) }
}

/** What both show, for a person to compare: six digits. */
export function codeOf({ by, nonce }: Challenge, device: Uint8Array, revealed: Uint8Array): string {
  const made = hash(CODE, by, nonce, device, revealed)
  const number = new DataView(made.buffer, made.byteOffset).getUint32(0) % 1_000_000
  const digits = String(number).padStart(6, '0')
  return `${digits.slice(0, 3)} ${digits.slice(3)}`
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
  return box === null ? null : b4a.concat([b4a.from([ANSWER_VERSION, 0]), box])
}

/**
 * Null for what was not sealed to this device, or does not come from a device of the person whose link it is.
 * @param from the one of which the code was made
 */
export function openWelcome(
  own: KeyPair,
  { identity }: DeviceLink,
  from: Uint8Array,
  sealed: Uint8Array
): Welcome | null {
  const plain = new BoxOpener(own).open(sealed)
  if (plain === null || plain.byteLength < SIGNATURE_BYTES) return null
  const [attestation, list] = splitWelcome(plain.subarray(SIGNATURE_BYTES)) ?? []
  if (attestation === undefined || list === undefined) return null
  const by = readAttestation(attestation)?.devices.at(-2)
  const signature = plain.subarray(0, SIGNATURE_BYTES)
  if (by === undefined || !b4a.equals(by, from)) return null
  if (!isAttested(identity, own.publicKey, attestation)) return null
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
