/**
 * A provider for a Y.Doc of the application's own: what is edited in it is kept by a space, and what other devices edit appears
 * in it. For editors and libraries that bring their document along; who has none takes the one of `space.documents.open`.
 *
 * The names and events are those of the usual Yjs providers, so that what works with one works with this. Here there is no server
 * to connect to: "connected" means that the document is bound to what this device stores, offline as well.
 */
import { ObservableV2 } from 'lib0/observable'
import { Awareness, removeAwarenessStates } from 'y-protocols/awareness'
import { applyUpdate, encodeStateAsUpdate, type Doc } from 'yjs'
import type { LiveDocument, Space } from '../../multiwriter/index.ts'
import { bindAwareness } from './awareness.ts'
import { holdTopic, releaseTopic } from './topics.ts'

export interface SpaceProviderOptions {
  /** Cursors and names, shown to everybody who has the document open by a provider. Default: one of its own. */
  readonly awareness?: Awareness
  /** Begin at once. Default true; else with `connect()`. */
  readonly connect?: boolean
}

export type ProviderStatus = 'connected' | 'connecting' | 'disconnected'

export type SpaceProviderEvents = {
  status: (event: { readonly status: ProviderStatus }) => void
  /** The document has all that this device knows of it; false when it no longer follows. */
  sync: (isSynced: boolean) => void
  synced: (isSynced: boolean) => void
  /** What is sealed could only be taken out of a document made anew: this one follows no more. Open another `Doc`. */
  reload: (provider: SpaceProvider) => void
  'connection-error': (error: unknown, provider: SpaceProvider) => void
}

/**
 * It gives the document its client id, so that what is typed is proved to be this device's: make it before other providers of the
 * same document, some of which look at that once.
 * @example
 * const doc = new Y.Doc()
 * const provider = new SpaceProvider(space, 'notes/todo', doc)
 * await provider.whenSynced
 */
export class SpaceProvider extends ObservableV2<SpaceProviderEvents> {
  readonly id: string
  readonly doc: Doc
  readonly awareness: Awareness
  /** Whether it is bound, or to be bound as soon as the document is open. */
  shouldConnect = false
  readonly #space: Space
  readonly #ownsAwareness: boolean
  /** What `doc` writes under, from the beginning: editors look at its client id once. */
  readonly #session: number
  #live: LiveDocument | null = null
  /** Ends what `#bind` began. */
  #stop: () => void = () => {}
  /** One after the other: each opening is closed before the next. */
  #turn: Promise<void> = Promise.resolve()
  #synced = false
  #whenSynced = deferred()
  #isDestroyed = false

  constructor(space: Space, id: string, doc: Doc, options: SpaceProviderOptions = {}) {
    super()
    const { awareness, connect = true } = options
    this.#space = space
    this.#ownsAwareness = awareness === undefined
    this.id = id
    this.doc = doc
    const { clientId, session } = space.documents.newClientId(id)
    doc.clientID = clientId
    this.#session = session
    this.awareness = awareness ?? ownAwareness(doc)
    this.#moveCursor()
    doc.on('destroy', this.#ondestroy)
    if (connect) this.connect()
  }

  get connected(): boolean {
    return this.#live !== null
  }

  get synced(): boolean {
    return this.#synced
  }

  /** Resolves when the document has all that this device knows of it. */
  get whenSynced(): Promise<void> {
    return this.#whenSynced.promise
  }

  connect(): void {
    if (this.shouldConnect || this.#isDestroyed) return
    this.shouldConnect = true
    this.emit('status', [{ status: 'connecting' }])
    this.#inTurn(() => this.#bind())
  }

  /** What was edited until now is saved. */
  disconnect(): void {
    if (!this.shouldConnect) return
    this.shouldConnect = false
    const live = this.#unbind()
    this.#inTurn(async () => live?.close())
  }

  /** Idempotent. The document stays the application's. */
  override destroy(): void {
    if (this.#isDestroyed) return
    this.disconnect()
    this.#isDestroyed = true
    this.doc.off('destroy', this.#ondestroy)
    if (this.#ownsAwareness) this.awareness.destroy()
    super.destroy()
  }

  /** Resolves when all that was edited here is as durable as the device promises. @throws STORE_ codes */
  async flush(): Promise<void> {
    await this.#turn
    await this.#live?.flush()
  }

  readonly #ondestroy = (): void => this.destroy()

  async #bind(): Promise<void> {
    const live = await this.#space.documents.open(this.id)
    if (!this.shouldConnect) {
      // Left while it was opening: what was edited meanwhile is saved all the same, and nothing comes in.
      applyUpdate(live.doc, encodeStateAsUpdate(this.doc), this)
      return live.close()
    }
    this.#live = live
    const unbind = live.bind(this.doc, this, this.#session)
    const topic = holdTopic(this.#space.presence, this.id)
    const cursors = bindAwareness(this.awareness, topic)
    const { doc } = live
    const onclose = () => this.disconnect() // the space closes
    doc.on('destroy', onclose)
    live.on('reload', this.#onreload)
    this.#stop = () => {
      unbind()
      cursors.destroy()
      releaseTopic(topic)
      doc.off('destroy', onclose)
      live.off('reload', this.#onreload)
    }
    this.#setSynced(true)
    this.emit('status', [{ status: 'connected' }])
  }

  readonly #onreload = (): void => {
    this.disconnect()
    this.emit('reload', [this])
  }

  /** Editors look for their own cursor under the id that the document writes under: an awareness of yours may have another. */
  #moveCursor(): void {
    const { awareness, doc } = this
    const { clientID } = awareness
    if (awareness.doc !== doc || clientID === doc.clientID) return
    const state = awareness.getLocalState()
    removeAwarenessStates(awareness, [clientID], this)
    awareness.clientID = doc.clientID
    awareness.setLocalState(state)
  }

  #unbind(): LiveDocument | null {
    const live = this.#live
    this.#live = null
    this.#stop()
    this.#stop = () => {}
    this.#forgetOthers()
    if (this.#synced) this.#setSynced(false)
    this.emit('status', [{ status: 'disconnected' }])
    return live
  }

  /** Nobody is told of any more: their cursors go. Our own is under the id that the document had first: Yjs may have changed it. */
  #forgetOthers(): void {
    const others = [...this.awareness.getStates().keys()].filter(
      (client) => client !== this.awareness.clientID
    )
    removeAwarenessStates(this.awareness, others, this)
  }

  #setSynced(isSynced: boolean): void {
    this.#synced = isSynced
    if (isSynced) this.#whenSynced.resolve()
    else this.#whenSynced = deferred()
    this.emit('sync', [isSynced])
    this.emit('synced', [isSynced])
  }

  #inTurn(task: () => Promise<void> | undefined): void {
    this.#turn = this.#turn.then(task).catch((error: unknown) => {
      this.disconnect()
      this.emit('connection-error', [error, this])
    })
  }
}

/** Its own timer, which ends with the provider, must not keep a process alive. */
function ownAwareness(doc: Doc): Awareness {
  const awareness = new Awareness(doc)
  const timer: unknown = awareness._checkInterval
  if (isTimer(timer)) timer.unref()
  return awareness
}

/** In Node; a browser's timer is a number. */
function isTimer(timer: unknown): timer is { unref(): void } {
  return typeof timer === 'object' && timer !== null && 'unref' in timer
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}
