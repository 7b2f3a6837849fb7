/**
 * Documents as they were when they were last closed, so that opening one costs its size and not its history. Derived data: it may
 * be deleted at any time. A row stands for the logs at the lengths it names; it is used when each of these logs still begins so,
 * and what it does not say is read from the logs. What does not read is no row.
 *
 *     row    = id: hash of the rest 32 B, version u8, engine u8, entries uint, bytes uint, snapshot uint,
 *              count uint, count x (core 32 B, length uint, tree hash 32 B), state
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import { hash, type OrderedStore } from '../../core/index.ts'

/** A log, and how far its updates are in the state. */
export interface Covered {
  readonly core: Uint8Array
  readonly length: number
  readonly treeHash: Uint8Array
}

/** What our own log holds of a document: what a compaction would save. */
export interface OwnShare {
  readonly entries: number
  /** Of updates since the snapshot. */
  readonly bytes: number
  readonly snapshot: number
}

export interface CachedDocument {
  readonly engine: number
  readonly own: OwnShare
  readonly covered: readonly Covered[]
  /** A packed update of the engine. */
  readonly state: Uint8Array
}

const VERSION = 1
const HASH_BYTES = 32
const CONTEXT = 'manyhands/document-cache'

/** Names the cache's store beside the space's index. */
export function documentCacheOf(space: Uint8Array): Uint8Array {
  return hash('manyhands/documents', space)
}

export class DocumentCache {
  readonly #open: () => Promise<OrderedStore>
  #store: Promise<OrderedStore> | null = null

  /** @param open called when the first document is opened; closed by `close` */
  constructor(open: () => Promise<OrderedStore>) {
    this.#open = open
  }

  /** Null when there is none that reads. Never rejects. */
  async get(id: string): Promise<CachedDocument | null> {
    try {
      const store = await this.#ready()
      const row = await store.get(b4a.from(id))
      return row === undefined ? null : decodeRow(row)
    } catch {
      return null
    }
  }

  /** A cache that cannot be written costs time at the next opening, nothing else. Never rejects. */
  async put(id: string, document: CachedDocument): Promise<void> {
    try {
      const store = await this.#ready()
      await store.write([{ key: b4a.from(id), value: encodeRow(document) }])
    } catch {
      // A full disk, or a damaged store: as said above.
    }
  }

  async close(): Promise<void> {
    const store = await this.#store?.catch(() => null)
    await store?.close()
  }

  #ready(): Promise<OrderedStore> {
    return (this.#store ??= this.#open())
  }
}

function encodeRow({ engine, own, covered, state }: CachedDocument): Uint8Array {
  const head: State = { start: 0, end: 2, buffer: null }
  const numbers = [own.entries, own.bytes, own.snapshot, covered.length]
  for (const number of [...numbers, ...covered.map(({ length }) => length)])
    c.uint.preencode(head, number)
  head.end += covered.length * 2 * HASH_BYTES
  head.buffer = b4a.alloc(head.end)
  c.uint8.encode(head, VERSION)
  c.uint8.encode(head, engine)
  for (const number of numbers) c.uint.encode(head, number)
  for (const { core, length, treeHash } of covered) {
    c.fixed32.encode(head, core)
    c.uint.encode(head, length)
    c.fixed32.encode(head, treeHash)
  }
  const rest = b4a.concat([head.buffer, state])
  return b4a.concat([hash(CONTEXT, rest), rest])
}

/** Null for a row of another version, or a damaged one. @throws Error on bytes that are no row */
function decodeRow(row: Uint8Array): CachedDocument | null {
  const rest = row.subarray(HASH_BYTES)
  if (!b4a.equals(hash(CONTEXT, rest), row.subarray(0, HASH_BYTES))) return null
  const head: State = { start: 0, end: rest.byteLength, buffer: rest }
  if (c.uint8.decode(head) !== VERSION) return null
  const engine = c.uint8.decode(head)
  const entries = c.uint.decode(head)
  const bytes = c.uint.decode(head)
  const snapshot = c.uint.decode(head)
  const count = c.uint.decode(head)
  const covered: Covered[] = []
  for (let i = 0; i < count; i++) {
    const core = c.fixed32.decode(head)
    const length = c.uint.decode(head)
    covered.push({ core, length, treeHash: c.fixed32.decode(head) })
  }
  return { engine, own: { entries, bytes, snapshot }, covered, state: rest.subarray(head.start) }
}
