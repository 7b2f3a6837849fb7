/** The system's errors as ours: what a folder, a disk or RocksDB says, with the code a caller can handle. */
import { statfs } from 'node:fs/promises'
import { invalid, isManyhandsError, ManyhandsError } from '../../errors.ts'
import { hasCode } from './files.ts'

/** With less free than this, a write that failed failed for lack of space: RocksDB's log grows in larger steps. */
const FULL_BELOW_BYTES = 1024 * 1024

/** The system's errors as ours. */
export async function explained<T>(folder: string, task: () => Promise<T>): Promise<T> {
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
export function isRefusedBySystem(error: unknown): boolean {
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

export function full(cause: unknown): ManyhandsError {
  return new ManyhandsError('STORE_FULL', 'The disk is full', { cause })
}

/** RocksDB says only that a batch was not applied. */
export async function isFull(folder: string, error: unknown): Promise<boolean> {
  if (hasCode(error, 'ENOSPC', 'EDQUOT')) return true
  if (isManyhandsError(error)) return false
  if (error instanceof Error && /no space left/i.test(error.message)) return true
  const { bavail, bsize } = await statfs(folder).catch(() => ({ bavail: Infinity, bsize: 1 }))
  return bavail * bsize < FULL_BELOW_BYTES
}
