/** A corestore in a temporary folder with one log of our own, and the obvious slow version of a tree: a sorted array. */
import { join } from 'node:path'
import b4a from 'b4a'
import Corestore from 'corestore'
import CorestoreStorage from 'hypercore-storage'
import type { LogEncryption } from '../../core/index.ts'
import { forbidForks, openOwnCore, openRemoteCore } from '../../core/store.ts'
import type { TreeCursor, TreeEntry, TreeRange } from '../../core/tree/cursor.ts'
import type { TreePut } from '../../core/tree/writer.ts'
import { tempFolder } from './devices.ts'

export interface LogStore {
  readonly path: string
  readonly corestore: Corestore
  /** One of our own logs. */
  own(purpose: string, encryption?: LogEncryption): ReturnType<typeof openOwnCore>
  remote(key: Uint8Array, encryption?: LogEncryption): ReturnType<typeof openRemoteCore>
  /** Moves what is in RocksDB's memory into its files. */
  flush(): Promise<void>
  close(): Promise<void>
}

export async function openLogStore(seed = 1): Promise<LogStore> {
  const folder = await tempFolder()
  const storage = new CorestoreStorage(join(folder.path, 'logs'), { walRecoveryMode: 0 })
  const corestore = new Corestore(storage)
  await corestore.ready()
  forbidForks(corestore)
  return {
    path: folder.path,
    corestore,
    own: (purpose, encryption) =>
      openOwnCore(corestore, b4a.alloc(32, seed), purpose, b4a.alloc(32), encryption ?? null),
    remote: (key, encryption) => openRemoteCore(corestore, key, encryption ?? null),
    flush: () => storage.db.flush(),
    async close() {
      await corestore.close()
      await folder.remove()
    }
  }
}

/** A tree as a sorted array. */
export class SlowTree {
  readonly #entries: TreePut[]

  constructor(entries: readonly TreePut[] = []) {
    this.#entries = [...entries]
  }

  put({ key, value }: TreePut): void {
    const at = this.#entries.findIndex((each) => b4a.compare(each.key, key) >= 0)
    const known = this.#entries[at]
    if (known === undefined) this.#entries.push({ key, value })
    else this.#entries.splice(at, b4a.equals(known.key, key) ? 1 : 0, { key, value })
  }

  get(key: Uint8Array): Uint8Array | null {
    return this.#entries.find((each) => b4a.equals(each.key, key))?.value ?? null
  }

  range({ gt, gte, lt, lte, reverse = false }: TreeRange = {}): readonly TreePut[] {
    const within = this.#entries.filter(
      ({ key }) =>
        (gt === undefined || b4a.compare(key, gt) > 0) &&
        (gte === undefined || b4a.compare(key, gte) >= 0) &&
        (lt === undefined || b4a.compare(key, lt) < 0) &&
        (lte === undefined || b4a.compare(key, lte) <= 0)
    )
    return reverse ? within.reverse() : within
  }

  copy(): SlowTree {
    return new SlowTree(this.#entries)
  }
}

/** Everything a cursor yields, in batches of the sizes given, over and over. */
export async function drain(
  cursor: TreeCursor,
  sizes: readonly number[] = [64]
): Promise<TreeEntry[]> {
  const entries: TreeEntry[] = []
  for (let i = 0; ; i++) {
    const size = sizes[i % sizes.length] ?? 1
    const batch = await cursor.nextBatch(size)
    if (batch.length > size) throw new Error(`${batch.length} entries where ${size} were asked for`)
    if (batch.length === 0) return entries
    entries.push(...batch)
  }
}
