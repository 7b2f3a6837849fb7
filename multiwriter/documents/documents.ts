/**
 * The documents of a space. Each writer's updates of a document stand in its own log (docs/FORMAT.md, "Documents"); a document is
 * all of them together. Open ones follow what arrives; closed ones take no memory.
 */
import b4a from 'b4a'
import {
  clientIdOf,
  ENGINE_NAMES,
  type AutomergeDocument,
  type EngineDoc,
  type EngineDocs,
  type EngineName,
  type Value
} from '../../crdt/index.ts'
import { checkOptions, invalid, ManyhandsError } from '../../errors.ts'
import type { OrderedStore, OwnLog, ReadOptions } from '../../core/index.ts'
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
import { checkId, ID_KEYS } from './keys.ts'
import { LiveDocument } from './live-document.ts'
import { USUAL_UPKEEP, type AheadOut, type DocumentParts, type DocumentSupport } from './parts.ts'
import { Replica } from './replica.ts'
import { drawSession, Sources } from './sources.ts'
import { DocumentTime, type DocumentMoment } from './time.ts'
import type { AheadPath } from './unconfirmed.ts'

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
  /** Whether a writer's log counts at this key. */
  counts(core: Uint8Array, key: Uint8Array): boolean
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
interface Held<D extends EngineDoc> {
  readonly replica: Promise<Replica<D>>
  count: number
}

type ByEngine<T extends { readonly [E in EngineName]: unknown }> = {
  readonly [E in EngineName]: Map<string, T[E]>
}

export interface OpenDocumentOptions<E extends EngineName> extends ReadOptions {
  /** Which library's document it is: 'yjs' (default) or 'automerge'. */
  readonly engine?: E
}

interface AutomergeOptions {
  readonly engine: 'automerge'
}

type AnyDocument = LiveDocument<EngineDocs['yjs']> | LiveDocument<EngineDocs['automerge']>

export class Documents implements AheadIn {
  /** What is told of each document, by its id: a title, say. A database like any other: it merges, and shows conflicts. */
  readonly metadata: MultiBee
  readonly #parts: DocumentsParts
  readonly #deletions: Deletions
  readonly #cache: DocumentCache
  readonly #codec: AheadCodec
  readonly #ahead: AheadOut
  readonly #feed: Feed
  readonly #held: ByEngine<{ readonly [E in EngineName]: Held<EngineDocs[E]> }> = {
    yjs: new Map(),
    automerge: new Map()
  }
  /** Documents that are being released: who opens one again waits. */
  readonly #releasing = new Map<string, Promise<void>>()
  readonly #replicas: ByEngine<{ readonly [E in EngineName]: Replica<EngineDocs[E]> }> = {
    yjs: new Map(),
    automerge: new Map()
  }
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
      isWanted: (id) => this.#shown(id).length > 0,
      isKnown: ({ isOwn, tree }, from) => isOwn && parts.own.hasWritten(from, tree.length),
      onarrival: ({ id, view, entries }) => {
        for (const replica of this.#shown(id)) replica.receive(view, entries)
      },
      onread: (lengths) => {
        for (const replica of this.#all()) replica.cover(lengths)
      },
      onseals: () => {
        for (const replica of this.#all()) replica.reseal()
      }
    })
  }

  /**
   * A live document, with all that is known of it on this device. Where there is none yet it is empty, and its first edit makes it.
   * @param id any name of 1 to 255 bytes
   * @throws INVALID_ARGUMENT, DOCUMENTS_UNAVAILABLE, DOCUMENT_ENGINE, SPACE_CLOSED; BLOCK_UNAVAILABLE, in a sparse space
   * @example
   * const todo = await space.documents.open('notes/todo')
   * todo.doc.getText('text').insert(0, 'Buy milk')
   */
  open(id: string, options?: OpenDocumentOptions<'yjs'>): Promise<LiveDocument>
  /** @example const list = await space.documents.open<List>('todo', { engine: 'automerge' }) */
  open<T>(
    id: string,
    options: AutomergeOptions & ReadOptions
  ): Promise<LiveDocument<AutomergeDocument<T>>>
  async open(id: string, options: OpenDocumentOptions<EngineName> = {}): Promise<AnyDocument> {
    checkId(id)
    checkOptions('open', options, OPEN_OPTIONS)
    const { engine = 'yjs', ...read } = options
    checkEngine(engine)
    checkRead(read)
    // One after the other, so that each keeps its type.
    return engine === 'yjs'
      ? this.#open('yjs', id, read, {})
      : this.#open('automerge', id, read, {})
  }

  /**
   * A document as it was, without opening it. @see LiveDocument.at
   * @param moment a version of the document or of the space, or a time
   * @throws INVALID_ARGUMENT, VERSION_INVALID, VERSION_FOREIGN, VERSION_UNAVAILABLE; as `open`
   * @example const then = await space.documents.checkout('notes/todo', yesterday)
   */
  checkout(
    id: string,
    moment: DocumentMoment,
    options?: OpenDocumentOptions<'yjs'>
  ): Promise<EngineDocs['yjs']>
  checkout<T>(
    id: string,
    moment: DocumentMoment,
    options: AutomergeOptions & ReadOptions
  ): Promise<AutomergeDocument<T>>
  async checkout(
    id: string,
    moment: DocumentMoment,
    options: OpenDocumentOptions<EngineName> = {}
  ): Promise<EngineDoc> {
    this.#checkOpen()
    checkId(id)
    checkOptions('checkout', options, OPEN_OPTIONS)
    const { engine = 'yjs', ...read } = options
    checkEngine(engine)
    const time = engine === 'yjs' ? await this.#time('yjs', id) : await this.#time('automerge', id)
    return (await time.at(moment, read)).doc
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
    // What was typed here before is meant, too.
    await Promise.all(this.#shown(id).map((replica) => replica.flush()))
    await this.#deletions.add(id, await this.#parts.engine.union.view({ wait: false }))
  }

  /** Brings a deleted document back into the list. @throws INVALID_ARGUMENT, SPACE_CLOSED, STORE_ codes */
  async restore(id: string): Promise<void> {
    this.#checkOpen()
    checkId(id)
    await this.#deletions.remove(id)
  }

  /**
   * A Yjs client id for a document of your own that is to be bound to this one, before it is open: editors look at a document's id
   * once. Set it, and give the session to `bind`: then what is typed in it is proved to be this device's.
   * @throws INVALID_ARGUMENT
   */
  newClientId(id: string): { readonly clientId: number; readonly session: number } {
    const session = drawSession()
    const sources = new Sources({ sourceOf: clientIdOf }, checkId(id))
    return { clientId: Number(sources.of(this.#parts.own.core.key, session)), session }
  }

  /** What somebody signed, ahead of its log. For the space; not for applications. */
  hear(signed: Uint8Array, from: AheadPath): PresenceRefusalReason | null {
    const ahead = this.#codec.read(signed)
    if (typeof ahead === 'string') return ahead
    const { own, hub } = this.#parts
    const replicas = this.#shown(ahead.id)
    const [one] = replicas
    const isOurs = b4a.equals(ahead.core, own.core.key)
    if (one === undefined || this.#isClosed || isOurs) return null
    if (!hub.counts(ahead.core, one.prefix)) return 'unknown-writer'
    if (!ahead.isTrue()) return 'forged'
    const refusals = replicas.map((replica) => replica.hear(ahead, from))
    return refusals.find((reason) => reason !== null) ?? null
  }

  /** Rights have changed: what was refused may be written now. For the space; not for applications. */
  retry(): void {
    if (!this.#parts.queue.mayWrite()) return
    for (const replica of this.#all()) replica.retry()
  }

  /** A connection is gone. For the space; not for applications. */
  lose(from: AheadPath): void {
    for (const replica of this.#all()) replica.lose(from)
  }

  /** Writes what is unsaved, and closes all documents. For the space; not for applications. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const opening = ENGINE_NAMES.flatMap((name) => [...this.#held[name].values()])
    await Promise.allSettled(opening.map(({ replica }) => replica))
    await Promise.allSettled(this.#releasing.values())
    const replicas = this.#all()
    const flushed = await Promise.allSettled(replicas.map((replica) => replica.flushIfAllowed()))
    await Promise.all(replicas.map((replica) => replica.settle()))
    await Promise.all(replicas.map((replica) => replica.save()))
    await this.#feed.stop()
    this.#parts.own.core.off('remote-contiguous-length', this.#onsynced)
    const ended = await Promise.allSettled(replicas.map((replica) => endOf(replica)))
    this.#isGone = true
    await this.#cache.close()
    // Shown last: whatever failed, everything is closed.
    for (const each of [...flushed, ...ended]) if (each.status === 'rejected') throw each.reason
  }

  async #time<E extends EngineName>(name: E, id: string): Promise<DocumentTime<EngineDocs[E]>> {
    const library = await this.#support().loadEngine(name)
    return new DocumentTime({ id, engine: this.#parts.engine, library, codec: this.#codec })
  }

  /** A document as it is open here, by any engine. */
  #shown(id: string) {
    return ENGINE_NAMES.flatMap((name) => this.#replicas[name].get(id) ?? [])
  }

  #all() {
    return ENGINE_NAMES.flatMap((name) => [...this.#replicas[name].values()])
  }

  async #open<E extends EngineName>(
    name: E,
    id: string,
    options: ReadOptions,
    first: Metadata
  ): Promise<LiveDocument<EngineDocs[E]>> {
    this.#checkOpen()
    for (;;) {
      const releasing = this.#releasing.get(releaseOf(name, id))
      if (releasing === undefined) break
      await releasing
      this.#checkOpen()
    }
    const held = this.#hold(name, id, options, first)
    try {
      return new LiveDocument(await held.replica, {
        time: await this.#time(name, id),
        caughtUp: () => this.#feed.caughtUp(),
        release: () => this.#release(name, id, held),
        onsubdoc: (subdoc) => this.#adopt(id, subdoc)
      })
    } catch (error) {
      this.#drop(name, id, held)
      throw error
    }
  }

  #hold<E extends EngineName>(
    name: E,
    id: string,
    options: ReadOptions,
    first: Metadata
  ): Held<EngineDocs[E]> {
    const known = this.#heldBy(name).get(id)
    if (known !== undefined) {
      known.count++
      return known
    }
    const held = { replica: this.#load(name, id, options, first), count: 1 }
    this.#heldBy(name).set(id, held)
    return held
  }

  async #load<E extends EngineName>(
    name: E,
    id: string,
    options: ReadOptions,
    first: Metadata
  ): Promise<Replica<EngineDocs[E]>> {
    const engine = await this.#support().loadEngine(name)
    await this.#feed.start()
    this.#checkOpen()
    const replica = new Replica(id, this.#partsOf<E>(id, first), engine)
    // From here on it hears what arrives, so that nothing is missed between reading and following.
    this.#replicasBy(name).set(id, replica)
    try {
      await replica.load(options)
      return replica
    } catch (error) {
      this.#replicasBy(name).delete(id)
      replica.close()
      throw error
    }
  }

  #drop<E extends EngineName>(name: E, id: string, held: Held<EngineDocs[E]>): void {
    held.count--
    if (held.count > 0 || this.#heldBy(name).get(id) !== held) return
    this.#heldBy(name).delete(id)
    if (ENGINE_NAMES.every((each) => this.#held[each].size === 0)) this.#feed.pause()
  }

  async #release<E extends EngineName>(
    name: E,
    id: string,
    held: Held<EngineDocs[E]>
  ): Promise<void> {
    this.#drop(name, id, held)
    if (held.count > 0 || this.#isClosed) return
    const released = held.replica.then((replica) => this.#free(name, id, replica))
    const key = releaseOf(name, id)
    const done = released.finally(() => this.#releasing.delete(key))
    this.#releasing.set(key, done)
    await done
  }

  async #free<E extends EngineName>(
    name: E,
    id: string,
    replica: Replica<EngineDocs[E]>
  ): Promise<void> {
    await replica.settle()
    await replica.save()
    await endOf(replica).finally(() => this.#replicasBy(name).delete(id))
  }

  #heldBy<E extends EngineName>(name: E): Map<string, Held<EngineDocs[E]>> {
    return this.#held[name]
  }

  #replicasBy<E extends EngineName>(name: E): Map<string, Replica<EngineDocs[E]>> {
    return this.#replicas[name]
  }

  #partsOf<E extends EngineName>(id: string, first: Metadata): DocumentParts<EngineDocs[E]> {
    const { engine, own, queue } = this.#parts
    const { timers, upkeep = USUAL_UPKEEP } = this.#support()
    return {
      own,
      queue,
      union: engine.union,
      refusals: engine.refusals,
      timers,
      upkeep,
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

  /** A sub-document is a document of its own, by its guid, as long as somebody has it loaded. Only Yjs has such. */
  #adopt(parent: string, subdoc: EngineDoc): void {
    if (!('guid' in subdoc)) return
    this.#adoptNow(parent, subdoc).catch((error: unknown) =>
      this.#replicas.yjs.get(parent)?.events.emit('error', error)
    )
  }

  async #adoptNow(parent: string, subdoc: EngineDocs['yjs']): Promise<void> {
    const live = await this.#open('yjs', checkId(subdoc.guid), {}, { parent })
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
    for (const replica of this.#all()) replica.synced(length)
  }

  #support(): DocumentSupport {
    if (this.#parts.support !== null) return this.#parts.support
    throw new ManyhandsError('DOCUMENTS_UNAVAILABLE', 'This device was opened without documents')
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new ManyhandsError('SPACE_CLOSED', 'The space is closed')
  }
}

/** Writes what was still typed while a document was saved; then it is gone from memory. */
async function endOf(
  replica: Pick<Replica<EngineDoc>, 'flushAllIfAllowed' | 'close'>
): Promise<void> {
  try {
    await replica.flushAllIfAllowed()
  } finally {
    replica.close()
  }
}

const OPEN_OPTIONS = [...READ_OPTIONS, 'engine']

/** @throws INVALID_ARGUMENT */
function checkEngine(name: EngineName): void {
  if (!ENGINE_NAMES.includes(name)) invalid('engine', `one of ${ENGINE_NAMES.join(', ')}`, name)
}

function releaseOf(name: EngineName, id: string): string {
  return `${name} ${id}`
}

/** What one device sends. */
function aheadOut(
  codec: AheadCodec,
  { hub, own, queue }: Pick<DocumentsParts, 'hub' | 'own' | 'queue'>
): AheadOut {
  // What no log will hold goes ahead of none.
  return {
    isHeard: () => hub.takesAhead && queue.mayWrite(),
    send: (update, key) =>
      hub.takesAhead && queue.mayWrite([{ key }]) && hub.sendAhead(codec.sign(update, own)),
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
