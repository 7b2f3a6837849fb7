/**
 * Waiting for the disk: an fdatasync of RocksDB's write-ahead log, shared by all who wait meanwhile. (The stack itself never
 * syncs, and `rocks.flush()` does not cover the cores' column family; a flush of the family takes a hundred times longer.)
 */
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type CorestoreStorage from 'hypercore-storage'
import { syncFile, syncFolder } from './files.ts'

export class DiskSync {
  readonly #storage: CorestoreStorage
  /** Of RocksDB: it names its files relative to it. */
  readonly #folder: string
  #running: Promise<void> | null = null
  #next: Promise<void> | null = null
  #lastLog: string | null = null

  constructor(storage: CorestoreStorage, folder: string) {
    this.#storage = storage
    this.#folder = folder
  }

  /** Resolves when everything appended before this call is on the disk. */
  sync(): Promise<void> {
    if (this.#running === null) return this.#start()
    // The running one may have started before our append: wait for the one after it.
    // A failure of the running one is shown to those who wait for it.
    this.#next ??= this.#running.catch(() => {}).then(() => this.#start())
    return this.#next
  }

  #start(): Promise<void> {
    this.#next = null
    this.#running = this.#syncLogs().finally(() => (this.#running = null))
    return this.#running
  }

  async #syncLogs(): Promise<void> {
    const current = await this.#currentLog()
    if (current !== this.#lastLog) await this.#syncOlderLogs(current)
    const isThere = await syncFile(join(this.#folder, current))
    // Gone is only what RocksDB made a table of since; a file that was never found would mean promises without a disk.
    if (!isThere && current === (await this.#currentLog())) {
      throw new Error(`The write-ahead log ${current} is not where it should be`)
    }
    this.#lastLog = current
  }

  async #currentLog(): Promise<string> {
    const { path } = await this.#storage.rocks.currentWalFile()
    return basename(path)
  }

  /** RocksDB began new logs since: what is in the ones before is not safe until it is a table (then they are gone). */
  async #syncOlderLogs(current: string): Promise<void> {
    const first = this.#lastLog === null ? 0 : numberOf(this.#lastLog)
    const older = (await readdir(this.#folder)).filter(
      (name) => name.endsWith('.log') && isWithin(numberOf(name), first, numberOf(current))
    )
    for (const name of older.sort()) await syncFile(join(this.#folder, name))
    // A file that its folder does not name is lost, however well its bytes are kept.
    await syncFolder(this.#folder)
  }
}

/** RocksDB numbers its files: 000123.log */
function numberOf(name: string): number {
  return Number.parseInt(name, 10)
}

function isWithin(number: number, first: number, end: number): boolean {
  return number >= first && number < end
}
