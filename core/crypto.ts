/** The few primitives we use, by purpose. All from libsodium. */
import b4a from 'b4a'
import type { KeyPair } from 'hypercore'
import sodium from 'sodium-universal'

const HASH_BYTES = 32

/** Of a part, in front of it. */
const LENGTH_BYTES = 4

/** Less is copied into one piece to be hashed. */
const MAX_COPIED_BYTES = 4096

/** Of XChaCha20-Poly1305. */
const AEAD_NONCE_BYTES = 24
const AEAD_TAG_BYTES = 16

export function randomBytes(size: number): Uint8Array {
  const bytes = b4a.alloc(size)
  sodium.randombytes_buf(bytes)
  return bytes
}

/** BLAKE2b-256 over a context string and parts, each preceded by its length: no two lists of parts hash alike by shifting. */
export function hash(context: string, ...parts: readonly Uint8Array[]): Uint8Array {
  return keyedHash(null, context, ...parts)
}

/** The same under a secret key: to derive one secret from another, or to prove knowledge of one. */
export function keyedHash(
  key: Uint8Array | null,
  context: string,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  const out = b4a.alloc(HASH_BYTES)
  const all = [b4a.from(context), ...parts]
  const size = all.reduce((sum, { byteLength }) => sum + LENGTH_BYTES + byteLength, 0)
  if (size <= MAX_COPIED_BYTES) hashCopied(out, key, all, size)
  else hashInPlace(out, key, all)
  return out
}

/** Most of what is hashed is a few keys and numbers: handing over each of them would take longer than hashing them all. */
function hashCopied(
  out: Uint8Array,
  key: Uint8Array | null,
  all: readonly Uint8Array[],
  size: number
): void {
  const framed = b4a.allocUnsafe(size)
  let at = 0
  for (const part of all) {
    writeLength(framed, at, part.byteLength)
    framed.set(part, at + LENGTH_BYTES)
    at += LENGTH_BYTES + part.byteLength
  }
  if (key === null) sodium.crypto_generichash(out, framed)
  else sodium.crypto_generichash(out, framed, key)
  framed.fill(0) // a part may be a secret
}

function hashInPlace(out: Uint8Array, key: Uint8Array | null, all: readonly Uint8Array[]): void {
  const framed = all.flatMap((part) => {
    const length = b4a.alloc(LENGTH_BYTES)
    writeLength(length, 0, part.byteLength)
    return [length, part]
  })
  if (key === null) sodium.crypto_generichash_batch(out, framed)
  else sodium.crypto_generichash_batch(out, framed, key)
}

/** Big-endian. */
function writeLength(bytes: Uint8Array, at: number, length: number): void {
  for (let i = 0; i < LENGTH_BYTES; i++) bytes[at + i] = length >>> (24 - 8 * i)
}

/** The ed25519 key pair of a purpose, derived from a device's seed: the seed is all that has to be kept. */
export function deriveKeyPair(
  seed: Uint8Array,
  context: string,
  ...parts: readonly Uint8Array[]
): KeyPair {
  const publicKey = b4a.alloc(32)
  const secretKey = b4a.alloc(64)
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, keyedHash(seed, context, ...parts))
  return { publicKey, secretKey }
}

/** Ed25519 over the hash of context and parts: 32 bytes, which no signature of a log covers. */
export function sign(
  secretKey: Uint8Array,
  context: string,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  const signature = b4a.alloc(sodium.crypto_sign_BYTES)
  sodium.crypto_sign_detached(signature, hash(context, ...parts), secretKey)
  return signature
}

/** Whether `sign` made it. False for whatever is no signature and no key. */
export function isSigned(
  signature: Uint8Array,
  publicKey: Uint8Array,
  context: string,
  ...parts: readonly Uint8Array[]
): boolean {
  return sodium.crypto_sign_verify_detached(signature, hash(context, ...parts), publicKey)
}

/** What it takes to make a passphrase into a key again. */
export interface PassphraseHash {
  readonly algorithm: 'argon2id13'
  readonly opslimit: number
  readonly memlimit: number
  readonly salt: Uint8Array
}

/** Libsodium's "interactive" limits: about a tenth of a second and 64 MiB per guess. */
export function newPassphraseHash(): PassphraseHash {
  return {
    algorithm: 'argon2id13',
    opslimit: sodium.crypto_pwhash_OPSLIMIT_INTERACTIVE,
    memlimit: sodium.crypto_pwhash_MEMLIMIT_INTERACTIVE,
    salt: randomBytes(sodium.crypto_pwhash_SALTBYTES)
  }
}

/** Normalised first: keyboards differ in the code points they make for one letter. */
export async function passphraseToKey(
  passphrase: string,
  params: PassphraseHash
): Promise<Uint8Array> {
  const key = b4a.alloc(sodium.crypto_secretbox_KEYBYTES)
  const typed = b4a.from(passphrase.normalize('NFKC'))
  await sodium
    .crypto_pwhash_async(
      key,
      typed,
      b4a.from(params.salt),
      params.opslimit,
      params.memlimit,
      sodium.crypto_pwhash_ALG_ARGON2ID13
    )
    .finally(() => typed.fill(0))
  return key
}

/** XChaCha20-Poly1305 with associated bytes: the box, then its tag (16 bytes). @param nonce once under one key; up to 24 bytes */
export function sealWith(
  plain: Uint8Array,
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array
): Uint8Array {
  const sealed = b4a.alloc(plain.byteLength + AEAD_TAG_BYTES)
  const box = sealed.subarray(0, plain.byteLength)
  const tag = sealed.subarray(plain.byteLength)
  const full = fullNonce(nonce)
  sodium.crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
    box,
    tag,
    plain,
    associated,
    null,
    full,
    key
  )
  return sealed
}

/** The plain bytes, or null when key, nonce, associated bytes or the box are not what was sealed. */
export function openWith(
  sealed: Uint8Array,
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array
): Uint8Array | null {
  if (sealed.byteLength < AEAD_TAG_BYTES) return null
  const plain = b4a.alloc(sealed.byteLength - AEAD_TAG_BYTES)
  const box = sealed.subarray(0, plain.byteLength)
  const tag = sealed.subarray(plain.byteLength)
  const full = fullNonce(nonce)
  try {
    sodium.crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
      plain,
      null,
      box,
      tag,
      associated,
      full,
      key
    )
    return plain
  } catch {
    return null // changed
  }
}

function fullNonce(nonce: Uint8Array): Uint8Array {
  const full = b4a.alloc(AEAD_NONCE_BYTES)
  full.set(nonce)
  return full
}

/** Nonce (24 bytes) and XSalsa20-Poly1305 box. */
export function sealBox(plain: Uint8Array, key: Uint8Array): Uint8Array {
  const nonce = randomBytes(sodium.crypto_secretbox_NONCEBYTES)
  const box = b4a.alloc(plain.byteLength + sodium.crypto_secretbox_MACBYTES)
  sodium.crypto_secretbox_easy(box, plain, nonce, key)
  return b4a.concat([nonce, box])
}

/** The plain bytes, or null when the key is wrong or a byte was changed. */
export function openBox(sealed: Uint8Array, key: Uint8Array): Uint8Array | null {
  const overhead = sodium.crypto_secretbox_NONCEBYTES + sodium.crypto_secretbox_MACBYTES
  if (sealed.byteLength < overhead) return null
  const nonce = sealed.subarray(0, sodium.crypto_secretbox_NONCEBYTES)
  const plain = b4a.alloc(sealed.byteLength - overhead)
  const isOpen = sodium.crypto_secretbox_open_easy(
    plain,
    sealed.subarray(sodium.crypto_secretbox_NONCEBYTES),
    nonce,
    key
  )
  return isOpen ? plain : null
}
