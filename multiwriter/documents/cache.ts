/**
 * Documents as they were when they were last closed, so that opening one costs its size and not its history. Derived data: it may
 * be deleted at any time. A row stands for the logs at the lengths it names; it is used when each of these logs still begins so,
 * and what it does not say is read from the logs. What does not read is no row.
 *
 *     row    = hash of the rest 32 B, version u8 (2), engine u8, entries uint, bytes uint, snapshot uint,
 *              count uint, count x (core 32 B, length uint, tree hash 32 B),
 *              count uint, count x (sealed core 32 B, seal uint), quotes u8, authors, state
 *
 * `authors` is as crdt/document/authors.ts writes it.
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import { Authors } from '../../crdt/index.ts'
import { hash, type OrderedStore } from '../../core/index.ts'
import type { Seal } from './seals.ts'

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
  /** By which it was made. */
  readonly seals: readonly Seal[]
  /** Whether anything in it was quoted. */
  readonly hasQuotes: boolean
  readonly authors: Authors
  /** A packed update of the engine. */
  readonly state: Uint8Array
}

const VERSION = 2
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

function encodeRow(document: CachedDocument): Uint8Array {
  const { engine, own, covered, seals, hasQuotes, authors, state } = document
  const write = (to: 'preencode' | 'encode', head: State) => {
    c.uint8[to](head, VERSION)
    c.uint8[to](head, engine)
    for (const number of [own.entries, own.bytes, own.snapshot]) c.uint[to](head, number)
    coveredEncoding[to](head, [...covered])
    sealsEncoding[to](head, [...seals])
    c.bool[to](head, hasQuotes)
    authors[to](head)
  }
  const size: State = { start: 0, end: 0, buffer: null }
  write('preencode', size)
  const head = { start: 0, end: size.end, buffer: b4a.alloc(size.end) }
  write('encode', head)
  const rest = b4a.concat([head.buffer, state])
  return b4a.concat([hash(CONTEXT, rest), rest])
}

/** Null for a row of another version, or a damaged one. @throws Error on bytes that are no row */
function decodeRow(row: Uint8Array): CachedDocument | null {
  const rest = row.subarray(HASH_BYTES)
  if (!b4a.equals(hash(CONTEXT, rest), row.subarray(0, HASH_BYTES))) return null
  const head: State = { start: 0, end: rest.byteLength, buffer: rest }
  if (c.uint8.decode(head) !== VERSION) return null
  return {
    engine: c.uint8.decode(head),
    own: {
      entries: c.uint.decode(head),
      bytes: c.uint.decode(head),
      snapshot: c.uint.decode(head)
    },
    covered: coveredEncoding.decode(head),
    seals: sealsEncoding.decode(head),
    hasQuotes: c.bool.decode(head),
    authors: Authors.decode(head),
    state: rest.subarray(head.start)
  }
}

const coveredEncoding = c.array<Covered, Covered>({
  preencode(state, { length }) {
    state.end += 2 * HASH_BYTES
    c.uint.preencode(state, length)
  },
  encode(state, { core, length, treeHash }) {
    c.fixed32.encode(state, core)
    c.uint.encode(state, length)
    c.fixed32.encode(state, treeHash)
  },
  decode: (state) => ({
    core: c.fixed32.decode(state),
    length: c.uint.decode(state),
    treeHash: c.fixed32.decode(state)
  })
})

const sealsEncoding = c.array<Seal, Seal>({
  preencode(state, { seal }) {
    state.end += HASH_BYTES
    c.uint.preencode(state, seal)
  },
  encode(state, { core, seal }) {
    c.fixed32.encode(state, core)
    c.uint.encode(state, seal)
  },
  decode: (state) => ({ core: c.fixed32.decode(state), seal: c.uint.decode(state) })
})
