/**
 * Encrypts the blocks of one log: XChaCha20-Poly1305 with a random nonce, in front of it what it takes to open the block.
 *
 *     block = version u8, epoch id 8 B, nonce 24 B, tag 16 B, ciphertext
 *
 * Hypercore's own encryption derives the nonce from the block's number and the log's fork, so that two histories of one log (a copied
 * store, a restored backup) encrypt different blocks alike, and it has no tag: a wrong key gives garbage. Here each block is bound to
 * its space, its log and its place by the associated data. The log is the one that the block was written to, not the one that it is
 * read from: an archive holds the same bytes under another key.
 *
 * As a provider, Hypercore calls it for single blocks, which then have 49 bytes of room in front. Whoever reads blocks in bulk past
 * Hypercore calls `plainBlock`. Both open a block where it stands: a second piece of memory for each block costs a third of what the
 * cipher itself takes. Byte by byte: docs/FORMAT.md, "Encrypted block".
 */
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import type { EncryptionProvider } from 'hypercore'
import sodium from 'sodium-universal'
import { EPOCH_ID_BYTES, type BlockKey, type BlockKeys, type LogEncryption } from './block-keys.ts'
import { TreeRefusal } from './tree/refusal.ts'

const VERSION = 1
const NONCE_BYTES = 24
const TAG_BYTES = 16
const ID_AT = 1
const NONCE_AT = ID_AT + EPOCH_ID_BYTES
const TAG_AT = NONCE_AT + NONCE_BYTES

/** What a block takes more than its content. */
const HEADER_BYTES = TAG_AT + TAG_BYTES

const CONTEXT = b4a.from('manyhands/block')
const SEQ_BYTES = 8

export class BlockCipher implements EncryptionProvider {
  readonly keys: BlockKeys
  /** Context, space, log, and the number of the block, which is set for each. */
  readonly #associated: Uint8Array
  readonly #seq: DataView
  /** The id and the key of the block that was opened last: most follow one of the same epoch. */
  #latest: BlockKey | null = null
  /** Of the block that is opened now: copying 40 bytes takes less than two more views of each block. */
  readonly #nonce = b4a.alloc(NONCE_BYTES)
  readonly #tag = b4a.alloc(TAG_BYTES)

  /** @param log the key of the log that the blocks were written to */
  constructor({ space, keys }: LogEncryption, log: Uint8Array) {
    this.keys = keys
    this.#associated = b4a.concat([CONTEXT, space, log, b4a.alloc(SEQ_BYTES)])
    const { buffer, byteOffset, byteLength } = this.#associated
    this.#seq = new DataView(buffer, byteOffset + byteLength - SEQ_BYTES, SEQ_BYTES)
  }

  padding(): number {
    return HEADER_BYTES
  }

  /** In place: the content stands behind the room for what comes in front of it. @throws NO_EPOCH_KEY */
  encrypt(seq: number, block: Uint8Array): void {
    const { id, key } = this.keys.current()
    const nonce = block.subarray(NONCE_AT, TAG_AT)
    const content = block.subarray(HEADER_BYTES)
    block[0] = VERSION
    block.set(id, ID_AT)
    sodium.randombytes_buf(nonce)
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
      content,
      block.subarray(TAG_AT, HEADER_BYTES),
      content,
      this.#associatedFor(seq),
      null,
      nonce,
      key
    )
  }

  /** In place; what is refused may be overwritten, too. @throws TreeRefusal */
  decrypt(seq: number, block: Uint8Array): void {
    this.open(seq, block)
  }

  /** The content, in the block's own memory, where it cannot be opened again. @throws TreeRefusal */
  open(seq: number, block: Uint8Array): Uint8Array {
    if (block.byteLength < HEADER_BYTES) throw new TreeRefusal('encryption-malformed', seq)
    if (block[0] !== VERSION) throw new TreeRefusal('encryption-unsupported', seq)
    const key = this.#keyOf(block)
    if (key === null) throw new TreeRefusal('no-epoch-key', seq)
    const content = block.subarray(HEADER_BYTES)
    copy(block, NONCE_AT, this.#nonce)
    copy(block, TAG_AT, this.#tag)
    try {
      sodium.crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
        content,
        null,
        content,
        this.#tag,
        this.#associatedFor(seq),
        this.#nonce,
        key
      )
    } catch (cause) {
      throw new TreeRefusal('encryption-forged', seq, cause)
    }
    return content
  }

  /** Whether a block waits for a key that is not here. */
  isWaiting(block: Uint8Array): boolean {
    return block.byteLength >= HEADER_BYTES && block[0] === VERSION && this.#keyOf(block) === null
  }

  #keyOf(block: Uint8Array): Uint8Array | null {
    if (this.#latest !== null && hasId(block, this.#latest.id)) return this.#latest.key
    const id = block.slice(ID_AT, NONCE_AT)
    const key = this.keys.find(id)
    if (key !== null) this.#latest = { id, key }
    return key
  }

  #associatedFor(seq: number): Uint8Array {
    this.#seq.setUint32(0, Math.floor(seq / 2 ** 32))
    this.#seq.setUint32(4, seq % 2 ** 32)
    return this.#associated
  }
}

function hasId(block: Uint8Array, id: Uint8Array): boolean {
  for (let i = 0; i < EPOCH_ID_BYTES; i++) if (block[ID_AT + i] !== id[i]) return false
  return true
}

function copy(from: Uint8Array, start: number, to: Uint8Array): void {
  for (let i = 0; i < to.byteLength; i++) to[i] = from[start + i] ?? 0
}

/** What a session of ours encrypts with; null where that is nothing, or nothing of ours. */
export function cipherOf({ encryption }: Hypercore): BlockCipher | null {
  return encryption instanceof BlockCipher ? encryption : null
}

/**
 * The content of a block as it is stored.
 * @param block memory that nobody else has: it is overwritten
 * @throws TreeRefusal
 */
export function plainBlock(
  core: Hypercore,
  seq: number,
  block: Uint8Array
): Uint8Array | Promise<Uint8Array> {
  const { encryption } = core
  if (encryption === null) return block
  if (encryption instanceof BlockCipher) return encryption.open(seq, block)
  return decrypted(core, encryption, seq, block)
}

/** By the encryption of somebody who brought logs of their own. */
async function decrypted(
  core: Hypercore,
  encryption: EncryptionProvider,
  seq: number,
  block: Uint8Array
): Promise<Uint8Array> {
  await encryption.decrypt(seq, block, core.core)
  return block.subarray(encryption.padding(core.core, seq))
}
