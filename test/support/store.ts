/** Stores for tests: what to put, what is there, and how an operation failed. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import b4a from 'b4a'
import * as assert from 'uvu/assert'
import { ManyhandsError, type ErrorCode } from '../../errors.ts'
import type { Hypercore } from '../../core/index.ts'
import type { OwnLog } from '../../core/store.ts'
import type { TreePut } from '../../core/tree/writer.ts'

export const SALT = b4a.alloc(32, 7)

export function put(key: string, value = key): TreePut {
  return { key: b4a.from(key), value: b4a.from(value) }
}

/** Puts named by consecutive numbers, sorted as the numbers are. */
export function numbered(from: number, count: number, valueBytes = 20): readonly TreePut[] {
  return Array.from({ length: count }, (_, i) => ({
    key: b4a.from(nameOf(from + i)),
    value: b4a.alloc(valueBytes, (from + i) % 251)
  }))
}

export function nameOf(number: number): string {
  return String(number).padStart(8, '0')
}

/** All keys in a log, in order, each value read. */
export async function keysOf(log: OwnLog): Promise<readonly string[]> {
  const cursor = log.tree.snapshot().cursor()
  const keys: string[] = []
  for (;;) {
    const entries = await cursor.nextBatch(256)
    if (entries.length === 0) return keys
    keys.push(...entries.map(({ key }) => b4a.toString(key)))
  }
}

/** The error that `task` fails with, which must have this code, a message, a next step and, as wished, a cause. */
export async function failure(
  code: ErrorCode,
  task: () => Promise<unknown>,
  { hasCause }: { readonly hasCause?: boolean } = {}
): Promise<ManyhandsError> {
  try {
    await task()
  } catch (error) {
    if (!(error instanceof ManyhandsError)) throw error
    assert.is(error.code, code, error.message)
    assert.ok(error.message.length > 0 && error.next.length > 0)
    if (hasCause !== undefined) assert.is(error.cause instanceof Error, hasCause, 'cause')
    return error
  }
  return assert.unreachable(`expected ${code}`) as never
}

/** Every file below a folder, by its path in it. */
export async function filesIn(folder: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = new Map<string, Uint8Array>()
  for (const entry of entries) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    files.set(path.slice(folder.length + 1), await readFile(path))
  }
  return files
}

/** What a disk might do to a block. */
export async function overwriteBlock(core: Hypercore, seq: number): Promise<void> {
  const storage = core.core.state.storage as unknown as {
    write(): { putBlock(seq: number, bytes: Uint8Array): void; flush(): Promise<void> }
  }
  const tx = storage.write()
  tx.putBlock(seq, b4a.from('not what it was'))
  await tx.flush()
}
