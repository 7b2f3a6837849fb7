/** One process owns a store. The kernel keeps the lock, so a killed owner leaves none behind; the file names the owner. */
import { open, readFile, type FileHandle } from 'node:fs/promises'
import fsx from 'fs-native-extensions'
import { ManyhandsError } from '../../errors.ts'

export class StoreLock {
  readonly #file: FileHandle

  private constructor(file: FileHandle) {
    this.#file = file
  }

  /** @throws STORE_LOCKED naming the owner's process */
  static async acquire(path: string): Promise<StoreLock> {
    const file = await open(path, 'a+', 0o600)
    try {
      if (!fsx.tryLock(file.fd)) throw await lockedError(path)
      await file.truncate(0)
      await file.write(String(process.pid))
      return new StoreLock(file)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async release(): Promise<void> {
    await this.#file.truncate(0)
    fsx.unlock(this.#file.fd)
    await this.#file.close()
  }
}

async function lockedError(path: string): Promise<ManyhandsError> {
  const pid = (await readFile(path, 'utf8')).trim()
  const owner =
    pid === String(process.pid) ? `this process (pid ${pid})` : `process ${pid || '(starting)'}`
  return new ManyhandsError('STORE_LOCKED', `The store is in use by ${owner}`)
}
