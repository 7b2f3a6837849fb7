/**
 * The documents of a space. Each writer's updates of a document stand in its own log (docs/FORMAT.md, "Documents"); a document is
 * all of them together. Open ones follow what arrives; closed ones take no memory.
 */
import b4a from 'b4a'
import type { EngineDoc, Value } from '../../crdt/index.ts'
import { checkOptions, ManyhandsError } from '../../errors.ts'
import type { OrderedStore, OwnLog, ReadOptions } from '../../core/index.ts'
import { checkoutOf, readVersion } from '../checkout.ts'
import type { Engine } from '../engine.ts'
import { valueEncodingOf } from '../encodings.ts'
import { Keyspace, SECTION_DELETIONS, SECTION_METADATA, type Range } from '../keyspace.ts'
import { MultiBee, type Conflict } from '../multibee.ts'
import { checkRead, RANGE_OPTIONS, READ_OPTIONS } from '../options.ts'
import type { PresenceRefusalReason } from '../presence/counts.ts'
import type { AheadIn } from '../presence/hub.ts'
import type { WriteQueue } from '../write-queue.ts'
import { AheadCodec } from './ahead.ts'
import { DocumentCache } from './cache.ts'
import { Deletions, isGone } from './deletions.ts'
import { Feed } from './feed.ts'
import { checkId, ID_KEYS, UpdateKeys } from './keys.ts'
import { LiveDocument } from './live-document.ts'
import type { AheadOut, DocumentParts, DocumentSupport } from './parts.ts'
import { readAll } from './read.ts'
import { Replica } from './replica.ts'
import type { AheadPath } from './unconfirmed.ts'
import { readUpdates } from './updates.ts'

export interface DocumentsParts {
  readonly engine: Engine
  readonly own: OwnLog
  readonly queue: WriteQueue
  /** The space's address. */
  readonly address: Uint8Array
  readonly hub: AheadHub
  /** Null where the device was made without documents. */
  readonly support: DocumentSupport | null
  /** Where open documents are kept for the next time: a store of its own. */
  readonly openCache: () => Promise<OrderedStore>
}

/** What goes ahead of the logs: to connected devices, and from them. */
export interface AheadHub {
  readonly takesAhead: boolean
  sendAhead(signed: Uint8Array, except?: AheadPath): boolean
  /** Whether a writer's log counts. */
  counts(core: Uint8Array): boolean
}

/** What is told of a document: fields of the application's choice. A sub-document has `parent`, the id it was first seen in. */
export type Metadata = { readonly [field: string]: Value }

export interface ListedDocument {
  readonly id: string
  readonly metadata: Metadata
  /** What others wrote of it at the same time, field by field. `documents.metadata.resolve` settles them. */
  readonly conflicts: readonly Conflict<Value>[]
}

/** An open document, and who holds it. */
interface Held {
  readonly replica: Promise<Replica>
  count: number
}

export class Documents implements AheadIn {
  /** What is told of each document, by its id: a title, say. A database like any other: it merges, and shows conflicts. */
  readonly metadata: MultiBee
  readonly #parts: DocumentsParts
  readonly #deletions: Deletions
  readonly #cache: DocumentCache
  readonly #codec: AheadCodec
  readonly #ahead: AheadOut
  readonly #feed: Feed
  readonly #held = new Map<string, Held>()
  /** Documents that are being released: who opens one again waits. */
  readonly #releasing = new Map<string, Promise<void>>()
  readonly #replicas = new Map<string, Replica>()
  #isClosed = false
  /** Nothing is written any more. */
  #isGone = false

  constructor(parts: DocumentsParts) {
    this.#parts = parts
    this.metadata = this.#database(SECTION_METADATA)
    this.#deletions = new Deletions(this.#database(SECTION_DELETIONS, true))
    this.#cache = new DocumentCache(parts.openCache)
    this.#codec = new AheadCodec(parts.address)
    this.#ahead = aheadOut(this.#codec, parts)
    parts.own.core.on('remote-contiguous-length', this.#onsynced)
    this.#feed = new Feed(parts.engine.union, {
      isWanted: (id) => this.#replicas.has(id),
      isKnown: ({ isOwn, tree }, from) => isOwn && parts.own.hasWritten(from, tree.length),
      onarrival: ({ id, view, entries }) => this.#replicas.get(id)?.receive(view, entries),
      onread: (lengths) => this.#replicas.forEach((replica) => replica.cover(lengths))
    })
  }

  /**
   * A live document, with all that is known of it on this device. Where there is none yet it is empty, and its first edit makes it.
   * @param id any name of 1 to 255 bytes
   * @throws INVALID_ARGUMENT, DOCUMENTS_UNAVAILABLE, SPACE_CLOSED; BLOCK_UNAVAILABLE, in a sparse space
   * @example
   * const todo = await space.documents.open('notes/todo')
   * todo.doc.getText('text').insert(0, 'Buy milk')
   */
  async open(id: string, options: ReadOptions = {}): Promise<LiveDocument> {
    checkId(id)
    checkOptions('open', options, READ_OPTIONS)
    checkRead(options)
    return this.#open(id, options, {})
  }

  /**
   * A document as it was at a version, of one's own: what is edited in it goes nowhere.
   * @param version a text of `space.version()`
   * @throws VERSION_INVALID, VERSION_FOREIGN, VERSION_UNAVAILABLE; as `open`
   * @example const then = await space.documents.checkout('notes/todo', await space.at(yesterday))
   */
  async checkout(id: string, version: string): Promise<EngineDoc> {
    this.#checkOpen()
    checkId(id)
    const { engine } = this.#parts
    const then = checkoutOf(engine, readVersion(version, engine.tag))
    const library = await this.#support().loadEngine()
    const view = await then.view({})
    const entries = await readAll(view, new UpdateKeys(id).range, {})
    const reader = {
      view,
      refusals: engine.refusals,
      engine: library.code,
      id,
      codec: this.#codec
    }
    const doc = library.create(id)
    library.apply(
      doc,
      readUpdates(reader, entries).map(({ bytes }) => bytes),
      null
    )
    return doc
  }

  /**
   * All documents that anything is told of, which is each that was ever edited, in the order of their ids; without deleted ones.
   * @example for await (const { id, metadata } of space.documents.list({ gte: 'notes/', lt: 'notes0' })) console.log(id, metadata.title)
   */
  async *list(options: Range<string> = {}): AsyncGenerator<ListedDocument, void, void> {
    checkOptions('list', options, RANGE_OPTIONS)
    this.#checkOpen()
    const view = await this.#parts.engine.union.view({ wait: false })
    const deleted = await this.#deletions.all()
    for await (const { key, value, conflicts } of this.metadata.createReadStream(options)) {
      const lengths = deleted.get(key)
      if (lengths !== undefined && (await isGone(key, lengths, view))) continue
      const metadata = isObject(value) ? value : {}
      yield { id: key, metadata, conflicts }
    }
  }

  /**
   * Takes a document out of the list, on every device. Its content stays in the logs: an edit that had not seen the deletion, or
   * comes later, brings it back, and so does `restore`. Who has it open keeps it.
   * @throws INVALID_ARGUMENT, SPACE_CLOSED, STORE_ codes
   */
  async delete(id: string): Promise<void> {
    this.#checkOpen()
    checkId(id)
    await this.#replicas.get(id)?.flush() // what was typed here before is meant, too
    await this.#deletions.add(id, await this.#parts.engine.union.view({ wait: false }))
  }

  /** Brings a deleted document back into the list. @throws INVALID_ARGUMENT, SPACE_CLOSED, STORE_ codes */
  async restore(id: string): Promise<void> {
    this.#checkOpen()
    checkId(id)
    await this.#deletions.remove(id)
  }

  /** What somebody signed, ahead of its log. For the space; not for applications. */
  hear(signed: Uint8Array, from: AheadPath): PresenceRefusalReason | null {
    const ahead = this.#codec.read(signed)
    if (typeof ahead === 'string') return ahead
    const replica = this.#replicas.get(ahead.id)
    const { own, hub } = this.#parts
    if (replica === undefined || this.#isClosed || b4a.equals(ahead.core, own.core.key)) return null
    if (!hub.counts(ahead.core)) return 'unknown-writer'
    return ahead.isTrue() ? replica.hear(ahead, from) : 'forged'
  }

  /** A connection is gone. For the space; not for applications. */
  lose(from: AheadPath): void {
    for (const replica of this.#replicas.values()) replica.lose(from)
  }

  /** Writes what is unsaved, and closes all documents. For the space; not for applications. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await Promise.allSettled([...this.#held.values()].map(({ replica }) => replica))
    await Promise.allSettled(this.#releasing.values())
    const replicas = [...this.#replicas.values()]
    const flushed = await Promise.allSettled(replicas.map((replica) => replica.flush()))
    await Promise.all(replicas.map((replica) => replica.settle()))
    await Promise.all(replicas.map((replica) => replica.save()))
    this.#isGone = true
    await this.#feed.stop()
    this.#parts.own.core.off('remote-contiguous-length', this.#onsynced)
    for (const replica of replicas) replica.close()
    await this.#cache.close()
    // Shown last: whatever failed, everything is closed.
    for (const each of flushed) if (each.status === 'rejected') throw each.reason
  }

  async #open(id: string, options: ReadOptions, first: Metadata): Promise<LiveDocument> {
    this.#checkOpen()
    for (;;) {
      const releasing = this.#releasing.get(id)
      if (releasing === undefined) break
      await releasing
      this.#checkOpen()
    }
    const held = this.#hold(id, options, first)
    try {
      return new LiveDocument(await held.replica, {
        release: () => this.#release(id, held),
        onsubdoc: (subdoc) => this.#adopt(id, subdoc)
      })
    } catch (error) {
      this.#drop(id, held)
      throw error
    }
  }

  #hold(id: string, options: ReadOptions, first: Metadata): Held {
    const known = this.#held.get(id)
    if (known !== undefined) {
      known.count++
      return known
    }
    const held = { replica: this.#load(id, options, first), count: 1 }
    this.#held.set(id, held)
    return held
  }

  async #load(id: string, options: ReadOptions, first: Metadata): Promise<Replica> {
    const engine = await this.#support().loadEngine()
    await this.#feed.start()
    this.#checkOpen()
    const replica = new Replica(id, this.#partsOf(id, first), engine)
    // From here on it hears what arrives, so that nothing is missed between reading and following.
    this.#replicas.set(id, replica)
    try {
      await replica.load(options)
      return replica
    } catch (error) {
      this.#replicas.delete(id)
      replica.close()
      throw error
    }
  }

  #drop(id: string, held: Held): void {
    held.count--
    if (held.count > 0 || this.#held.get(id) !== held) return
    this.#held.delete(id)
    if (this.#held.size === 0) this.#feed.pause()
  }

  async #release(id: string, held: Held): Promise<void> {
    this.#drop(id, held)
    if (held.count > 0 || this.#isClosed) return
    const released = held.replica.then((replica) => this.#free(id, replica))
    const done = released.finally(() => this.#releasing.delete(id))
    this.#releasing.set(id, done)
    await done
  }

  async #free(id: string, replica: Replica): Promise<void> {
    try {
      await replica.settle()
      await replica.save()
      await replica.flush() // what was still typed meanwhile
    } finally {
      this.#replicas.delete(id)
      replica.close()
    }
  }

  #partsOf(id: string, first: Metadata): DocumentParts {
    const { engine, own, queue } = this.#parts
    return {
      own,
      queue,
      union: engine.union,
      refusals: engine.refusals,
      timers: this.#support().timers,
      cache: this.#cache,
      codec: this.#codec,
      ahead: this.#ahead,
      tellOf: () => this.#tellOf(id, first),
      onsubdoc: (subdoc) => this.#adopt(id, subdoc)
    }
  }

  async #tellOf(id: string, first: Metadata): Promise<void> {
    if ((await this.metadata.get(id, { wait: false })) !== null) return
    await this.metadata.put(id, first, { cas: (previous) => previous === null })
  }

  /** A sub-document is a document of its own, by its guid, as long as somebody has it loaded. */
  #adopt(parent: string, subdoc: EngineDoc): void {
    this.#adoptNow(parent, subdoc).catch((error: unknown) =>
      this.#replicas.get(parent)?.events.emit('error', error)
    )
  }

  async #adoptNow(parent: string, subdoc: EngineDoc): Promise<void> {
    const live = await this.#open(checkId(subdoc.guid), {}, { parent })
    if (subdoc.isDestroyed) return live.close()
    live.bind(subdoc, live)
    subdoc.on('destroy', () => {
      live.close().catch((error: unknown) => live.emit('error', error))
    })
  }

  /** @param isAtomic its values are wholes: fields of different writes do not belong together */
  #database(section: number, isAtomic = false): MultiBee {
    // While the space closes, what is unsaved is still told of.
    const isClosed = () => this.#isGone
    return new MultiBee(
      { ...this.#parts.engine, isClosed, close: () => Promise.resolve() },
      new Keyspace([], section),
      ID_KEYS,
      valueEncodingOf('json'),
      [],
      isAtomic
    )
  }

  readonly #onsynced = (length: number): void => {
    for (const replica of this.#replicas.values()) replica.synced(length)
  }

  #support(): DocumentSupport {
    if (this.#parts.support !== null) return this.#parts.support
    throw new ManyhandsError('DOCUMENTS_UNAVAILABLE', 'This device was opened without documents')
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new ManyhandsError('SPACE_CLOSED', 'The space is closed')
  }
}

/** What one device sends. */
function aheadOut(codec: AheadCodec, { hub, own }: Pick<DocumentsParts, 'hub' | 'own'>): AheadOut {
  return {
    isHeard: () => hub.takesAhead,
    send: (update) => hub.takesAhead && hub.sendAhead(codec.sign(update, own)),
    passOn: (signed, from) => void hub.sendAhead(signed, from)
  }
}

function isObject(value: Value): value is Metadata {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !ArrayBuffer.isView(value)
  )
}
