/**
 * An ordered store in a folder: LevelDB (docs/decisions/004). What cannot be opened is made anew: it is derived data. What
 * another database has open is left alone.
 */
import { mkdir, rm } from 'node:fs/promises'
import { ClassicLevel } from 'classic-level'
import { ManyhandsError } from '../../errors.ts'
import type { OrderedChange, OrderedCursor, OrderedRow, OrderedStore } from '../ordered-store.ts'
import type { TreeRange } from '../tree/cursor.ts'
import { bytesIn } from './files.ts'

type Level = ClassicLevel<Uint8Array, Uint8Array>

/** What an iterator reads ahead of its reader; the default of 16 KB costs a thread-pool turn per 100 rows. */
const READ_AHEAD_BYTES = 256 * 1024

/** What a long read takes from the iterator at once, where that many fit into what it reads ahead: each time costs a thread. */
const ROWS_AT_ONCE = 1024

/** A reader that asks for so many goes on for longer. */
const LONG_READ = 128

/** Opens the store of a folder, for one database at a time. @throws STORE_LOCKED while another has it; the system's errors */
export async function openIndexStore(folder: string): Promise<OrderedStore> {
  try {
    return new LevelStore(folder, await openLevel(folder))
  } catch (cause) {
    if (isLocked(cause)) {
      const message = `The index in ${folder} is in use by another database`
      throw new ManyhandsError('STORE_LOCKED', message, { cause })
    }
    await rm(folder, { recursive: true, force: true })
    return new LevelStore(folder, await openLevel(folder))
  }
}

function isLocked(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && cause.code === 'LEVEL_LOCKED'
}

async function openLevel(folder: string): Promise<Level> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const level: Level = new ClassicLevel(folder, { keyEncoding: 'view', valueEncoding: 'view' })
  await level.open()
  return level
}

class LevelStore implements OrderedStore {
  readonly #folder: string
  #level: Level
  #writing: Promise<unknown> = Promise.resolve()

  constructor(folder: string, level: Level) {
    this.#folder = folder
    this.#level = level
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#level.getSync(key)
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#level.getMany([...keys])
  }

  /** One after the other: LevelDB writes on a pool of threads, in any order. */
  write(changes: readonly OrderedChange[]): Promise<void> {
    const written = this.#writing.then(() => {
      // Not as an array, whose members would be looked through one by one, in JavaScript and natively.
      const batch = this.#level.batch()
      for (const { key, value } of changes) {
        if (value === null) batch.del(key)
        else batch.put(key, value)
      }
      return batch.write()
    })
    this.#writing = written.catch(() => {}) // shown to the caller of this one
    return written
  }

  cursor({ reverse = false, gt, gte, lt, lte }: TreeRange): OrderedCursor {
    const iterator = this.#level.iterator({
      reverse,
      highWaterMarkBytes: READ_AHEAD_BYTES,
      ...(gt === undefined ? {} : { gt }),
      ...(gte === undefined ? {} : { gte }),
      ...(lt === undefined ? {} : { lt }),
      ...(lte === undefined ? {} : { lte })
    })
    let rows: readonly OrderedRow[] = []
    let at = 0
    return {
      async nextBatch(size) {
        if (at === rows.length) {
          rows = await iterator.nextv(size < LONG_READ ? size : Math.max(size, ROWS_AT_ONCE))
          at = 0
        }
        const batch = rows.slice(at, at + size)
        at += batch.length
        return batch
      },
      close: () => iterator.close()
    }
  }

  /** The whole folder: what is damaged could not be deleted row by row. */
  async clear(): Promise<void> {
    await this.#level.close()
    await rm(this.#folder, { recursive: true, force: true })
    this.#level = await openLevel(this.#folder)
  }

  bytes(): Promise<number> {
    return bytesIn(this.#folder)
  }

  close(): Promise<void> {
    return this.#level.close()
  }
}
