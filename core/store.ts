/**
 * The device's store, as the rest sees it: its keys, its own logs to append to, others' logs to read, and a small state file.
 * Where it lives (a folder, later IndexedDB) is the door's business: core/native makes one over a folder.
 */
import type Corestore from 'corestore'
import Hypercore, { type KeyPair, type Manifest } from 'hypercore'
import { ManyhandsError } from '../errors.ts'
import type { Pin } from './archive.ts'
import { BlockCipher, cipherOf } from './block-cipher.ts'
import type { LogEncryption } from './block-keys.ts'
import type { BlockRange } from './tree/ranges.ts'
import { isWaitingForKey } from './tree/refusal.ts'
import { TreeWriter, type TreePut, type TreeWrite } from './tree/writer.ts'
import type { OrderedStore } from './ordered-store.ts'
import type { Work } from './progress.ts'
import { deriveKeyPair, sign } from './crypto.ts'

/** How far an acknowledged write is safe. */
export type Durability =
  /** Survives a killed process; a power cut may take the last moments. */
  | 'os'
  /** Survives a power cut: each group of writes waits for the disk. */
  | 'disk'

/** What must never reach the stack's files or the network in clear. */
export interface Secrets {
  /** 32 bytes from which every key pair of this device is derived. */
  readonly seed: Uint8Array
  readonly identity: IdentitySecrets
  readonly spaces: readonly SpaceSecrets[]
  /** What people are called on this device, by identity in hex. Whom somebody knows is nobody's business. */
  readonly petnames: ReadonlyMap<string, string>
  /** Devices of this person, in hex, whose rights were ended here in all spaces: none is let in by itself. */
  readonly revoked: ReadonlySet<string>
}

/** Whose device this is. */
export interface IdentitySecrets {
  /** The identity's word for this device (identity/proof.ts). */
  readonly attestation: Uint8Array
  /** What its 24 words say; null where they were never on this device, or were forgotten. */
  readonly entropy: Uint8Array | null
}

export interface SpaceSecrets {
  readonly address: Uint8Array
  readonly membershipKey: Uint8Array
  /** Distinguishes this device's logs of this space; random, so that two spaces' logs cannot be told to be one device's. */
  readonly salt: Uint8Array
  /**
   * One more for each time that it went on under new logs, the newest last. Random as well: a copy of the store that does the same
   * comes to other logs.
   */
  readonly later: readonly Uint8Array[]
  /** Keys that its content is encrypted under, in the order in which they came here. */
  readonly epochs: readonly Uint8Array[]
}

/** What may be read by anyone with access to the folder. */
export interface SpaceRecord {
  readonly address: Uint8Array
  readonly name: string
  /** Devices that connect add each other. */
  readonly open: boolean
  /** Blocks are fetched when read, not ahead. */
  readonly sparse: boolean
  /** Its logs are encrypted. */
  readonly encrypted: boolean
  /** Data cores of the other devices, as they were added. */
  readonly writers: readonly Uint8Array[]
  /** Membership logs of the other devices, as they were met. */
  readonly acl: readonly Uint8Array[]
}

/** One contract suite for all of them: test/contract/storage.ts. After `close` every method rejects with DEVICE_CLOSED. */
export interface DeviceStore extends AsyncDisposable {
  readonly durability: Durability
  readonly keyPair: KeyPair
  readonly secrets: Secrets
  readonly spaces: readonly SpaceRecord[]
  /** What people call this device, once it was said. */
  readonly name: string | null
  /** Why this device went on under new logs since the store was opened, or null. */
  readonly rolledBack: string | null
  /** Whether a passphrase protects its keys. */
  readonly hasPassphrase: boolean
  /** Wraps the keys anew. @param to null: they lie open from now on @throws PASSPHRASE_REQUIRED, PASSPHRASE_WRONG */
  changePassphrase(from: string | null, to: string | null): Promise<void>
  /** Forgets all keys, until `unlock`; until then what needs one rejects with DEVICE_LOCKED. All logs are to be closed. @throws PASSPHRASE_UNSET */
  lock(): Promise<void>
  /** @throws PASSPHRASE_WRONG */
  unlock(passphrase: string): Promise<void>
  saveSecrets(secrets: Secrets): Promise<void>
  saveSpaces(spaces: readonly SpaceRecord[]): Promise<void>
  saveName(name: string): Promise<void>
  /**
   * Our own log of a purpose; the same purpose and salt give the same log. One that is `lost` can only be read.
   * @param encryption of its blocks; null leaves them as they are
   */
  ownLog(purpose: string, salt: Uint8Array, encryption: LogEncryption | null): Promise<OwnLog>
  /**
   * From now on this device's logs of a space are new ones. Durable before anything can be written to them.
   * @param why the old ones cannot be trusted; null where they are sound
   */
  succeed(space: Uint8Array, why: string | null): Promise<void>
  /** Somebody's log, to read. Close the session when done. @param encryption null gives blocks as they are stored */
  remoteLog(key: Uint8Array, encryption: LogEncryption | null): Promise<Hypercore>
  /**
   * The first blocks of a log, as far as they are here as a log of their own. Close the session when done.
   * @param log the log that they were written to
   */
  archiveLog(pin: Pin, log: Uint8Array, encryption: LogEncryption | null): Promise<Hypercore>
  /** The store of a space's local index: derived data, empty when it was deleted or could not be read. Closed by its user. */
  openIndex(space: Uint8Array): Promise<OrderedStore>
  /** Why one of our logs is not what it was, compared with what was marked of it; null when it is sound. */
  checkLog(log: OwnLog): Promise<string | null>
  /** Bytes on the disk of everything that is stored here. */
  bytes(): Promise<number>
  /** Gives back to the disk what was overwritten and cleared. Costs rewriting what is left. */
  compact(): Promise<void>
  /** Forgets the local index of a space that was left. */
  dropIndex(space: Uint8Array): Promise<void>
  /** Frees the blocks of a log that nobody here reads any more. */
  clearLog(key: Uint8Array): Promise<void>
  /**
   * One archive of all spaces and logs, in pieces; what is restored of it is a new device.
   * @param passphrase wraps the keys of the spaces, null leaves them open, and with them the data
   */
  backup(options: { readonly passphrase: string | null } & Work): AsyncIterable<Uint8Array>
  /** Waits for appends under way. Idempotent. Nothing keeps the process alive afterwards. */
  close(): Promise<void>
}

/** What a door adds around each append. */
export interface AppendGuard {
  /** Throws when nothing may be appended. */
  before(): void
  /** Resolves when the append is as safe as promised, or where that is asked for, on the disk. */
  after(core: Hypercore, isForDisk: boolean): Promise<void>
  /** Takes note, durably, that these blocks will be missing on purpose. */
  beforeClear(core: Hypercore, ranges: readonly BlockRange[]): Promise<void>
  /** Our error for a failed append. */
  explain(error: unknown): Promise<unknown>
}

/** One of our own logs, that only this device appends to: a bee, or records. */
export class OwnLog {
  readonly core: Hypercore
  readonly tree: TreeWriter
  /** Why this is not all that was written to it, so that nothing may be appended ever again; null where it is. */
  readonly lost: string | null
  readonly #guard: AppendGuard
  #appending: Promise<unknown> = Promise.resolve()
  #isAppending = false
  /** How much of it others had, when that was stored last. */
  #known: number
  /** The blocks of the last appends that followed each other without any of somebody else's. */
  #written = { start: 0, end: 0 }

  constructor(core: Hypercore, guard: AppendGuard, lost: string | null = null) {
    this.core = core
    this.tree = new TreeWriter(core)
    this.lost = lost
    this.#guard = guard
    this.#known = core.remoteContiguousLength
    core.on('append', () => this.#passOverHints())
  }

  /** What its signatures are checked with; `logKeyOf` tells the log from it. */
  get publicKey(): Uint8Array {
    return this.#keyPair.publicKey
  }

  /** Proves that the writer of this log says something. The context keeps purposes, and appends, apart. */
  sign(context: string, ...parts: readonly Uint8Array[]): Uint8Array {
    return sign(this.#keyPair.secretKey, context, ...parts)
  }

  /** Appends one batch, whole or not at all; resolves when it is as durable as the store promises. Callers take turns. */
  append(puts: readonly TreeWrite[]): Promise<number> {
    return this.#inTurn(() => {
      this.#checkAlone()
      return this.tree.append(puts)
    })
  }

  /** As `append`, into a tree that begins empty (TreeWriter.rewrite). */
  rewrite(puts: readonly TreePut[]): Promise<number> {
    return this.#inTurn(() => {
      this.#checkAlone()
      return this.tree.rewrite(puts)
    })
  }

  /** Appends one block that is no batch of a tree, onto the disk: for logs of records, of which there are few, and others rest on each. */
  appendBlock(block: Uint8Array): Promise<number> {
    return this.#inTurn(async () => (await this.core.append(block)).length, true)
  }

  /** Throws what an append would be refused with. */
  check(): void {
    this.#guard.before()
    this.#checkAlone()
    const keys = cipherOf(this.core)?.keys
    if (keys?.prepare === undefined) keys?.current()
  }

  /** Whether this object wrote the blocks from one length to another: nothing of them is news here. */
  hasWritten(from: number, to: number): boolean {
    return from >= this.#written.start && to <= this.#written.end
  }

  /** To be called before blocks of this log are cleared. */
  async beforeClear(ranges: readonly BlockRange[]): Promise<void> {
    await this.#guard.beforeClear(this.core, ranges)
  }

  get #keyPair(): KeyPair {
    const { keyPair } = this.core
    if (keyPair === null) throw new ManyhandsError('READ_ONLY', 'The log has no key pair')
    return keyPair
  }

  /** Opened again, with all of it fetched, the log can be written on. */
  #checkAlone(): void {
    if (this.tree.isAlone) return
    const why = 'others have more of its log than it has written: its store was copied, or restored'
    throw new ManyhandsError('STORE_ROLLED_BACK', `Nothing can be written: ${why}`)
  }

  async #inTurn(write: () => Promise<number>, isForDisk = false): Promise<number> {
    this.#guard.before()
    if (this.lost !== null) throw new TypeError(`Appending would fork the log: ${this.lost}`)
    // A closed log is its user's mistake, not a failure of the store that would stop all other logs.
    if (this.core.closing !== null) throw new ManyhandsError('BEE_CLOSED', 'The log is closed')
    // Before anything is begun: without a key nothing can be written.
    const keys = cipherOf(this.core)?.keys
    const preparing = keys?.prepare?.()
    if (preparing !== undefined) await preparing
    keys?.current()
    const appending = this.#append(write, isForDisk)
    this.#appending = appending.catch(() => {}) // shown to the caller of this one
    return appending
  }

  /** Zeroes the secret key, of a log that is closed. */
  forgetKey(): void {
    this.core.keyPair?.secretKey.fill(0)
  }

  /** Waits for the append under way. */
  async settle(): Promise<void> {
    await this.#appending
  }

  async close(): Promise<void> {
    await this.settle()
    await this.core.close()
  }

  /**
   * The stack stores with an append how far the log is here without a gap, and then, in a write of its own that the append waits
   * for, the same again: a fifth of what an append costs. That is left out where nothing else is to be stored with it.
   */
  #passOverHints(): void {
    const { length, contiguousLength, remoteContiguousLength } = this.core
    const isNews = remoteContiguousLength !== this.#known
    this.#known = remoteContiguousLength
    if (this.#isAppending && !isNews && contiguousLength === length)
      this.core.core.hintsChanged = false
  }

  async #append(write: () => Promise<number>, isForDisk: boolean): Promise<number> {
    this.#isAppending = true
    try {
      const before = this.core.length
      const length = await write()
      const start = before === this.#written.end ? this.#written.start : before
      this.#written = { start, end: length }
      await this.#guard.after(this.core, isForDisk)
      return length
    } catch (error) {
      // Nothing that the store, or a disk, could be blamed for.
      if (isWaitingForKey(error)) {
        const message = 'This device cannot read its own log: the key of its blocks is not here'
        throw new ManyhandsError('NO_EPOCH_KEY', message, { cause: error })
      }
      throw await this.#guard.explain(error)
    } finally {
      this.#isAppending = false
    }
  }
}

/** What a device is known by, and connects with. */
export function deviceKeyPair(seed: Uint8Array): KeyPair {
  return deriveKeyPair(seed, 'manyhands/device')
}

/** What this device's logs of a space are derived with, the first ones first. */
export function saltsOf({
  salt,
  later
}: Pick<SpaceSecrets, 'salt' | 'later'>): readonly Uint8Array[] {
  return [salt, ...later]
}

/** The key of one of our logs; the log is not opened. */
export function ownLogKey(seed: Uint8Array, purpose: string, salt: Uint8Array): Uint8Array {
  return logKeyOf(deriveKeyPair(seed, `manyhands/log/${purpose}`, salt).publicKey)
}

/** The key of the log that the holder of a key pair writes. */
export function logKeyOf(publicKey: Uint8Array): Uint8Array {
  return Hypercore.key(ownManifest({ publicKey }))
}

function ownManifest({ publicKey }: Pick<KeyPair, 'publicKey'>): Manifest {
  return { version: 1, signers: [{ publicKey }] }
}

/** As hyperbee2 asks for its own cores: as many requests in flight as its small reads need. */
const INFLIGHT_RANGE: [number, number] = [256, 512]

/**
 * Opens one of our logs by its manifest. The key pair is set on the session afterwards: so the stack signs with it but never
 * stores it.
 */
export async function openOwnCore(
  corestore: Corestore,
  seed: Uint8Array,
  purpose: string,
  salt: Uint8Array,
  encryption: LogEncryption | null
): Promise<Hypercore> {
  const keyPair = deriveKeyPair(seed, `manyhands/log/${purpose}`, salt)
  const manifest = ownManifest(keyPair)
  const key = Hypercore.key(manifest)
  const core = corestore.get({
    key,
    manifest,
    allowFork: false,
    inflightRange: INFLIGHT_RANGE,
    encryption: cipherFor(key, encryption)
  })
  await core.ready()
  core.setKeyPair(keyPair)
  return core
}

export async function openRemoteCore(
  corestore: Corestore,
  key: Uint8Array,
  encryption: LogEncryption | null
): Promise<Hypercore> {
  const core = corestore.get({
    key,
    allowFork: false,
    inflightRange: INFLIGHT_RANGE,
    encryption: cipherFor(key, encryption)
  })
  await core.ready()
  return core
}

function cipherFor(log: Uint8Array, encryption: LogEncryption | null): BlockCipher | null {
  return encryption === null ? null : new BlockCipher(encryption, log)
}

/** What a log hashes to as it is. The stack's own `treeHash` first fetches the last block: for one that is not here it would wait. */
export function treeHashOf(core: Hypercore): Promise<Uint8Array> {
  return Hypercore.treeHashFromStorage(core, core.length)
}

/** No log may follow a truncation by its writer, those included that the stack opens by itself for a peer. */
export function forbidForks(corestore: Corestore): void {
  corestore.watch((core) => {
    core.replicator.allowFork = false
  })
}
