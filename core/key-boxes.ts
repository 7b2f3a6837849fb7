/**
 * Keys on their way to devices. A box is sealed to the device's signing key, made into a key for encryption: so a device needs no second
 * key that somebody would have to vouch for.
 */
import b4a from 'b4a'
import type { KeyPair } from 'hypercore'
import sodium from 'sodium-universal'

/** Opens what was sealed to one device. */
export class BoxOpener {
  readonly #publicKey = b4a.alloc(sodium.crypto_box_PUBLICKEYBYTES)
  readonly #secretKey = b4a.alloc(sodium.crypto_box_SECRETKEYBYTES)

  constructor({ publicKey, secretKey }: KeyPair) {
    sodium.crypto_sign_ed25519_pk_to_curve25519(this.#publicKey, publicKey)
    sodium.crypto_sign_ed25519_sk_to_curve25519(this.#secretKey, secretKey)
  }

  /** Null for what is not sealed to it. */
  open(box: Uint8Array): Uint8Array | null {
    const size = box.byteLength - sodium.crypto_box_SEALBYTES
    if (size < 0) return null
    const plain = b4a.alloc(size)
    const isOpen = sodium.crypto_box_seal_open(plain, box, this.#publicKey, this.#secretKey)
    return isOpen ? plain : null
  }
}

/** Only the device can open it, and nobody can tell who sealed it. Null for what is no device's key. */
export function sealTo(plain: Uint8Array, device: Uint8Array): Uint8Array | null {
  const publicKey = boxKeyOf(device)
  if (publicKey === null) return null
  const box = b4a.alloc(plain.byteLength + sodium.crypto_box_SEALBYTES)
  sodium.crypto_box_seal(box, plain, publicKey)
  return box
}

/** Libsodium throws for 32 bytes that are no point of the curve. */
function boxKeyOf(device: Uint8Array): Uint8Array | null {
  const publicKey = b4a.alloc(sodium.crypto_box_PUBLICKEYBYTES)
  try {
    sodium.crypto_sign_ed25519_pk_to_curve25519(publicKey, device)
    return publicKey
  } catch {
    return null
  }
}
