/**
 * A device's store in a folder:
 *
 *     manyhands.json     says what the folder is, and the format version
 *     lock               held by the one process that owns the store; its pid inside
 *     keys.json          the keystore (keystore.ts)
 *     device.json        what people call this device
 *     spaces.json        the spaces this device is in, and their writers
 *     high-water.json    how long our own logs were (high-water.ts)
 *     running            the boot in which the store was opened; removed by a clean close
 *     port               while a process serves others: its socket (port.ts)
 *     logs/              the corestore: all logs, ours and others'
 *     index/<space>/     local indexes (index-store.ts); may be deleted
 *
 * Opening decides whether our own logs can still be appended to. Where they cannot, as writes that others may have seen could be
 * lost, or a copy may go on writing them, this device goes on under new ones: `rolledBack` says why.
 */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import type { KeyPair } from 'hypercore'
import { isManyhandsError, ManyhandsError } from '../../errors.ts'
import { openArchiveCore, type Pin } from '../archive.ts'
import type { LogEncryption } from '../block-keys.ts'
import { randomBytes } from '../crypto.ts'
import type { OrderedStore } from '../ordered-store.ts'
import {
  deviceKeyPair,
  openOwnCore,
  openRemoteCore,
  OwnLog,
  type AppendGuard,
  type DeviceStore,
  type Durability,
  type Secrets,
  type SpaceRecord,
  type SpaceSecrets
} from '../store.ts'
import type { BackupOptions } from './backup/format.ts'
import { writeBackup } from './backup/write.ts'
import { decodeName, encodeName } from './device-file.ts'
import { DiskSync } from './disk-sync.ts'
import { bytesIn, readFileIfAny, removeFile, syncFolder, writeFileAtomic } from './files.ts'
import { HighWater } from './high-water.ts'
import { openIndexStore } from './index-store.ts'
import { Keystore } from './keystore.ts'
import { StoreLock } from './lock.ts'
import { adoptLogs, compactLogs, openLogs, type Logs } from './logs.ts'
import { beginRun, suspicionOf } from './run-marker.ts'
import { decodeSpaces, encodeSpaces } from './spaces-file.ts'
import { explained, full, isFull } from './system-errors.ts'

export interface StoreOptions {
  /** Protects the keystore; asked for again at each open. */
  readonly passphrase?: string | null
  /** Default 'os'. */
  readonly durability?: Durability
}

const LABEL = { format: 'manyhands-store', version: 1 }

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

class FolderStore implements DeviceStore {
  readonly durability: Durability
  readonly #folder: string
  readonly #lock: StoreLock
  readonly #keystore: Keystore
  readonly #logs: Logs
  readonly #highWater: HighWater
  readonly #disk: DiskSync
  readonly #own = new Set<OwnLog>()
  readonly #guard: AppendGuard
  /** Null while it is locked. */
  #keyPair: KeyPair | null
  #spaces: readonly SpaceRecord[]
  #name: string | null
  #rolledBack: string | null
  #failure: ManyhandsError | null = null
  #saving: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | null = null

  static async open(folder: string, lock: StoreLock, options: StoreOptions): Promise<FolderStore> {
    const { passphrase = null, durability = 'os' } = options
    const keystore = await openKeystore(folder, passphrase)
    const highWater = await HighWater.open(join(folder, 'high-water.json'))
    const spaces = decodeSpaces(await readFileIfAny(join(folder, 'spaces.json')))
    const name = decodeName(await readFileIfAny(join(folder, 'device.json')))
    const logs = await openLogs(join(folder, 'logs'), highWater)
    try {
      const marker = join(folder, 'running')
      const rolledBack = logs.isMoved
        ? 'the store was copied or moved here'
        : await suspicionOf(marker)
      if (rolledBack !== null) await keystore.save(allSucceeded(keystore.secrets))
      if (logs.isMoved) await adoptLogs(join(folder, 'logs'))
      await beginRun(marker, durability, logs)
      const parts = {
        folder,
        lock,
        keystore,
        highWater,
        logs,
        spaces,
        name,
        rolledBack,
        durability
      }
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
    this.#name = parts.name
    this.#rolledBack = parts.rolledBack
    this.#disk = new DiskSync(parts.logs.storage, join(parts.folder, 'logs', 'db'))
    this.#keyPair = deviceKeyPair(parts.keystore.secrets.seed)
    this.#guard = {
      before: () => this.#checkAppend(),
      after: (core, isForDisk) => this.#afterAppend(core, isForDisk),
      beforeClear: (core, ranges) => this.#highWater.noteCleared(core, ranges),
      explain: (error) => this.#explainAppend(error)
    }
  }

  get keyPair(): KeyPair {
    if (this.#keyPair === null) throw new ManyhandsError('DEVICE_LOCKED', 'The device is locked')
    return this.#keyPair
  }

  get hasPassphrase(): boolean {
    return this.#keystore.hasPassphrase
  }

  changePassphrase(from: string | null, to: string | null): Promise<void> {
    return this.#whileOpen(() => this.#inTurn(() => this.#keystore.changePassphrase(from, to)))
  }

  lock(): Promise<void> {
    return this.#whileOpen(() =>
      this.#inTurn(async () => {
        await Promise.all([...this.#own].map((log) => log.settle()))
        this.#keystore.lock()
        for (const log of this.#own) log.forgetKey()
        this.#own.clear()
        this.#keyPair?.secretKey.fill(0)
        this.#keyPair = null
      })
    )
  }

  unlock(passphrase: string): Promise<void> {
    return this.#whileOpen(() =>
      this.#inTurn(async () => {
        await this.#keystore.unlock(passphrase)
        this.#keyPair ??= deviceKeyPair(this.#keystore.secrets.seed)
      })
    )
  }

  get secrets(): Secrets {
    return this.#keystore.secrets
  }

  get spaces(): readonly SpaceRecord[] {
    return this.#spaces
  }

  get name(): string | null {
    return this.#name
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

  saveName(name: string): Promise<void> {
    return this.#whileOpen(() =>
      this.#inTurn(async () => {
        await writeFileAtomic(join(this.#folder, 'device.json'), encodeName(name))
        this.#name = name
      })
    )
  }

  ownLog(purpose: string, salt: Uint8Array, encryption: LogEncryption | null): Promise<OwnLog> {
    return this.#whileOpen(async () => {
      const { corestore } = this.#logs
      const core = await openOwnCore(corestore, this.secrets.seed, purpose, salt, encryption)
      return this.#remember(new OwnLog(core, this.#guard, await this.#highWater.check(core)))
    })
  }

  succeed(space: Uint8Array, why: string | null): Promise<void> {
    return this.#whileOpen(() =>
      this.#inTurn(async () => {
        const { secrets } = this.#keystore
        const spaces = secrets.spaces.map((each) =>
          b4a.equals(each.address, space) ? succeeded(each) : each
        )
        await this.#keystore.save({ ...secrets, spaces })
        this.#rolledBack ??= why
      })
    )
  }

  remoteLog(key: Uint8Array, encryption: LogEncryption | null): Promise<Hypercore> {
    return this.#whileOpen(() => openRemoteCore(this.#logs.corestore, key, encryption))
  }

  archiveLog(pin: Pin, log: Uint8Array, encryption: LogEncryption | null): Promise<Hypercore> {
    return this.#whileOpen(() => openArchiveCore(this.#logs.corestore, pin, log, encryption))
  }

  openIndex(space: Uint8Array): Promise<OrderedStore> {
    const name = b4a.toString(space, 'hex')
    return this.#whileOpen(() => openIndexStore(join(this.#folder, 'index', name)))
  }

  checkLog(log: OwnLog): Promise<string | null> {
    return this.#whileOpen(() => this.#highWater.check(log.core))
  }

  bytes(): Promise<number> {
    return this.#whileOpen(() => bytesIn(this.#folder))
  }

  compact(): Promise<void> {
    return this.#whileOpen(() => compactLogs(this.#logs.storage))
  }

  dropIndex(space: Uint8Array): Promise<void> {
    const name = b4a.toString(space, 'hex')
    return this.#whileOpen(() =>
      rm(join(this.#folder, 'index', name), { recursive: true, force: true })
    )
  }

  clearLog(key: Uint8Array): Promise<void> {
    return this.#whileOpen(async () => {
      await this.#highWater.forget(key)
      const core = await openRemoteCore(this.#logs.corestore, key, null)
      try {
        await core.clear(0, core.length)
      } finally {
        await core.close()
      }
    })
  }

  backup(options: BackupOptions): AsyncIterable<Uint8Array> {
    this.#checkOpen()
    return writeBackup(this, options)
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
    const isSound = this.#failure === null
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
    await this.#highWater.finish((key) => openRemoteCore(this.#logs.corestore, key, null))
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
  }

  async #afterAppend(core: Hypercore, isForDisk: boolean): Promise<void> {
    if (isForDisk || this.durability === 'disk') await this.#disk.sync()
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

/** With new logs in all spaces. */
function allSucceeded(secrets: Secrets): Secrets {
  return { ...secrets, spaces: secrets.spaces.map(succeeded) }
}

function succeeded(space: SpaceSecrets): SpaceSecrets {
  return { ...space, later: [...space.later, randomBytes(SALT_BYTES)] }
}

const SALT_BYTES = 32

interface Parts {
  readonly folder: string
  readonly lock: StoreLock
  readonly keystore: Keystore
  readonly highWater: HighWater
  readonly logs: Logs
  readonly spaces: readonly SpaceRecord[]
  readonly name: string | null
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
