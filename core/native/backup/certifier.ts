/**
 * By what a restored backup becomes a device of the same person: a key pair of its own, attested by the device that made the backup, which
 * attests whatever device is made of it. So neither the phrase nor the old device's key stands in an archive, each restored device is one
 * for itself, and what was made of an archive by the word of a device that is removed since, is let in by nobody by itself.
 *
 * It is never in clear: whoever has it can make devices of this person.
 */
import b4a from 'b4a'
import { deriveKeyPair, openBox, randomBytes, sealBox } from '../../crypto.ts'
import { attestNext, isAttested, MAX_ATTESTED, readAttestation } from '../../identity/proof.ts'
import type { DeviceStore, IdentitySecrets } from '../../store.ts'

const SEED_BYTES = 32

/** The certifier, sealed. Null where the chain to it would be too long to go on. */
export function sealCertifier(
  { keyPair, secrets }: Pick<DeviceStore, 'keyPair' | 'secrets'>,
  key: Uint8Array
): Uint8Array | null {
  const { attestation } = secrets.identity
  const length = readAttestation(attestation)?.devices.length ?? MAX_ATTESTED
  if (length + 2 > MAX_ATTESTED) return null
  const seed = randomBytes(SEED_BYTES)
  const plain = b4a.concat([seed, attestNext(keyPair, attestation, pairOf(seed).publicKey)])
  const box = sealBox(plain, key)
  for (const secret of [seed, plain]) secret.fill(0)
  return box
}

/** Makes a device one of the person's whose backup it was. Null for what is damaged. */
export function certifyBy(
  box: Uint8Array,
  key: Uint8Array,
  device: Uint8Array
): IdentitySecrets | null {
  const plain = openBox(box, key)
  if (plain === null) return null
  const pair = pairOf(plain.subarray(0, SEED_BYTES))
  const earlier = b4a.from(plain.subarray(SEED_BYTES))
  plain.fill(0)
  const identity = readAttestation(earlier)?.identity
  if (identity === undefined || !isAttested(identity, pair.publicKey, earlier)) return null
  const attestation = attestNext(pair, earlier, device)
  pair.secretKey.fill(0)
  return { attestation, entropy: null }
}

function pairOf(seed: Uint8Array) {
  return deriveKeyPair(seed, 'manyhands/backup-certifier')
}
