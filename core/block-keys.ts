/**
 * What the blocks of logs are encrypted with. An *epoch* is a key and the time it serves: a log has blocks of several, one after the
 * other or mixed, and each block names its own by the first bytes of what the key hashes to.
 */
import b4a from 'b4a'
import sodium from 'sodium-universal'

export const EPOCH_ID_BYTES = 8

export interface BlockKey {
  /** Names the epoch: the first 8 bytes of what its key hashes to. */
  readonly id: Uint8Array
  /** 32 bytes. */
  readonly key: Uint8Array
}

/** What the blocks of a log are sealed with. */
export interface BlockKeys {
  /** What new blocks are sealed with. @throws NO_EPOCH_KEY where there is none that may be used */
  current(): BlockKey
  /** Sees to it, where it can, that there is one; undefined where there is nothing to wait for. Called before each append. */
  prepare?(): Promise<void> | undefined
  /** Null where it is not here (yet); once it is, the same for good. */
  find(id: Uint8Array): Uint8Array | null
  /** Called when `find` may answer differently. @returns ends that */
  onchange(listener: () => void): () => void
}

/** How the blocks of a space's logs are encrypted. */
export interface LogEncryption {
  /** The space's address. */
  readonly space: Uint8Array
  readonly keys: BlockKeys
}

/** One key for good. */
export function constantKeys(key: Uint8Array): BlockKeys {
  const current = blockKey(key)
  return {
    current: () => current,
    find: (id) => (b4a.equals(id, current.id) ? key : null),
    onchange: () => () => {}
  }
}

export function blockKey(key: Uint8Array): BlockKey {
  return { id: epochHash(key).subarray(0, EPOCH_ID_BYTES), key }
}

/** BLAKE2b-256 of an epoch's key: all of it stands in the membership records, the first bytes in each block. */
export function epochHash(key: Uint8Array): Uint8Array {
  const out = b4a.alloc(32)
  sodium.crypto_generichash_batch(out, [key])
  return out
}
