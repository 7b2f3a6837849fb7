/**
 * A device's store in a folder:
 *
 *     manyhands.json     says what the folder is, and the format version
 *     lock               held by the one process that owns the store; its pid inside
 *     keys.json          the keystore (keystore.ts)
 *     spaces.json        the spaces this device is in, and their writers
 *     high-water.json    how long our own logs were (high-water.ts)
 *     running            the boot in which the store was opened; removed by a clean close
 *     logs/              the corestore: all logs, ours and others'
 *
 * Opening decides whether our own logs can still be appended to (DESIGN section 10): `rolledBack`.
 */
import { mkdir, readdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import Corestore from 'corestore'
import type Hypercore from 'hypercore'
import type { KeyPair } from 'hypercore'
import CorestoreStorage from 'hypercore-storage'
import { isManyhandsError, ManyhandsError } from '../../errors.ts'
import { deriveKeyPair } from '../crypto.ts'
import {
  forbidForks,
  openOwnCore,
  openRemoteCore,
  OwnLog,
  type AppendGuard,
  type DeviceStore,
  type Durability,
  type Secrets,
  type SpaceRecord
} from '../store.ts'
import { bootId } from './boot.ts'
import { DiskSync } from './disk-sync.ts'
import { hasCode, readFileIfAny, removeFile, writeFileAtomic } from './files.ts'
import { HighWater } from './high-water.ts'
import { Keystore } from './keystore.ts'
import { StoreLock } from './lock.ts'
import { decodeSpaces, encodeSpaces } from './spaces-file.ts'

export interface StoreOptions {
  /** Protects the keystore; asked for again at each open. */
  readonly passphrase?: string | null
  /** Default 'os'. */
  readonly durability?: Durability
}

const LABEL = { format: 'manyhands-store', version: 1 }

/** With less free than this, a write that failed failed for lack of space: RocksDB's log grows in larger steps. */
const FULL_BELOW_BYTES = 1024 * 1024

/** Opens the store in `folder`, made if it is not there. Errors: every STORE_ and PASSPHRASE_ code (docs/ERRORS.md). */
export async function openStore(folder: string, options: StoreOptions = {}): Promise<DeviceStore> {
  return explained(folder, async () => {
    const isNew = await inspectFolder(folder)
    const lock = await StoreLock.acquire(join(folder, 'lock'))
    try {
      if (isNew) await writeFileAtomic(join(folder, 'manyhands.json'), `${JSON.stringify(LABEL)}\n`)
      return await FolderStore.open(folder, lock, options)
    } catch (error) {
      await lock.release()
      throw error
    }
  })
}

/** Whether the folder (made if it is not there) is still to be labelled. Writes nothing into somebody else's. */
async function inspectFolder(folder: string): Promise<boolean> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const text = await readFileIfAny(join(folder, 'manyhands.json'))
  if (text !== null) {
    checkLabel(folder, text)
    return false
  }
  // A first open that was killed leaves these at most.
  const strange = (await readdir(folder)).filter(
    (name) => !['lock', 'manyhands.json.new'].includes(name)
  )
  if (strange.length === 0) return true
  throw new ManyhandsError(
    'STORE_FOREIGN',
    `The folder ${folder} holds something else (${strange[0]})`
  )
}

function checkLabel(folder: string, text: string): void {
  const label = JSON.parse(text) as Partial<typeof LABEL>
  if (label.format !== LABEL.format) {
    throw new ManyhandsError('STORE_FOREIGN', `The folder ${folder} belongs to something else`)
  }
  if (label.version !== LABEL.version) {
    throw new ManyhandsError('STORE_UNSUPPORTED', `The store has format version ${label.version}`)
  }
}

/** The system's errors as ours. */
async function explained<T>(folder: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (cause) {
    if (hasCode(cause, 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST')) {
      throw new ManyhandsError('STORE_UNWRITABLE', `The folder ${folder} cannot be written`, {
        cause
      })
    }
    if (cause instanceof SyntaxError) {
      throw new ManyhandsError('STORE_DAMAGED', `A file in ${folder} is damaged`, { cause })
    }
    throw (await isFull(folder, cause)) ? full(cause) : cause
  }
}

function full(cause: unknown): ManyhandsError {
  return new ManyhandsError('STORE_FULL', 'The disk is full', { cause })
}

/** RocksDB says only that a batch was not applied. */
async function isFull(folder: string, error: unknown): Promise<boolean> {
  if (hasCode(error, 'ENOSPC')) return true
  if (isManyhandsError(error)) return false
  const { bavail, bsize } = await statfs(folder).catch(() => ({ bavail: Infinity, bsize: 1 }))
  return bavail * bsize < FULL_BELOW_BYTES
}

class FolderStore implements DeviceStore {
  readonly durability: Durability
  readonly keyPair: KeyPair
  readonly #folder: string
  readonly #lock: StoreLock
  readonly #keystore: Keystore
  readonly #logs: Logs
  readonly #highWater: HighWater
  readonly #disk: DiskSync
  readonly #own = new Set<Hypercore>()
  readonly #guard: AppendGuard
  #spaces: readonly SpaceRecord[]
  #rolledBack: string | null
  #failure: ManyhandsError | null = null
  #closing: Promise<void> | null = null

  static async open(folder: string, lock: StoreLock, options: StoreOptions): Promise<FolderStore> {
    const { passphrase = null, durability = 'os' } = options
    const keystore = await openKeystore(folder, passphrase)
    const highWater = await HighWater.open(join(folder, 'high-water.json'))
    const spaces = decodeSpaces(await readFileIfAny(join(folder, 'spaces.json')))
    const logs = await openLogs(join(folder, 'logs'))
    const rolledBack = logs.isMoved
      ? 'the store was copied or moved here'
      : await beginRun(join(folder, 'running'), durability)
    return new FolderStore({
      folder,
      lock,
      keystore,
      highWater,
      logs,
      spaces,
      rolledBack,
      durability
    })
  }

  private constructor(parts: Parts) {
    this.durability = parts.durability
    this.#folder = parts.folder
    this.#lock = parts.lock
    this.#keystore = parts.keystore
    this.#highWater = parts.highWater
    this.#logs = parts.logs
    this.#spaces = parts.spaces
    this.#rolledBack = parts.rolledBack
    this.#disk = new DiskSync(parts.logs.storage)
    this.keyPair = deriveKeyPair(parts.keystore.secrets.seed, 'manyhands/device')
    this.#guard = {
      before: () => this.#checkAppend(),
      after: (core) => this.#afterAppend(core),
      explain: (error) => this.#explainAppend(error)
    }
  }

  get secrets(): Secrets {
    return this.#keystore.secrets
  }

  get spaces(): readonly SpaceRecord[] {
    return this.#spaces
  }

  get rolledBack(): string | null {
    return this.#rolledBack
  }

  saveSecrets(secrets: Secrets): Promise<void> {
    return explained(this.#folder, () => this.#keystore.save(secrets))
  }

  async saveSpaces(spaces: readonly SpaceRecord[]): Promise<void> {
    const path = join(this.#folder, 'spaces.json')
    await explained(this.#folder, () => writeFileAtomic(path, encodeSpaces(spaces)))
    this.#spaces = spaces
  }

  async ownLog(purpose: string, salt: Uint8Array): Promise<OwnLog> {
    const core = await openOwnCore(this.#logs.corestore, this.secrets.seed, purpose, salt)
    this.#rolledBack ??= await this.#highWater.check(core)
    this.#own.add(core)
    return new OwnLog(core, this.#guard)
  }

  remoteLog(key: Uint8Array): Promise<Hypercore> {
    return openRemoteCore(this.#logs.corestore, key)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    const isSound = this.#rolledBack === null && this.#failure === null
    await this.#highWater.settle()
    if (isSound) {
      await this.#logs.storage.db.flush()
      await this.#highWater.mark([...this.#own].filter((core) => core.closing === null))
    }
    await this.#logs.corestore.close()
    // A marker that stays says at the next open that this run did not end well.
    if (isSound) await removeFile(join(this.#folder, 'running'))
    await this.#lock.release()
  }

  #checkAppend(): void {
    if (this.#closing !== null) throw new ManyhandsError('DEVICE_CLOSED', 'The device is closed')
    if (this.#failure !== null) throw this.#failure
    if (this.#rolledBack === null) return
    throw new ManyhandsError('STORE_ROLLED_BACK', `Nothing can be written: ${this.#rolledBack}`)
  }

  async #afterAppend(core: Hypercore): Promise<void> {
    if (this.durability === 'disk') await this.#disk.sync()
    this.#highWater.note(core)
  }

  async #explainAppend(error: unknown): Promise<unknown> {
    if (isManyhandsError(error)) return error
    // After a failed write RocksDB takes no more until it is opened again.
    this.#failure = (await isFull(this.#folder, error))
      ? full(error)
      : new ManyhandsError('STORE_FAILED', 'The store failed to write', { cause: error })
    return this.#failure
  }
}

interface Parts {
  readonly folder: string
  readonly lock: StoreLock
  readonly keystore: Keystore
  readonly highWater: HighWater
  readonly logs: Logs
  readonly spaces: readonly SpaceRecord[]
  readonly rolledBack: string | null
  readonly durability: Durability
}

async function openKeystore(folder: string, passphrase: string | null): Promise<Keystore> {
  const path = join(folder, 'keys.json')
  const keystore = await Keystore.open(path, passphrase)
  if (keystore !== null) return keystore
  if ((await readdir(folder)).includes('logs')) {
    throw new ManyhandsError('STORE_IDENTITY_LOST', 'The store has logs, but its keystore is gone')
  }
  return Keystore.create(path, passphrase)
}

interface Logs {
  readonly storage: CorestoreStorage
  readonly corestore: Corestore
  /** The folder is not the one that the stack made: a copy, which must not write the same logs as the original. */
  readonly isMoved: boolean
}

async function openLogs(folder: string): Promise<Logs> {
  try {
    return await openCorestore(folder, false)
  } catch (error) {
    if (hasCode(error, 'DEVICE_FILE')) return openCorestore(folder, true)
    throw error
  }
}

async function openCorestore(folder: string, isMoved: boolean): Promise<Logs> {
  // Recovery mode 0 tolerates the torn end that a killed process leaves, and refuses damage before it. The stack's default
  // reopens shorter without a word.
  const storage = new CorestoreStorage(folder, { walRecoveryMode: 0, allowBackup: isMoved })
  try {
    const corestore = new Corestore(storage)
    await corestore.ready()
    forbidForks(corestore)
    return { storage, corestore, isMoved }
  } catch (cause) {
    await storage.close().catch(() => {}) // half open: what failed is in `cause`
    if (hasCode(cause, 'DEVICE_FILE')) throw cause
    if (!isCorruption(cause)) throw cause
    throw new ManyhandsError('STORE_DAMAGED', 'The logs of this store are damaged', { cause })
  }
}

function isCorruption(error: unknown): boolean {
  return error instanceof Error && /corruption|EIO|IO error/i.test(error.message)
}

/** Marks the store as open in this boot. Returns why the last run's tails are suspect, or null. */
async function beginRun(path: string, durability: Durability): Promise<string | null> {
  const run = { boot: await bootId(), durability }
  const text = await readFileIfAny(path)
  const last = text === null ? null : (JSON.parse(text) as typeof run)
  const isSuspect = last !== null && last.boot !== run.boot && last.durability !== 'disk'
  // The old marker stays: these logs are never appended to again.
  if (isSuspect)
    return 'the machine stopped while the store was open, so its last writes may be lost'
  await writeFileAtomic(path, `${JSON.stringify(run)}\n`)
  return null
}
