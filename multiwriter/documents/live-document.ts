/** An open document, as one of its users holds it. */
import { EventEmitter } from 'eventemitter3'
import type { Binding, EngineDoc, EngineDocs, Source, Spans } from '../../crdt/index.ts'
import { checkOptions, invalid, ManyhandsError } from '../../errors.ts'
import type { AuthoredRun } from './authorship.ts'
import type { ReadOptions } from '../../core/index.ts'
import { checkRead, READ_OPTIONS } from '../options.ts'
import type { DocumentStatus } from './own-updates.ts'
import type { Replica, ReplicaEvents } from './replica.ts'
import type {
  DocumentDifference,
  DocumentMoment,
  DocumentRevertOptions,
  DocumentRevertReport,
  DocumentTime,
  DocumentVersion,
  DocumentVersionsOptions
} from './time.ts'

interface LiveHooks<D extends EngineDoc> {
  readonly time: DocumentTime<D>
  /** All that the logs hold now is in the document. */
  readonly caughtUp: () => Promise<void>
  readonly release: () => Promise<void>
  /** A sub-document of a document bound to this one is wanted. */
  onsubdoc(subdoc: D): void
}

/**
 * A live document: what is edited in `doc` is kept, and what others edit appears there. Every `open` gives one of its own over the
 * same `doc`, which stays until all of them are closed.
 * @example
 * const todo = await space.documents.open('notes/todo')
 * todo.doc.getText('text').insert(0, 'Buy milk')
 */
export class LiveDocument<D extends EngineDoc = EngineDocs['yjs']>
  extends EventEmitter<ReplicaEvents>
  implements AsyncDisposable
{
  readonly id: string
  readonly #replica: Replica<D>
  readonly #hooks: LiveHooks<D>
  /** How to end the bindings that were made by this one. */
  readonly #bound = new Set<() => void>()
  #closing: Promise<void> | null = null

  /** @see Documents.open */
  constructor(replica: Replica<D>, hooks: LiveHooks<D>) {
    super()
    this.id = replica.id
    this.#replica = replica
    this.#hooks = hooks
    replica.events.on('status', this.#onstatus)
    replica.events.on('error', this.#onerror)
    replica.events.on('seal', this.#onseal)
    replica.events.on('reload', this.#onreload)
  }

  /**
   * Edits of other devices have this object's document as their origin, not null: an UndoManager leaves them alone. After the event
   * `reload` it is another one, and the former is destroyed.
   */
  get doc(): D {
    return this.#replica.doc
  }

  /** How many changes made on this device are not safe yet, and where. Told by the event `status`. */
  get status(): DocumentStatus {
    return this.#replica.status
  }

  /**
   * Resolves when all that was edited here until now is as durable as the device promises, whoever types on. Without it, that is so
   * some milliseconds later.
   */
  flush(): Promise<void> {
    return this.#replica.flush()
  }

  /**
   * Keeps a document of your own the same as this one, both ways, until either is gone, this one is another (`reload`), or the
   * returned function is called. What is in it already is kept, and counts as imported; from now on it writes under a client or actor
   * id of this device's. `manyhands/yjs` has a provider made of this.
   * @param origin marks changes in `other` that come from here; changes so marked are not taken from it
   * @param session of `documents.newClientId`, whose id `other` writes under already
   */
  bind(other: D, origin: unknown, session?: number): () => void {
    const binding: Binding<D> = {
      origin,
      onsubdoc: (subdoc) => this.#hooks.onsubdoc(subdoc),
      ondestroy: () => stop()
    }
    const unbind = this.#replica.bind(other, binding, session)
    const stop = () => {
      unbind()
      this.#bound.delete(stop)
    }
    this.#bound.add(stop)
    this.#replica.tellLoaded(other)
    return stop
  }

  /**
   * Which device wrote which characters of a text from one index to another, and in which minute: proved by the logs that they
   * stand in.
   * @param options `of`: the text, by its name (Yjs: or the shared type itself; Automerge: or its path); needed when there are several
   * @throws INVALID_ARGUMENT
   * @example for (const { from, to, writer, time } of todo.authorship()) console.log(from, to, writer, time)
   */
  authorship(
    from = 0,
    to = Infinity,
    options: { readonly of?: unknown } = {}
  ): readonly AuthoredRun[] {
    checkOptions('authorship', options, ['of'])
    if (!isIndex(from)) invalid('from', 'an index', from)
    if (!isIndex(to) && to !== Infinity) invalid('to', 'an index', to)
    return this.#replica.authorship(options.of, from, to)
  }

  /**
   * A client id (Yjs) or actor id (Automerge) for a copy of this document elsewhere, in a page say: what is written under it and
   * brought in here is proved to be this device's. Under any other id it counts as imported. Each copy needs its own.
   */
  newSource(): Source {
    return this.#replica.newSource()
  }

  /**
   * The document's history, oldest first: a version for each time that something was written, a burst of typing. Looks through all
   * that is kept of it. What was cleared is no part of it: then it begins with a 'summary'.
   * @throws INVALID_ARGUMENT, VERSION_INVALID, VERSION_FOREIGN, DOCUMENT_CLOSED, at once; BLOCK_UNAVAILABLE, from the loop
   * @example for await (const { version, writer, stamp } of note.versions({ reverse: true, limit: 10 })) console.log(writer, stamp.ms)
   */
  versions(options: DocumentVersionsOptions = {}): AsyncGenerator<DocumentVersion, void, void> {
    this.#checkOpen()
    return this.#hooks.time.versions(options)
  }

  /**
   * The document as it was, as one of your own: what is edited in it goes nowhere.
   * @param moment a version of this document or of its space, or a time: then all that was stamped until then
   * @throws INVALID_ARGUMENT, VERSION_INVALID, VERSION_FOREIGN, VERSION_UNAVAILABLE, BLOCK_UNAVAILABLE, DOCUMENT_CLOSED
   * @example const yesterday = await note.at(Date.now() - 86_400_000)
   */
  async at(moment: DocumentMoment, options: ReadOptions = {}): Promise<D> {
    this.#checkOpen()
    return (await this.#hooks.time.at(moment, options)).doc
  }

  /**
   * What came between two moments, place by place, and whose it is. Without the second: until now.
   * @throws as `at`
   * @example for (const { path, before, after } of await note.diff(version)) console.log(path, before, after)
   */
  async diff(
    from: DocumentMoment,
    to?: DocumentMoment,
    options: ReadOptions = {}
  ): Promise<readonly DocumentDifference[]> {
    this.#checkOpen()
    const { time } = this.#hooks
    const before = await time.at(from, options)
    if (to !== undefined) {
      const after = await time.at(to, options)
      return time.diff(before.doc, after.doc, [...before.updates, ...after.updates])
    }
    await this.#replica.flushIfAllowed()
    const updates = await time.updates(options)
    this.#checkOpen()
    return time.diff(before.doc, this.doc, [...before.updates, ...updates])
  }

  /**
   * Makes the document show what it showed then, by an edit like any other: it can be undone, and nothing of history is lost. What
   * is there and was there then stays as it is, with the cursors in it.
   * @throws as `at`
   */
  async restore(moment: DocumentMoment, options: ReadOptions = {}): Promise<void> {
    this.#checkOpen()
    const then = await this.#hooks.time.at(moment, options)
    await this.#hooks.caughtUp()
    this.#checkOpen()
    this.#hooks.time.restore(this.doc, then.doc)
    this.#hooks.time.discard(then.doc)
  }

  /**
   * Undoes what one writer did after a moment, by an edit of ours: what it inserted is deleted, what it deleted comes back, and what
   * others wrote stays. Reverting twice is reverting once.
   * @throws INVALID_ARGUMENT for a writer that is not of this space; as `at`
   * @example await note.revert({ writer: phone.writer, after: version })
   */
  async revert(options: DocumentRevertOptions): Promise<DocumentRevertReport> {
    this.#checkOpen()
    checkOptions('revert', options, [...READ_OPTIONS, 'writer', 'after'])
    checkRead(options)
    await this.#replica.flush()
    const states = await this.#hooks.time.revertStates(options)
    if (states === null) return { updates: 0, kept: 0 }
    await this.#hooks.caughtUp()
    this.#checkOpen()
    const { now, without, report } = states
    this.#hooks.time.restore(this.doc, without, now)
    this.#hooks.time.discard(now)
    this.#hooks.time.discard(without)
    return report
  }

  /**
   * Saves what is unsaved; the last one to close a document frees its memory. What a device may not write any more is told by
   * `error`, and not kept. Idempotent. @throws STORE_ codes: then it stays open
   */
  close(): Promise<void> {
    this.#closing ??= this.#close().catch((error: unknown) => {
      this.#closing = null
      throw error
    })
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #checkOpen(): void {
    if (this.#closing !== null || this.doc.isDestroyed)
      throw new ManyhandsError('DOCUMENT_CLOSED', `The document "${this.id}" is closed`)
  }

  async #close(): Promise<void> {
    await this.#replica.flushIfAllowed()
    for (const stop of this.#bound) stop()
    this.#replica.events.off('status', this.#onstatus)
    this.#replica.events.off('error', this.#onerror)
    this.#replica.events.off('seal', this.#onseal)
    this.#replica.events.off('reload', this.#onreload)
    await this.#hooks.release()
    this.removeAllListeners()
  }

  readonly #onstatus = (status: DocumentStatus): void => {
    this.emit('status', status)
  }

  readonly #onerror = (error: unknown): void => {
    this.emit('error', error)
  }

  readonly #onseal = (struck: Spans): void => {
    this.emit('seal', struck)
  }

  readonly #onreload = (): void => {
    this.emit('reload')
  }
}

function isIndex(index: unknown): boolean {
  return Number.isSafeInteger(index) && Number(index) >= 0
}
