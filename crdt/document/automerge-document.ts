/**
 * A live Automerge document. Automerge's own documents are values: each change gives a new one. This holds the newest, and tells
 * when there is a newer.
 */
import * as A from '@automerge/automerge'
import { EventEmitter } from 'eventemitter3'

export interface AutomergeChange<T> {
  readonly patches: readonly A.Patch[]
  readonly before: A.Doc<T>
  readonly after: A.Doc<T>
  /** Who brought it in: null for what was changed here. */
  readonly origin: unknown
}

export interface AutomergeEvents<T> {
  change: [AutomergeChange<T>]
  /** Changes as Automerge encodes them, in an order in which they can be applied. */
  update: [changes: readonly Uint8Array[], origin: unknown]
  destroy: []
}

/** A live Automerge document, whatever its shape is. */
export interface AnyAutomergeDocument {
  readonly id: string
  readonly value: A.Doc<unknown>
  readonly isDestroyed: boolean
  bringIn(changes: readonly Uint8Array[], origin: unknown): void
  begin(saved: Uint8Array, heads: readonly string[], origin: unknown): void
  actAs(actor: string): void
  change(callback: A.ChangeFn<unknown>): void
  changeAt(heads: A.Heads, callback: A.ChangeFn<unknown>): void
  destroy(): void
  on(event: 'update', listener: (...args: AutomergeEvents<unknown>['update']) => void): unknown
  on(event: 'destroy', listener: () => void): unknown
  off(event: 'update', listener: (...args: AutomergeEvents<unknown>['update']) => void): unknown
  off(event: 'destroy', listener: () => void): unknown
}

/**
 * @example
 * const list = await space.documents.open<'automerge'>('todo', { engine: 'automerge' })
 * list.doc.change((draft) => (draft.items = ['milk']))
 * console.log(list.doc.value.items)
 */
export class AutomergeDocument<T = unknown>
  extends EventEmitter<AutomergeEvents<T>>
  implements AnyAutomergeDocument
{
  readonly id: string
  #value: A.Doc<T>
  #isDestroyed = false

  /** For the engine. */
  constructor(id: string) {
    super()
    this.id = id
    this.#value = A.init<T>()
  }

  /** The document as it is now: an Automerge value, for all of Automerge's functions that only read. */
  get value(): A.Doc<T> {
    return this.#value
  }

  get isDestroyed(): boolean {
    return this.#isDestroyed
  }

  /** Changes the document. What the callback throws changes nothing. */
  change(callback: A.ChangeFn<T>, message?: string): void {
    const named = message === undefined ? {} : { message }
    this.#advance((options) => A.change(this.#value, { ...options, ...named }, callback), null)
  }

  /** Changes the document as it was at some heads; what has come since is merged with it. */
  changeAt(heads: A.Heads, callback: A.ChangeFn<T>): void {
    this.#advance((options) => A.changeAt(this.#value, heads, options, callback).newDoc, null)
  }

  /** Takes over what another Automerge document has: one of the application's, say. It is imported, under the actors that it has. */
  merge(other: A.Doc<T>): void {
    const missing = A.getChanges(this.#value, other)
    this.#advance((options) => A.applyChanges(this.#value, missing, options)[0], null)
  }

  /** What else was written to a property at the same time, by the change that wrote it; undefined where nobody did. */
  conflicts(property: A.Prop): A.Conflicts | undefined {
    return A.getConflicts(this.#value, property)
  }

  /** Who changed what, oldest first, each with the document as it was then. */
  history(): A.State<T>[] {
    return A.getHistory(this.#value)
  }

  /** For the engine: brings changes of others in. @throws RangeError for what Automerge refuses; then nothing is changed */
  bringIn(changes: readonly Uint8Array[], origin: unknown): void {
    this.#advance((options) => A.applyChanges(this.#value, [...changes], options)[0], origin)
  }

  /**
   * For the engine: what an empty document is to hold, a saved one, or bundles and changes in any order.
   * @param heads that come of it: they name all that is below them
   * @throws RangeError where others come; then nothing is changed
   */
  begin(saved: Uint8Array, heads: readonly string[], origin: unknown): void {
    this.#advance((options) => {
      const begun = A.loadIncremental(A.init<T>(A.getActorId(this.#value)), saved, options)
      const isWhole = A.getHeads(begun).sort().join() === heads.toSorted().join()
      if (!isWhole) throw new RangeError('What came of it is not what it said')
      return begun
    }, origin)
  }

  /** For the engine: who changes it from now on. */
  actAs(actor: string): void {
    this.#value = A.clone(this.#value, actor)
  }

  /** For the engine. */
  destroy(): void {
    if (this.#isDestroyed) return
    this.#isDestroyed = true
    this.emit('destroy')
    this.removeAllListeners()
  }

  #advance(next: (options: A.ApplyOptions<T>) => A.Doc<T>, origin: unknown): void {
    const before = this.#value
    let patches: readonly A.Patch[] = []
    const after = next({ patchCallback: (all) => (patches = all) })
    this.#value = after
    const changes = this.listenerCount('update') === 0 ? [] : A.getChanges(before, after)
    if (changes.length > 0) this.emit('update', changes, origin)
    if (patches.length > 0) this.emit('change', { patches, before, after, origin })
  }
}
