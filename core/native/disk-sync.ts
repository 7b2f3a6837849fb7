/**
 * Waiting for the disk: an fdatasync of RocksDB's write-ahead log, shared by all who wait meanwhile. (The stack itself never
 * syncs, and `rocks.flush()` does not cover the cores' column family; a flush of the family takes a hundred times longer.)
 */
import { open } from 'node:fs/promises'
import type CorestoreStorage from 'hypercore-storage'
import { hasCode } from './files.ts'

export class DiskSync {
  readonly #storage: CorestoreStorage
  #running: Promise<void> | null = null
  #next: Promise<void> | null = null
  #lastLog: string | null = null

  constructor(storage: CorestoreStorage) {
    this.#storage = storage
  }

  /** Resolves when everything appended before this call is on the disk. */
  sync(): Promise<void> {
    if (this.#running === null) return this.#start()
    // The running one may have started before our append: wait for the one after it.
    this.#next ??= this.#running.catch(() => {}).then(() => this.#start())
    return this.#next
  }

  #start(): Promise<void> {
    this.#next = null
    this.#running = this.#syncLogs().finally(() => (this.#running = null))
    return this.#running
  }

  async #syncLogs(): Promise<void> {
    const { path } = await this.#storage.rocks.currentWalFile()
    // RocksDB may have begun a new log since: the one before is not synced until it is a table (then it is gone).
    if (this.#lastLog !== null && this.#lastLog !== path) await syncFile(this.#lastLog)
    await syncFile(path)
    this.#lastLog = path
  }
}

async function syncFile(path: string): Promise<void> {
  try {
    const file = await open(path, 'r+')
    try {
      await file.datasync()
    } finally {
      await file.close()
    }
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
}
