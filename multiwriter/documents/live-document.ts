/** An open document, as one of its users holds it. */
import { EventEmitter } from 'eventemitter3'
import type { EngineDoc, EngineDocs } from '../../crdt/index.ts'
import type { DocumentStatus } from './own-updates.ts'
import type { Replica, ReplicaEvents } from './replica.ts'

interface LiveHooks<D> {
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
  /** Edits of other devices have this object's document as their origin, not null: an UndoManager leaves them alone. */
  readonly doc: D
  readonly #replica: Replica<D>
  readonly #hooks: LiveHooks<D>
  /** How to end the bindings that were made by this one. */
  readonly #bound = new Set<() => void>()
  #closing: Promise<void> | null = null

  /** @see Documents.open */
  constructor(replica: Replica<D>, hooks: LiveHooks<D>) {
    super()
    this.id = replica.id
    this.doc = replica.doc
    this.#replica = replica
    this.#hooks = hooks
    replica.events.on('status', this.#onstatus)
    replica.events.on('error', this.#onerror)
  }

  /** How many changes made on this device are not safe yet, and where. Told by the event `status`. */
  get status(): DocumentStatus {
    return this.#replica.status
  }

  /** Resolves when all that was edited here is as durable as the device promises. Without it, that is so some milliseconds later. */
  flush(): Promise<void> {
    return this.#replica.flush()
  }

  /**
   * Keeps a document of your own the same as this one, both ways, until either is gone or the returned function is called. What is
   * in it already is kept. `manyhands/yjs` has a provider made of this.
   * @param origin marks changes in `other` that come from here; changes so marked are not taken from it
   */
  bind(other: D, origin: unknown): () => void {
    const unbind = this.#replica.bind(other, {
      origin,
      onsubdoc: (subdoc) => this.#hooks.onsubdoc(subdoc),
      ondestroy: () => stop()
    })
    const stop = () => {
      unbind()
      this.#bound.delete(stop)
    }
    this.#bound.add(stop)
    this.#replica.tellLoaded(other)
    return stop
  }

  /** Saves what is unsaved; the last one to close a document frees its memory. Idempotent. @throws STORE_ codes: then it stays open */
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

  async #close(): Promise<void> {
    await this.#replica.flush()
    for (const stop of this.#bound) stop()
    this.#replica.events.off('status', this.#onstatus)
    this.#replica.events.off('error', this.#onerror)
    await this.#hooks.release()
    this.removeAllListeners()
  }

  readonly #onstatus = (status: DocumentStatus): void => {
    this.emit('status', status)
  }

  readonly #onerror = (error: unknown): void => {
    this.emit('error', error)
  }
}
