/** The corestore in a store's folder: opened so that it tells damage from a killed process, and a copy from the original. */
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import Corestore from 'corestore'
import CorestoreStorage from 'hypercore-storage'
import { ManyhandsError } from '../../errors.ts'
import { forbidForks } from '../store.ts'
import { hasCode, syncFile, syncFolder } from './files.ts'
import type { HighWater } from './high-water.ts'
import { isFull, isRefusedBySystem } from './system-errors.ts'

export interface Logs {
  readonly storage: CorestoreStorage
  readonly corestore: Corestore
  /** The folder is not the one that the stack made: a copy, which must not write the same logs as the original. */
  readonly isMoved: boolean
}

export async function openLogs(folder: string, highWater: HighWater): Promise<Logs> {
  const isNew = await prepareLogs(folder, highWater)
  try {
    const logs = await openCorestore(folder, false)
    if (isNew) await syncLabel(folder)
    await dropJournals(join(folder, 'db'))
    return logs
  } catch (error) {
    if (hasCode(error, 'DEVICE_FILE')) return openCorestore(folder, true)
    throw error
  }
}

/**
 * RocksDB begins a journal for people at each opening, and keeps a thousand old ones of some 50 KB: short commands would fill the
 * disk with them.
 */
async function dropJournals(folder: string): Promise<void> {
  const names = await readdir(folder)
  const old = names.filter((name) => /^LOG\.old\.\d+$/.test(name))
  // One that cannot be deleted harms nobody.
  await Promise.all(old.map((name) => rm(join(folder, name), { force: true }).catch(() => {})))
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

/** Takes a copied store for an original from the next opening on. Before, see to it that none of its logs is appended to again. */
export async function adoptLogs(folder: string): Promise<void> {
  await rm(join(folder, STACK_LABEL))
  await syncFolder(folder)
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

/** RocksDB's own constant: rewrite the last level as well, or what was cleared stays in it. */
const FORCE_BOTTOMMOST = 2

/** Values from 4 KiB stand in files of their own, which only this collects whatever their age. */
const FORCE_BLOBS = 1

/** Rewrites the files of the database without what was overwritten and cleared. */
export async function compactLogs({ db }: CorestoreStorage): Promise<void> {
  await db.flush()
  await db.compactRange(null, null, {
    exclusive: true,
    bottommostLevelCompaction: FORCE_BOTTOMMOST,
    blobGarbageCollectionPolicy: FORCE_BLOBS,
    blobGarbageCollectionAgeCutoff: 1
  })
}

function isCorruption(error: unknown): boolean {
  return error instanceof Error && /corrupt|EIO|IO error/i.test(error.message)
}
