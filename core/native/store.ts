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
import { mkdir, readdir, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import Corestore from 'corestore'
import type Hypercore from 'hypercore'
import type { KeyPair } from 'hypercore'
import CorestoreStorage from 'hypercore-storage'
import { invalid, isManyhandsError, ManyhandsError } from '../../errors.ts'
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
import {
  hasCode,
  readFileIfAny,
  removeFile,
  syncFile,
  syncFolder,
  writeFileAtomic
} from './files.ts'
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
  await makeFolder(folder)
  // The names first: another process may be making the store just now, and it writes the label before anything else.
  const names = await readdir(folder)
  const text = await readFileIfAny(join(folder, 'manyhands.json'))
  if (text !== null) {
    checkLabel(folder, text)
    return false
  }
  // A first open that was killed leaves these at most.
  const strange = names.filter((name) => !['lock', 'manyhands.json.new'].includes(name))
  if (strange.length === 0) return true
  throw new ManyhandsError(
    'STORE_FOREIGN',
    `The folder ${folder} holds something else (${strange[0]})`
  )
}

/** Makes the folders that are missing on the way, and puts their names on the disk. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  const top = dirname(resolve(first))
  for (let path = resolve(folder); path !== top; path = dirname(path)) {
    await syncFolder(dirname(path))
  }
}

function checkLabel(folder: string, text: string): void {
  const label = JSON.parse(text) as Partial<typeof LABEL> | null
  if (label?.format !== LABEL.format) {
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
    if (isRefusedBySystem(cause)) {
      throw new ManyhandsError('STORE_UNWRITABLE', `The folder ${folder} cannot be written`, {
        cause
      })
    }
    if (hasCode(cause, 'ERR_INVALID_ARG_VALUE')) invalid('folder', 'a path', folder)
    if (cause instanceof SyntaxError) {
      throw new ManyhandsError('STORE_DAMAGED', `A file in ${folder} is damaged`, { cause })
    }
    throw (await isFull(folder, cause)) ? full(cause) : cause
  }
}

/** RocksDB has no codes, only the system's words. */
function isRefusedBySystem(error: unknown): boolean {
  if (hasCode(error, ...REFUSALS)) return true
  return error instanceof Error && /permission denied|read-only file system/i.test(error.message)
}

const REFUSALS = [
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOTDIR',
  'EEXIST',
  'EISDIR',
  'ELOOP',
  'ENAMETOOLONG',
  'ENOENT'
]

function full(cause: unknown): ManyhandsError {
  return new ManyhandsError('STORE_FULL', 'The disk is full', { cause })
}

/** RocksDB says only that a batch was not applied. */
async function isFull(folder: string, error: unknown): Promise<boolean> {
  if (hasCode(error, 'ENOSPC', 'EDQUOT')) return true
  if (isManyhandsError(error)) return false
  if (error instanceof Error && /no space left/i.test(error.message)) return true
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
  readonly #own = new Set<OwnLog>()
  readonly #guard: AppendGuard
  #spaces: readonly SpaceRecord[]
  #rolledBack: string | null
  #failure: ManyhandsError | null = null
  #saving: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | null = null

  static async open(folder: string, lock: StoreLock, options: StoreOptions): Promise<FolderStore> {
    const { passphrase = null, durability = 'os' } = options
    const keystore = await openKeystore(folder, passphrase)
    const highWater = await HighWater.open(join(folder, 'high-water.json'))
    const spaces = decodeSpaces(await readFileIfAny(join(folder, 'spaces.json')))
    const logs = await openLogs(join(folder, 'logs'), highWater)
    try {
      const rolledBack = logs.isMoved
        ? 'the store was copied or moved here'
        : await beginRun(join(folder, 'running'), durability, logs)
      const parts = { folder, lock, keystore, highWater, logs, spaces, rolledBack, durability }
      return new FolderStore(parts)
    } catch (error) {
      await logs.corestore.close()
      throw error
    }
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
    this.#disk = new DiskSync(parts.logs.storage, join(parts.folder, 'logs', 'db'))
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
    return this.#whileOpen(() => this.#inTurn(() => this.#keystore.save(secrets)))
  }

  saveSpaces(spaces: readonly SpaceRecord[]): Promise<void> {
    return this.#whileOpen(() =>
      this.#inTurn(async () => {
        await writeFileAtomic(join(this.#folder, 'spaces.json'), encodeSpaces(spaces))
        this.#spaces = spaces
      })
    )
  }

  ownLog(purpose: string, salt: Uint8Array): Promise<OwnLog> {
    return this.#whileOpen(async () => {
      const core = await openOwnCore(this.#logs.corestore, this.secrets.seed, purpose, salt)
      this.#rolledBack ??= await this.#highWater.check(core)
      // Peers may still hold the tail. With all of it back, the next open finds nothing missing.
      if (this.#rolledBack !== null) core.download({ start: 0, end: -1 })
      return this.#remember(new OwnLog(core, this.#guard))
    })
  }

  remoteLog(key: Uint8Array): Promise<Hypercore> {
    return this.#whileOpen(() => openRemoteCore(this.#logs.corestore, key))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    await Promise.all([this.#saving, ...[...this.#own].map((log) => log.settle())])
    await this.#highWater.settle()
    const isSound = this.#rolledBack === null && this.#failure === null
    try {
      if (isSound) await this.#makeDurable()
      await this.#logs.corestore.close()
      // A marker that stays says at the next open that this run did not end well.
      if (isSound) await removeFile(join(this.#folder, 'running'))
    } catch (error) {
      // What the disk refused was said at the write that it refused; nothing acknowledged is lost by it.
      if (isSound) throw await this.#explain(error)
    } finally {
      await this.#logs.corestore.close().catch(() => {}) // the same promise again, unless what went before failed
      await this.#lock.release()
    }
  }

  async #makeDurable(): Promise<void> {
    await this.#logs.storage.db.flush()
    await this.#highWater.finish((key) => openRemoteCore(this.#logs.corestore, key))
  }

  #remember(log: OwnLog): OwnLog {
    for (const other of this.#own) if (other.core.closing !== null) this.#own.delete(other)
    this.#own.add(log)
    return log
  }

  /** An error that comes from being closed meanwhile says so. */
  async #whileOpen<T>(task: () => Promise<T>): Promise<T> {
    this.#checkOpen()
    try {
      return await explained(this.#folder, task)
    } catch (error) {
      throw this.#closing === null || isManyhandsError(error) ? error : closed(error)
    }
  }

  /** Files are written one after the other. */
  #inTurn(write: () => Promise<void>): Promise<void> {
    const written = this.#saving.then(write)
    this.#saving = written.catch(() => {}) // shown to the caller of this one
    return written
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw closed()
  }

  #checkAppend(): void {
    this.#checkOpen()
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
    this.#failure ??= await this.#explain(error)
    return this.#failure
  }

  async #explain(error: unknown): Promise<ManyhandsError> {
    if (isManyhandsError(error)) return error
    if (await isFull(this.#folder, error)) return full(error)
    return new ManyhandsError('STORE_FAILED', 'The store failed to write', { cause: error })
  }
}

function closed(cause?: unknown): ManyhandsError {
  return new ManyhandsError('DEVICE_CLOSED', 'The device is closed', { cause })
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
  // The keystore is the first that a new store gets after its label.
  const names = await readdir(folder)
  if (['logs', 'spaces.json', 'high-water.json'].some((name) => names.includes(name))) {
    throw new ManyhandsError('STORE_IDENTITY_LOST', 'The store was used, but its keystore is gone')
  }
  return Keystore.create(path, passphrase)
}

interface Logs {
  readonly storage: CorestoreStorage
  readonly corestore: Corestore
  /** The folder is not the one that the stack made: a copy, which must not write the same logs as the original. */
  readonly isMoved: boolean
}

async function openLogs(folder: string, highWater: HighWater): Promise<Logs> {
  const isNew = await prepareLogs(folder, highWater)
  try {
    const logs = await openCorestore(folder, false)
    if (isNew) await syncLabel(folder)
    return logs
  } catch (error) {
    if (hasCode(error, 'DEVICE_FILE')) return openCorestore(folder, true)
    throw error
  }
}

/** What the stack knows its own folder by: inode, time, an attribute. */
const STACK_LABEL = 'CORESTORE'

/** Whether the stack is still to make its label. */
async function prepareLogs(folder: string, highWater: HighWater): Promise<boolean> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const label = join(folder, STACK_LABEL)
  const size = await sizeIfAny(label)
  // A first open that was killed may leave the label empty, which the stack would take for a copied store. Nothing was
  // appended then.
  if (size === 0 && highWater.isEmpty) await rm(label)
  return size === null || (size === 0 && highWater.isEmpty)
}

async function sizeIfAny(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null
    throw error
  }
}

/** The stack does not sync its label, and a store that loses it in a power cut would pass for a copy. */
async function syncLabel(folder: string): Promise<void> {
  await syncFile(join(folder, STACK_LABEL))
  await syncFolder(folder)
  await syncFolder(dirname(folder))
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
    if (!isCorruption(cause) || isRefusedBySystem(cause)) throw cause
    if (await isFull(folder, cause)) throw cause
    throw new ManyhandsError('STORE_DAMAGED', 'The logs of this store are damaged', { cause })
  }
}

function isCorruption(error: unknown): boolean {
  return error instanceof Error && /corrupt|EIO|IO error/i.test(error.message)
}

interface Run {
  readonly boot: string
  readonly durability: string
}

/** Marks the store as open in this boot. Returns why the last run's tails are suspect, or null. */
async function beginRun(
  path: string,
  durability: Durability,
  { storage }: Logs
): Promise<string | null> {
  const run = { boot: await bootId(), durability }
  const last = parseRun(await readFileIfAny(path))
  // The old marker stays: these logs are never appended to again.
  if (last !== null && last.boot !== run.boot && last.durability !== 'disk') {
    return 'the machine stopped while the store was open, so its last writes may be lost'
  }
  // What a killed run left to the system must be on the disk before the marker promises so.
  if (last !== null && last.durability !== 'disk' && durability === 'disk') await storage.db.flush()
  await writeFileAtomic(path, `${JSON.stringify(run)}\n`)
  return null
}

/** A marker that cannot be read is of no boot we know. */
function parseRun(text: string | null): Run | null {
  if (text === null) return null
  try {
    const { boot, durability } = JSON.parse(text) as Partial<Run>
    return { boot: String(boot), durability: String(durability) }
  } catch {
    return { boot: '', durability: 'os' }
  }
}
