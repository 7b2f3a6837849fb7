/**
 * What a device that has an invite and one that lets in say to each other (docs/FORMAT.md, "Invites"). A request proves to have the invite and
 * shows the device's credentials; an answer gives the membership key, sealed to that device, or says why not.
 *
 *     request = version u8, invite key 32 B, proof 64 B, credentials (a grant record)
 *     answer  = version u8, 0 u8, sealed box of an entrance (ticket.ts)
 *             | version u8, why not u8
 */
import b4a from 'b4a'
import { BoxOpener, isSigned, sealTo, sign, type DeviceStore } from '../../core/index.ts'
import type { DeviceClaim } from '../../acl/index.ts'
import {
  areSound,
  bytesOf,
  decodeCredentials,
  encodeCredentials,
  keyOf,
  type Credentials
} from './credentials.ts'
import { decodeEntrance, encodeEntrance, type Entrance } from '../ticket.ts'

const VERSION = 1
const KEY_BYTES = 32
const PROOF_BYTES = 64

/** Far above what two logs and their signatures take. */
const MAX_REQUEST_BYTES = 4096

/** Why somebody is not let in; the number is its place. */
const DENIALS = [null, 'unknown', 'expired', 'used', 'revoked', 'removed'] as const

export type Denial = Exclude<(typeof DENIALS)[number], null>

export interface InviteRequest {
  /** The invite's. */
  readonly key: Uint8Array
  readonly proof: Uint8Array
  readonly credentials: Credentials
}

export type InviteAnswer = { readonly sealed: Uint8Array } | { readonly denial: Denial }

interface InviteKeyPair {
  readonly publicKey: Uint8Array
  readonly secretKey: Uint8Array
}

export function encodeInviteRequest(
  { publicKey, secretKey }: InviteKeyPair,
  space: Uint8Array,
  credentials: Credentials
): Uint8Array {
  const proof = sign(secretKey, 'manyhands/invite', space, ...saidOf(credentials.member))
  return b4a.concat([b4a.from([VERSION]), publicKey, proof, encodeCredentials(credentials)])
}

/** Null for what is none. Nothing of it is checked. */
export function decodeInviteRequest(bytes: Uint8Array): InviteRequest | null {
  const start = 1 + KEY_BYTES + PROOF_BYTES
  if (bytes[0] !== VERSION || bytes.byteLength > MAX_REQUEST_BYTES) return null
  const credentials = decodeCredentials(bytes.subarray(start))
  if (credentials === null) return null
  const key = b4a.from(bytes.subarray(1, 1 + KEY_BYTES))
  return { key, proof: b4a.from(bytes.subarray(1 + KEY_BYTES, start)), credentials }
}

/** Whether whoever asks has the invite, and is who it says. */
export function isProven({ key, proof, credentials }: InviteRequest, space: Uint8Array): boolean {
  const uses = credentials.cores.map(({ use }) => use).sort()
  return (
    uses.join() === 'acl,data' &&
    isSigned(proof, key, 'manyhands/invite', space, ...saidOf(credentials.member)) &&
    areSound(credentials, keyOf(space))
  )
}

/** Null for a device whose key is none. */
export function encodeAdmission(device: Uint8Array, admission: Entrance): Uint8Array | null {
  const box = sealTo(encodeEntrance(admission), device)
  return box === null ? null : b4a.concat([b4a.from([VERSION, 0]), box])
}

export function encodeDenial(denial: Denial): Uint8Array {
  return b4a.from([VERSION, DENIALS.indexOf(denial)])
}

/** Null for what is none. */
export function decodeInviteAnswer(bytes: Uint8Array): InviteAnswer | null {
  const [version, status = 0] = bytes
  if (version !== VERSION || bytes.byteLength < 2) return null
  if (status === 0) return { sealed: bytes.subarray(2) }
  const denial = DENIALS[status]
  return denial === undefined || denial === null || bytes.byteLength > 2 ? null : { denial }
}

/** Null for what was not sealed to this device. */
export function openAdmission(
  keyPair: DeviceStore['keyPair'],
  sealed: Uint8Array
): Entrance | null {
  const plain = new BoxOpener(keyPair).open(sealed)
  return plain === null ? null : decodeEntrance(plain)
}

function saidOf({ identity, device }: DeviceClaim): readonly Uint8Array[] {
  return [bytesOf(identity), bytesOf(device)]
}
