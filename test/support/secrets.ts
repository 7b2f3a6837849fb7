/** What a device's keystore has, made by a test. */
import { attestFirst, deriveKeyPair, type Secrets } from '../../core/index.ts'

/** @param device its key; it is attested by an identity of this seed */
export function secretsOf(seed: Uint8Array, device: Uint8Array): Secrets {
  const attestation = attestFirst(deriveKeyPair(seed, 'test/identity'), device)
  return {
    seed,
    identity: { attestation, entropy: null },
    spaces: [],
    petnames: new Map(),
    revoked: new Set()
  }
}
