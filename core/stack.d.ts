/** Types for what we call of the Hypercore stack, which ships none. Nothing else of it may be used. */

declare module 'hypercore' {
  import type { Duplex } from 'streamx'
  import type { EventEmitter } from 'node:events'

  export interface KeyPair {
    publicKey: Uint8Array
    secretKey: Uint8Array
  }

  export interface Manifest {
    version: number
    quorum?: number
    signers: { publicKey: Uint8Array; namespace?: Uint8Array }[]
    prologue?: { hash: Uint8Array; length: number } | null
  }

  /** A node of a log's Merkle tree. */
  export interface TreeNodeHash {
    readonly index: number
    readonly size: number
    readonly hash: Uint8Array
  }

  /** What one peer sends another so that it can verify a block, or a longer log. */
  export interface Proof {
    readonly fork: number
    readonly block: {
      readonly index: number
      readonly value?: Uint8Array | null
      readonly nodes: readonly TreeNodeHash[]
    } | null
    readonly hash: null
    readonly seek: null
    readonly upgrade: {
      readonly start: number
      readonly length: number
      readonly nodes: readonly TreeNodeHash[]
      readonly additionalNodes: readonly TreeNodeHash[]
      readonly signature: Uint8Array
    } | null
    readonly manifest: Manifest | null
  }

  export interface GetOptions {
    wait?: boolean
    timeout?: number
    /** As it is stored. */
    raw?: boolean
    activeRequests?: unknown[]
  }

  /** What a session encrypts its blocks with. */
  export interface EncryptionProvider {
    /** How many bytes stand in front of a block's content. */
    padding(core: unknown, seq: number): number
    /** In place. */
    encrypt(seq: number, block: Uint8Array, fork: number, core: unknown): void | Promise<void>
    /** In place. */
    decrypt(seq: number, block: Uint8Array, core: unknown): void | Promise<void>
  }

  export interface Download {
    destroy(): void
  }

  /** A log as it stands: its newest signed length. */
  export interface CoreState {
    readonly fork: number
    readonly length: number
    /** Null of what nobody signs. */
    readonly signature: Uint8Array | null
  }

  export default class Hypercore extends EventEmitter {
    static key(manifest: Manifest): Uint8Array
    /** Rejects when the nodes that it is made of are not here. */
    static treeHashFromStorage(session: Hypercore, length: number): Promise<Uint8Array>
    static discoveryKey(key: Uint8Array): Uint8Array
    static destroyRequests(activeRequests: unknown[], error: Error | null): void
    static createProtocolStream(stream: unknown, options?: { keepAlive?: boolean }): Duplex
    readonly key: Uint8Array
    readonly discoveryKey: Uint8Array
    readonly length: number
    readonly contiguousLength: number
    /** What some peer was ever known to hold from the start on; its growth is the event 'remote-contiguous-length'. */
    readonly remoteContiguousLength: number
    readonly fork: number
    readonly opened: boolean
    readonly closing: Promise<void> | null
    readonly peers: readonly ReplicaPeer[]
    readonly core: {
      readonly opened: boolean
      /** What is known of how much there is, here and elsewhere, is to be stored; it is when an append has ended. */
      hintsChanged: boolean
      /** As when a peer has told of more. */
      updateRemoteContiguousLength(length: number): void
      /** Which blocks are here; -1 when there is none. */
      readonly bitfield: {
        findFirst(value: boolean, position: number): number
        findLast(value: boolean, position: number): number
        /** The page with a block; null where nothing of it is here. */
        getBitfield(seq: number): { readonly index: number; readonly bitfield: Uint32Array } | null
      }
      readonly state: CoreState & {
        readonly storage: {
          read(): {
            getBlock(seq: number): Promise<Uint8Array | null>
            /** Of a block, at twice its number. */
            getTreeNode(index: number): Promise<TreeNodeHash | null>
            tryFlush(): void
          }
          write(): {
            putTreeNode(node: TreeNodeHash): void
            putBitfieldPage(index: number, page: Uint32Array): void
            flush(): Promise<unknown>
          }
        }
      }
      readonly replicator: Replicator
      /** Into a core that begins with blocks of another. @throws where these, or their tree, are not all there */
      copyPrologue(from: CoreState): Promise<void>
    }
    ready(): Promise<void>
    close(): Promise<void>
    readonly keyPair: KeyPair | null
    /** Sessions of a session have it too. */
    readonly encryption: EncryptionProvider | null
    setKeyPair(keyPair: KeyPair): void
    get(seq: number, options?: GetOptions): Promise<Uint8Array | null>
    has(start: number, end?: number): Promise<boolean>
    append(blocks: Uint8Array | Uint8Array[]): Promise<{ length: number }>
    truncate(length: number): Promise<void>
    clear(start: number, end: number): Promise<unknown>
    treeHash(length?: number): Promise<Uint8Array>
    readonly manifest: Manifest | null
    proof(options: {
      block?: { index: number; nodes: number }
      upgrade?: { start: number; length: number }
    }): Promise<Proof>
    /** False when there was nothing to do. @throws when it proves nothing */
    applyProof(proof: Proof): Promise<boolean>
    missingNodes(index: number): Promise<number>
    update(options?: { wait?: boolean; force?: boolean }): Promise<boolean>
    download(range: { start: number; end: number }): Download
    replicate(mux: unknown): unknown
    /** @param preload further options; the session is not open before they have come */
    session(options?: { preload?: Promise<object> }): Hypercore
    setUserData(key: string, value: Uint8Array): Promise<void>
    getUserData(key: string): Promise<Uint8Array | null>
  }

  /** What a connected peer has told of its copy of a core. */
  export interface ReplicaPeer {
    readonly remotePublicKey: Uint8Array
    /** It has told its length at all. */
    readonly remoteSynced: boolean
    readonly remoteLength: number
    /** It was told that it can be brought further from here; else it does not ask. */
    readonly canUpgrade: boolean
    readonly remoteFork: number
    /** Our length, as it has heard of it. */
    readonly lengthAcked: number
    /** Whether it could be brought further from here; never fails. */
    _canUpgrade(remoteLength: number, remoteFork: number): Promise<boolean>
    readonly remoteContiguousLength: number
    /** Blocks it has told of one by one. */
    readonly remoteBitfield: { get(seq: number): boolean }
    readonly protomux: unknown
    readonly channel: { close(): void }
    /** Looks whether it can be brought further, and tells it if that is news; tells one that is as far our length. */
    signalUpgrade(): void
  }

  export interface Replicator {
    allowFork: boolean
    attached(mux: unknown): boolean
    attachTo(mux: unknown): void
    /** Takes no more; channels that are open stay. */
    detachFrom(mux: unknown): void
    /** `invalidData`: blocks of peers that were refused. */
    readonly stats: { readonly invalidData: number }
  }
}

declare module 'corestore' {
  import type Hypercore from 'hypercore'
  import type { EncryptionProvider, Manifest, Replicator } from 'hypercore'

  export interface CoreOptions {
    key?: Uint8Array
    name?: string
    manifest?: Manifest
    allowFork?: boolean
    active?: boolean
    wait?: boolean
    timeout?: number
    inflightRange?: [number, number]
    encryption?: EncryptionProvider | null
  }

  export default class Corestore {
    constructor(storage: unknown, options?: { readOnly?: boolean })
    ready(): Promise<void>
    close(): Promise<void>
    get(options: CoreOptions): Hypercore
    watch(listener: (core: { replicator: Replicator }) => void): void
  }
}

declare module 'hypercore-storage' {
  export default class CorestoreStorage {
    constructor(
      directory: string,
      options: { walRecoveryMode: number; allowBackup?: boolean; id?: string }
    )
    readonly db: {
      flush(): Promise<void>
      compactRange(
        start: null,
        end: null,
        options: {
          exclusive: boolean
          bottommostLevelCompaction: number
          blobGarbageCollectionPolicy: number
          blobGarbageCollectionAgeCutoff: number
        }
      ): Promise<void>
    }
    readonly rocks: { currentWalFile(): Promise<{ path: string }> }
    ready(): Promise<void>
    close(): Promise<void>
  }
}

declare module 'hyperbee2' {
  import type Hypercore from 'hypercore'

  export default class Hyperbee {
    constructor(
      store: unknown,
      options: { core: Hypercore; context: unknown; writable: boolean; autoUpdate: boolean }
    )
    readonly root: import('hyperbee2/lib/tree.js').TreeNodePointer
    ready(): Promise<void>
  }
}

declare module 'hyperbee2/lib/write.js' {
  import type Hyperbee from 'hyperbee2'
  import type { TreeNodePointer } from 'hyperbee2/lib/tree.js'

  export default class WriteBatch {
    constructor(
      tree: Hyperbee,
      options?: { deltaMax?: number; inlineValueSize?: number; preferredBlockSize?: number }
    )
    /** A block is full at this size. */
    get preferredBlockSize(): number
    set preferredBlockSize(size: number)
    /** While it is flushed. */
    readonly root: TreeNodePointer | null
    tryPut(key: Uint8Array, value: Uint8Array): void
    tryDelete(key: Uint8Array): void
    /** The tree begins empty, in the same core. */
    tryClear(): void
    flush(): Promise<void>
    /** Appends what was changed below the root; called by `flush`. */
    _flush(): Promise<void>
  }
}

declare module 'hyperbee2/lib/tree.js' {
  import type CoreContext from 'hyperbee2/lib/context.js'

  import type { AnyDelta, CompressedArray } from 'hyperbee2/lib/compression.js'

  export class Pointer {
    constructor(context: Pick<CoreContext, 'getBlock'>, core: number, seq: number, offset: number)
    readonly core: number
    readonly seq: number
    readonly offset: number
    /** By the write that is running. */
    readonly changed: boolean
  }

  export class ValuePointer extends Pointer {
    /** Of the context, only `getBlock` is used, and of the block `values`. */
    constructor(
      context: Pick<CoreContext, 'getBlock'>,
      core: number,
      seq: number,
      offset: number,
      split: number
    )
  }

  export class KeyPointer extends Pointer {
    constructor(
      context: CoreContext,
      core: number,
      seq: number,
      offset: number,
      changed: boolean,
      key: Uint8Array | null,
      value: Uint8Array | null,
      valuePointer: ValuePointer | null
    )
    /** Null only where we leave it open (core/tree/inflate.ts). */
    key: Uint8Array | null
    value: Uint8Array | null
    valuePointer: ValuePointer | null
  }

  export class TreeNode {
    constructor(
      t: number,
      keys: readonly AnyDelta<KeyPointer>[],
      children: readonly AnyDelta<TreeNodePointer>[]
    )
    readonly t: number
    readonly keys: CompressedArray<KeyPointer>
    readonly children: CompressedArray<TreeNodePointer>
  }

  export interface TreeNodePointer {
    readonly context: CoreContext
    readonly core: number
    readonly seq: number
    readonly offset: number
    readonly changed: boolean
    /** Null while the node is not in memory; hyperbee2 reads it again then. */
    value: TreeNode | null
    readonly retained: number
    inflating: Promise<TreeNode> | null
    unmark(): void
    /** It stays in memory until the write that is running, or else the next one, has ended. */
    retain(): void
  }

  export const EMPTY: TreeNodePointer
}

declare module 'hyperbee2/lib/compression.js' {
  import type { Pointer } from 'hyperbee2/lib/tree.js'

  export const OP_SET: number
  export const OP_INSERT: number
  export const OP_DEL: number
  export const OP_COHORT: number

  export class DeltaOp<P> {
    constructor(changed: boolean, type: number, index: number, pointer: P | null)
    readonly type: number
    readonly index: number
    readonly pointer: P | null
  }

  export type AnyDelta<P> = DeltaOp<P> | DeltaCohort<P>

  export interface CompressedArray<P> {
    readonly length: number
    readonly delta: readonly AnyDelta<P>[]
    get(index: number): P
    /** As the write that is running leaves it. */
    readonly ulength: number
    uget(index: number): P
  }

  export class DeltaCohort<P> {
    constructor(changed: boolean, pointer: Pointer, deltas: readonly DeltaOp<P>[])
    readonly type: number
    readonly pointer: Pointer
    readonly deltas: readonly DeltaOp<P>[]
  }
}

declare module 'hyperbee2/lib/cache.js' {
  import type { TreeNodePointer } from 'hyperbee2/lib/tree.js'

  export default class NodeCache {
    constructor(maxSize: number)
    bump(node: TreeNodePointer): void
    gc(): void
  }
}

declare module 'hyperbee2/lib/session-config.js' {
  export default class SessionConfig {
    constructor(
      activeRequests: unknown[],
      timeout: number,
      wait: boolean,
      trace: ((core: number, seq: number) => void) | null
    )
    readonly activeRequests: unknown[]
    readonly timeout: number
    readonly wait: boolean
  }
}

declare module 'hyperbee2/lib/encoding.js' {
  export interface BlockPointer {
    readonly core: number
    readonly seq: number
    readonly offset: number
  }

  export interface Delta {
    readonly type: number
    readonly index: number
    readonly pointer: BlockPointer | null
  }

  export interface BlockKey {
    /** Of unchecked blocks: null when it is empty. */
    readonly key: Uint8Array
    readonly value: Uint8Array | null
    readonly valuePointer: (BlockPointer & { readonly split: number }) | null
  }

  export interface Block {
    /** The tree's degree, as a node needs it. */
    readonly t: number
    readonly type: number
    readonly batch: { readonly start: number; readonly end: number }
    readonly tree:
      readonly { readonly keys: readonly Delta[]; readonly children: readonly Delta[] }[] | null
    readonly keys: readonly BlockKey[] | null
    readonly values: readonly Uint8Array[] | null
    readonly cohorts: readonly (readonly Delta[])[] | null
  }

  export const TYPE_LATEST: number
  export function decodeBlock(bytes: Uint8Array, seq: number): Block
}

declare module 'hyperbee2/lib/inflate.js' {
  import type SessionConfig from 'hyperbee2/lib/session-config.js'
  import type { KeyPointer } from 'hyperbee2/lib/tree.js'

  export function inflateValue(key: KeyPointer, config: SessionConfig): Promise<Uint8Array | null>
}

declare module 'hyperbee2/lib/context.js' {
  import type Hypercore from 'hypercore'
  import type NodeCache from 'hyperbee2/lib/cache.js'
  import type { Block } from 'hyperbee2/lib/encoding.js'
  import type SessionConfig from 'hyperbee2/lib/session-config.js'
  import type { TreeNode, TreeNodePointer } from 'hyperbee2/lib/tree.js'

  export default class CoreContext {
    constructor(
      store: unknown,
      local: Hypercore,
      cache: NodeCache,
      core: Hypercore,
      getEncryptionProvider: (key: Uint8Array | null) => unknown
    )
    readonly cache: NodeCache
    core: Hypercore
    local: Hypercore
    length: number
    createTreeNode(
      core: number,
      seq: number,
      offset: number,
      changed: boolean,
      value: TreeNode | null
    ): TreeNodePointer
    getBlock(seq: number, core: number, config: SessionConfig): Promise<Block>
    getCore(core: number): Hypercore
    update(config: SessionConfig): Promise<void>
    updateMaybe(config: SessionConfig, core: number): Promise<void>
  }
}

declare module 'sodium-universal' {
  const sodium: {
    readonly crypto_secretbox_KEYBYTES: number
    readonly crypto_secretbox_NONCEBYTES: number
    readonly crypto_secretbox_MACBYTES: number
    readonly crypto_pwhash_SALTBYTES: number
    readonly crypto_pwhash_OPSLIMIT_INTERACTIVE: number
    readonly crypto_pwhash_MEMLIMIT_INTERACTIVE: number
    readonly crypto_pwhash_ALG_ARGON2ID13: number
    randombytes_buf(out: Uint8Array): void
    crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
      box: Uint8Array,
      tag: Uint8Array,
      plain: Uint8Array,
      associated: Uint8Array,
      secretNonce: null,
      nonce: Uint8Array,
      key: Uint8Array
    ): void
    /** @throws where it was not made so */
    crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
      plain: Uint8Array,
      secretNonce: null,
      box: Uint8Array,
      tag: Uint8Array,
      associated: Uint8Array,
      nonce: Uint8Array,
      key: Uint8Array
    ): void
    crypto_generichash(out: Uint8Array, message: Uint8Array, key?: Uint8Array): void
    crypto_generichash_batch(out: Uint8Array, parts: readonly Uint8Array[], key?: Uint8Array): void
    crypto_sign_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void
    readonly crypto_sign_BYTES: number
    crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secretKey: Uint8Array): void
    crypto_sign_verify_detached(
      signature: Uint8Array,
      message: Uint8Array,
      publicKey: Uint8Array
    ): boolean
    readonly crypto_box_PUBLICKEYBYTES: number
    readonly crypto_box_SECRETKEYBYTES: number
    readonly crypto_box_SEALBYTES: number
    crypto_sign_ed25519_pk_to_curve25519(out: Uint8Array, publicKey: Uint8Array): void
    crypto_sign_ed25519_sk_to_curve25519(out: Uint8Array, secretKey: Uint8Array): void
    crypto_box_seal(box: Uint8Array, plain: Uint8Array, publicKey: Uint8Array): void
    crypto_box_seal_open(
      plain: Uint8Array,
      box: Uint8Array,
      publicKey: Uint8Array,
      secretKey: Uint8Array
    ): boolean
    crypto_pwhash_async(
      out: Uint8Array,
      passphrase: Uint8Array,
      salt: Uint8Array,
      opslimit: number,
      memlimit: number,
      algorithm: number
    ): Promise<void>
    crypto_secretbox_easy(
      box: Uint8Array,
      plain: Uint8Array,
      nonce: Uint8Array,
      key: Uint8Array
    ): void
    crypto_secretbox_open_easy(
      plain: Uint8Array,
      box: Uint8Array,
      nonce: Uint8Array,
      key: Uint8Array
    ): boolean
  }
  export default sodium
}

declare module 'fs-native-extensions' {
  const fsx: { tryLock(fd: number): boolean; unlock(fd: number): void }
  export default fsx
}

declare module 'hypercore/lib/caps.js' {
  const caps: {
    /** What the signer of a core signs. @param manifestHash the core's key */
    treeSignable(
      manifestHash: Uint8Array,
      treeHash: Uint8Array,
      length: number,
      fork: number
    ): Uint8Array
  }
  export default caps
}

declare module 'hypercore/lib/multisig.js' {
  const multisig: {
    inflate(signature: Uint8Array): {
      readonly proofs: readonly { readonly signature: Uint8Array }[]
    }
  }
  export default multisig
}

declare module 'hypercore-crypto' {
  import type { KeyPair, TreeNodeHash } from 'hypercore'

  const hypercoreCrypto: {
    /** What a block hashes to in a core's tree. */
    data(block: Uint8Array): Uint8Array
    parent(a: TreeNodeHash, b: TreeNodeHash): Uint8Array
    /** What a log with these roots hashes to. */
    tree(roots: readonly TreeNodeHash[]): Uint8Array
    verify(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean
    keyPair(seed: Uint8Array): KeyPair
    hash(parts: readonly Uint8Array[]): Uint8Array
    namespace(name: string, count: number): readonly Uint8Array[]
  }
  export default hypercoreCrypto
}

declare module 'z32' {
  const z32: { encode(bytes: Uint8Array): string; decode(text: string): Uint8Array }
  export default z32
}

declare module '@hyperswarm/secret-stream' {
  import type { Duplex } from 'streamx'
  import type { KeyPair } from 'hypercore'

  /** A Noise XX encrypted duplex. */
  export default class NoiseSecretStream extends Duplex {
    constructor(isInitiator: boolean, raw: unknown, options?: { keyPair?: KeyPair })
    readonly noiseStream: NoiseSecretStream
    readonly rawStream: Duplex
    readonly isInitiator: boolean
    readonly publicKey: Uint8Array
    readonly remotePublicKey: Uint8Array
    readonly handshakeHash: Uint8Array
    /** False when it was closed before it opened. */
    readonly opened: Promise<boolean>
    readonly keepAlive: number
    flush(): Promise<boolean>
    setKeepAlive(ms: number): void
    setTimeout(ms: number): void
    userData: unknown
  }
}

declare module 'protomux' {
  import type { Encoder } from 'compact-encoding'

  export interface Message<T> {
    send(message: T): boolean
  }

  export interface Channel<H> {
    readonly opened: boolean
    readonly closed: boolean
    open(handshake: H): void
    close(): void
    addMessage<T>(options: { encoding: Encoder<T>; onmessage(message: T): void }): Message<T>
  }

  export default class Protomux {
    static from(stream: unknown): Protomux
    /** One that opens without a word. */
    createChannel(options: { protocol: string; id: Uint8Array }): Channel<void> | null
    createChannel<H>(options: {
      protocol: string
      id: Uint8Array
      handshake: Encoder<H>
      onopen(handshake: H): void
      onclose(): void
      ondrain?(): void
    }): Channel<H> | null
    pair(
      options: { protocol: string; id?: Uint8Array },
      notify: (id: Uint8Array | null) => void | Promise<void>
    ): void
    unpair(options: { protocol: string; id?: Uint8Array }): void
  }
}

declare module 'hyperdht' {
  export default class HyperDHT {
    constructor(options: object)
    /** Who announces a topic. */
    lookup(
      topic: Uint8Array
    ): AsyncIterable<{ readonly peers: readonly { readonly publicKey: Uint8Array }[] }>
    mutableGet(
      publicKey: Uint8Array,
      options: { readonly latest: boolean }
    ): Promise<{ readonly value: Uint8Array } | null>
    destroy(): Promise<void>
  }
}

declare module 'hyperdht/testnet.js' {
  export default function createTestnet(
    size?: number,
    options?: { host?: string; port?: number }
  ): Promise<{
    readonly bootstrap: { host: string; port: number }[]
    destroy(): Promise<void>
  }>
}

declare module 'hyperswarm' {
  import type { EventEmitter } from 'node:events'
  import type { KeyPair } from 'hypercore'
  import type NoiseSecretStream from '@hyperswarm/secret-stream'
  import type HyperDHT from 'hyperdht'

  export interface Discovery {
    flushed(): Promise<boolean>
    refresh(): Promise<void>
    destroy(): Promise<void>
  }

  export default class Hyperswarm extends EventEmitter {
    constructor(options: { keyPair: KeyPair; dht: HyperDHT })
    readonly connections: Set<NoiseSecretStream>
    on(event: 'connection', listener: (stream: NoiseSecretStream) => void): this
    join(topic: Uint8Array): Discovery
    destroy(): Promise<void>
  }
}

declare module 'keet-identity-key' {
  import type { KeyPair } from 'hypercore'
  import type { IdentityProof } from 'keet-identity-key/lib/encoding.js'

  export default class IdentityKey {
    readonly identityKeyPair: KeyPair
    static deriveSeed(mnemonic: string): Promise<Uint8Array>
    static from(secret: { readonly seed: Uint8Array }): Promise<IdentityKey>
    /** @param proof changed by it; bytes are not */
    static attestDevice(
      device: Uint8Array,
      parent: KeyPair,
      proof: Uint8Array | IdentityProof
    ): Uint8Array
    static verify(
      proof: Uint8Array,
      data: null,
      options: { readonly expectedIdentity: Uint8Array; readonly expectedDevice: Uint8Array }
    ): object | null
    /** Zeroes what it keeps. */
    clear(): void
  }
}

declare module 'keet-identity-key/lib/encoding.js' {
  import type { Encoder } from 'compact-encoding'

  export interface IdentityProof {
    version: number
    epoch: number
    /** Null in a version that is not supported. */
    identity: Uint8Array | null
    chain: { publicKey: Uint8Array; signature: Uint8Array }[]
    data?: { signature: Uint8Array } | null
  }
  const encodings: { readonly ProofEncoding: Encoder<IdentityProof> }
  export default encodings
}

declare module 'bip39-mnemonic' {
  const bip39: {
    entropyToMnemonic(entropy: Uint8Array): string
    mnemonicToEntropy(mnemonic: string): Uint8Array
  }
  export default bip39
}

declare module 'bip39-mnemonic/wordlist/index.js' {
  const wordlist: { loadWordlist(language: 'english'): readonly string[] }
  export default wordlist
}
