/**
 * Where automerge-repo keeps its documents: a sub-database of a space. What one device stores, the others have too, so a repo on
 * any of them finds the documents, whether or not the repo that made them is there.
 *
 * Parts of documents are shared: their keys name their content, so devices that store at the same time do not get in each other's
 * way. Whoever compacts a document stores the whole first and then removes the parts that it had read, and no others: in each
 * log a removal stands behind a snapshot that holds what was removed, and what was stored meanwhile elsewhere stays.
 *
 * Everything else (the storage's id, sync states, what plug-ins keep) is true of one repo only: each device has its own, and
 * takes nothing for it that another one wrote. It can all be read by every member of the space.
 */
import type { Chunk, StorageAdapterInterface, StorageKey } from '@automerge/automerge-repo'
import { isManyhandsError } from '../../errors.ts'
import type { Entry, MultiBee, Space } from '../../multiwriter/index.ts'
import { isReadable } from './chunks.ts'
import { decodePath, encodePath, rangeOf, type Path } from './keys.ts'
import { MAX_BYTES, PIECE_BYTES, storedEncoding, type Head, type Stored } from './stored.ts'

export interface SpaceStorageOptions {
  /** The sub-database. Repos with the same one share their documents. Default 'automerge-repo'. */
  readonly name?: string
}

/** Shared by all devices; what is a device's own stands under its writer's name. */
const SHARED = ''

const HEADS = 'head'
const PIECES = 'piece'

type Bee = MultiBee<Uint8Array, Stored>
type Batch = ReturnType<Bee['batch']>

interface Found {
  readonly key: Path
  readonly head: Head
  readonly entry: Entry<Uint8Array, Stored>
}

/** @example const repo = new Repo({ storage: new SpaceStorageAdapter(space) }) */
export class SpaceStorageAdapter implements StorageAdapterInterface {
  readonly #bee: Bee
  readonly #writer: string
  /** What is being stored. */
  readonly #saving = new Map<string, { readonly data: Uint8Array; readonly done: Promise<void> }>()
  #number = 0
  /** Ends when all that was to be stored so far has been handed to the log: in the order of the calls, however long each was prepared. */
  #begun: Promise<void> = Promise.resolve()
  #refused = 0
  #late = 0
  /** Parts of others that Automerge can read, by writer and block. Bounded by what the repo loads. */
  readonly #readable = new Set<string>()

  constructor(space: Space, { name = 'automerge-repo' }: SpaceStorageOptions = {}) {
    this.#bee = space.db.sub(name, { keyEncoding: 'binary', valueEncoding: storedEncoding })
    this.#writer = space.writer
  }

  /** What other devices stored that could not be read, as often as it was met; see `space.refusals()` for the rest. */
  get refused(): number {
    return this.#refused
  }

  async load(key: StorageKey): Promise<Uint8Array | undefined> {
    const bee = this.#bee.snapshot()
    const shelf = this.#shelfOf(key)
    const entry = await bee.get(encodePath([shelf, HEADS, ...key]))
    const found = entry === null ? null : this.#found(shelf, key, entry)
    return found === null ? undefined : ((await this.#read(bee, shelf, found)) ?? undefined)
  }

  /**
   * Parts of documents that the repo stored after the space had closed, and that are dropped. A repo's timers store once more some time
   * after its `shutdown`, what that has stored; of a repo that was not shut down first, what was typed last is lost.
   */
  get late(): number {
    return this.#late
  }

  /** @throws RangeError above 64 MiB, and what a `put` throws; but nothing once the space is closed: @see late */
  async save(key: StorageKey, data: Uint8Array): Promise<void> {
    if (data.byteLength > MAX_BYTES)
      throw new RangeError(`A value takes ${data.byteLength} bytes, the limit is ${MAX_BYTES}`)
    // A repo that is shut down may be storing a document twice, and waits for the first time only.
    const name = key.join('\0')
    const under = this.#saving.get(name)
    if (under !== undefined && isSame(under.data, data)) return under.done
    const saving = { data, done: this.#saveWhileOpen(key, data) }
    this.#saving.set(name, saving)
    try {
      await saving.done
    } finally {
      if (this.#saving.get(name) === saving) this.#saving.delete(name)
    }
  }

  async #saveWhileOpen(key: Path, data: Uint8Array): Promise<void> {
    try {
      await this.#save(key, data)
    } catch (error) {
      // A repo does not wait for what its timers store: a rejection would end the process.
      if (!isManyhandsError(error, 'BEE_CLOSED')) throw error
      if (this.#shelfOf(key) === SHARED) this.#late++
    }
  }

  async #save(key: Path, data: Uint8Array): Promise<void> {
    const before = this.#begun
    const prepared = this.#prepare(key, data, this.#number++)
    const begun = Promise.all([prepared, before]).then(([batch]) => [batch?.flush()] as const)
    this.#begun = Promise.allSettled([begun, before]).then(() => undefined)
    const [flushed] = await begun
    await flushed
  }

  /** @returns what is to be written; null when it is there. */
  async #prepare(key: Path, data: Uint8Array, number: number): Promise<Batch | null> {
    const shelf = this.#shelfOf(key)
    // What the network brought, its author stores as well.
    if (shelf === SHARED && (await this.#has(key, data))) return null
    const batch = this.#bee.batch()
    for (const old of await this.#piecesAt(shelf, key)) batch.del(old)
    const isSmall = data.byteLength <= PIECE_BYTES
    const head = { kind: 'head', number, size: data.byteLength } as const
    batch.put(encodePath([shelf, HEADS, ...key]), { ...head, bytes: isSmall ? data : null })
    if (!isSmall) {
      for (let at = 0; at < data.byteLength; at += PIECE_BYTES) {
        const place = [...piecesOf(shelf, key), this.#writer, `${number}`, `${at / PIECE_BYTES}`]
        const bytes = data.subarray(at, at + PIECE_BYTES)
        batch.put(encodePath(place), { kind: 'piece', bytes })
      }
    }
    return batch
  }

  async remove(key: StorageKey): Promise<void> {
    try {
      await this.#remove(this.#shelfOf(key), [key])
    } catch (error) {
      // As above: what was compacted and is not removed is read once more, that is all.
      if (!isManyhandsError(error, 'BEE_CLOSED')) throw error
    }
  }

  /** In the order in which it was stored, as far as there is one: by the time of writing, and each device's own in its order. */
  async loadRange(keyPrefix: StorageKey): Promise<Chunk[]> {
    const bee = this.#bee.snapshot()
    const chunks: Chunk[] = []
    const shelves = await Promise.all(
      [SHARED, this.#writer].map((shelf) => this.#list(bee, shelf, keyPrefix))
    )
    const all = shelves.flatMap((found, i) =>
      found.map((each) => ({ ...each, shelf: i === 0 ? SHARED : this.#writer }))
    )
    for (const found of all.sort(compareFound)) {
      const data = await this.#read(bee, found.shelf, found)
      if (data !== null) chunks.push({ key: [...found.key], data })
    }
    return chunks
  }

  async removeRange(keyPrefix: StorageKey): Promise<void> {
    for (const shelf of [SHARED, this.#writer]) {
      const found = await this.#list(this.#bee, shelf, keyPrefix)
      await this.#remove(
        shelf,
        found.map(({ key }) => key)
      )
    }
  }

  #shelfOf([, kind, ...rest]: Path): string {
    const isPart = rest.length === 1 && (kind === 'snapshot' || kind === 'incremental')
    return isPart ? SHARED : this.#writer
  }

  async #remove(shelf: string, keys: readonly Path[]): Promise<void> {
    const batch = this.#bee.batch()
    for (const key of keys) {
      batch.del(encodePath([shelf, HEADS, ...key]))
      for (const piece of await this.#piecesAt(shelf, key)) batch.del(piece)
    }
    await batch.flush()
  }

  /** The pieces of all that was ever stored at a key, by whomever. */
  async #piecesAt(shelf: string, key: Path): Promise<readonly Uint8Array[]> {
    const pieces: Uint8Array[] = []
    for await (const each of this.#bee.createReadStream(rangeOf(piecesOf(shelf, key))))
      pieces.push(each.key)
    return pieces
  }

  async #list(bee: Bee, shelf: string, prefix: Path): Promise<readonly Found[]> {
    const found: Found[] = []
    for await (const entry of bee.createReadStream(rangeOf([shelf, HEADS, ...prefix]))) {
      const path = decodePath(entry.key)
      const each = path === null ? this.#refuse() : this.#found(shelf, path.slice(2), entry)
      if (each !== null) found.push(each)
    }
    return found
  }

  /** Null for what is none of ours to believe. */
  #found(shelf: string, key: Path, entry: Found['entry']): Found | null {
    const head = entry.value
    if (head.kind !== 'head' || this.#shelfOf(key) !== shelf) return this.#refuse()
    if (shelf !== SHARED && entry.writer !== this.#writer) return this.#refuse()
    return { key, head, entry }
  }

  /** The same bytes, whoever stored them. */
  async #has(key: Path, data: Uint8Array): Promise<boolean> {
    const bee = this.#bee.snapshot()
    const entry = await bee.get(encodePath([SHARED, HEADS, ...key]))
    if (entry?.value.kind !== 'head' || entry.value.size !== data.byteLength) return false
    const there = await this.#bytesOf(bee, SHARED, { key, head: entry.value, entry })
    return there !== null && isSame(there, data)
  }

  async #read(bee: Bee, shelf: string, found: Found): Promise<Uint8Array | null> {
    const bytes = await this.#bytesOf(bee, shelf, found)
    if (bytes === null) return this.#refuse()
    if (found.entry.writer === this.#writer) return bytes
    const id = `${found.entry.writer} ${found.entry.seq} ${found.key.join(' ')}`
    if (!this.#readable.has(id) && !isReadable(bytes)) return this.#refuse()
    this.#readable.add(id)
    return bytes
  }

  /** Null when a piece is missing. */
  async #bytesOf(bee: Bee, shelf: string, { key, head, entry }: Found): Promise<Uint8Array | null> {
    // Plain bytes, which are the caller's: no Buffer, no view of a block.
    if (head.bytes !== null) return new Uint8Array(head.bytes)
    const bytes = new Uint8Array(head.size)
    for (let at = 0; at < head.size; at += PIECE_BYTES) {
      const place = [...piecesOf(shelf, key), entry.writer, `${head.number}`, `${at / PIECE_BYTES}`]
      const piece = (await bee.get(encodePath(place)))?.value
      const length = Math.min(PIECE_BYTES, head.size - at)
      if (piece?.kind !== 'piece' || piece.bytes.byteLength !== length) return null
      bytes.set(piece.bytes, at)
    }
    return bytes
  }

  #refuse(): null {
    this.#refused += 1
    return null
  }
}

/** What the pieces at a key begin with; how many names the key has comes first, so that they are no other key's. */
function piecesOf(shelf: string, key: Path): Path {
  return [shelf, PIECES, String(key.length), ...key]
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
}

function compareFound(a: Found, b: Found): number {
  const [{ stamp: one, writer }, { stamp: other, writer: otherWriter }] = [a.entry, b.entry]
  if (one.ms !== other.ms) return one.ms - other.ms
  if (one.counter !== other.counter) return one.counter - other.counter
  if (writer !== otherWriter) return writer < otherWriter ? -1 : 1
  return a.head.number - b.head.number
}
