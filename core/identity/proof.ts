/**
 * Whose a device is: proofs of keet-identity-key. An identity signs a device, a device the next one, and so on: who has the proof of the
 * last one has the chain from the identity to it. Its epoch is 0, as nothing here goes by time: which devices count is said by
 * the membership logs.
 */
import b4a from 'b4a'
import c from 'compact-encoding'
import type { KeyPair } from 'hypercore'
import IdentityKey from 'keet-identity-key'
import encodings from 'keet-identity-key/lib/encoding.js'

/** Longer chains are nobody's: each was let in by a person. */
export const MAX_ATTESTED = 32

/** Version, epoch, identity, count, a key and a signature each, flags. */
const MAX_BYTES = 1 + 8 + 32 + 1 + MAX_ATTESTED * 96 + 1

export interface Attestation {
  readonly identity: Uint8Array
  /** From the first device that the identity signed to the one that is meant. */
  readonly devices: readonly Uint8Array[]
}

/** The identity's own word for a device. */
export function attestFirst(identity: KeyPair, device: Uint8Array): Uint8Array {
  const proof = { version: 1, epoch: 0, identity: identity.publicKey, chain: [] }
  return IdentityKey.attestDevice(b4a.from(device), identity, proof)
}

/** A device's word for another, on top of what others said for it. */
export function attestNext(device: KeyPair, attestation: Uint8Array, next: Uint8Array): Uint8Array {
  return IdentityKey.attestDevice(b4a.from(next), device, b4a.from(attestation))
}

/** What is claimed, not checked. Null for what is none, or written in another way than ours. */
export function readAttestation(bytes: Uint8Array): Attestation | null {
  if (bytes.byteLength > MAX_BYTES) return null
  try {
    const proof = c.decode(encodings.ProofEncoding, b4a.from(bytes))
    if (proof.identity === null || proof.chain.length === 0 || proof.data) return null
    if (!b4a.equals(c.encode(encodings.ProofEncoding, proof), bytes)) return null
    return { identity: proof.identity, devices: proof.chain.map(({ publicKey }) => publicKey) }
  } catch {
    return null // cut off, or no proof at all
  }
}

/** Whether the identity says, itself or by devices of its own, that the device is its own. Never throws. */
export function isAttested(
  identity: Uint8Array,
  device: Uint8Array,
  attestation: Uint8Array
): boolean {
  if (readAttestation(attestation) === null) return false
  const expected = { expectedIdentity: b4a.from(identity), expectedDevice: b4a.from(device) }
  return IdentityKey.verify(b4a.from(attestation), null, expected) !== null
}
