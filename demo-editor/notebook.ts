/**
 * The notebook that both devices share: a space with its documents, as the pages of this device need them. Titles stand in the
 * documents' metadata, so two that are given at once are a conflict like any other, and the next rename settles it.
 */
import { EventEmitter } from 'eventemitter3'
import { Awareness } from 'y-protocols/awareness'
import { bindAwareness } from '../adapters/yjs/index.ts'
import type { Entry, Space, Value } from '../index.ts'
import type { DocumentRow, SyncNotice } from './protocol.ts'

/** How often a person's eye would notice: the stack tells of no change in what others hold. */
const SYNC_MS = 200

/** The people at a document. */
interface Present {
  readonly awareness: Awareness
  readonly topic: ReturnType<Space['presence']['topic']>
  /** How many pages have it open. */
  count: number
}

interface NotebookEvents {
  documents: []
  sync: []
}

type Live = Awaited<ReturnType<Space['documents']['open']>>

/** One opening of a document: each is closed by itself. */
export interface OpenDocument extends Pick<Live, 'doc' | 'flush' | 'close'> {
  /** Of everybody who looks at it, on any device. */
  readonly awareness: Awareness
}

export class Notebook extends EventEmitter<NotebookEvents> {
  readonly #space: Space
  readonly #titles: Space['documents']['metadata']
  readonly #changes: AsyncIterator<unknown>
  readonly #timer: NodeJS.Timeout
  #sync: SyncNotice
  /** By document: one awareness for all its pages. */
  readonly #present = new Map<string, Present>()

  constructor(space: Space) {
    super()
    this.#space = space
    this.#titles = space.documents.metadata
    this.#sync = this.#lookAtSync()
    this.#changes = this.#titles.watch()
    void this.#follow()
    this.#timer = setInterval(() => this.#tellSync(), SYNC_MS)
  }

  get sync(): SyncNotice {
    return this.#sync
  }

  /** In the order of their titles. */
  async list(): Promise<readonly DocumentRow[]> {
    const rows: DocumentRow[] = []
    for await (const entry of this.#titles.createReadStream()) rows.push(rowOf(entry))
    return rows.sort((a, b) => a.title.localeCompare(b.title) || (a.id < b.id ? -1 : 1))
  }

  /** Names a document, for the first time or anew. Of titles that were given at the same time, this one stays. */
  async name(id: string, title: string): Promise<void> {
    await this.#titles.put(id, { title })
  }

  async delete(id: string): Promise<void> {
    await this.#titles.del(id)
  }

  async open(id: string): Promise<OpenDocument> {
    const live = await this.#space.documents.open(id)
    const awareness = this.#enter(id, live)
    const close = async () => {
      this.#leave(id)
      await live.close()
    }
    return { doc: live.doc, awareness, flush: () => live.flush(), close }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.removeAllListeners()
    for (const { awareness, topic } of this.#present.values()) {
      awareness.destroy()
      topic.close()
    }
    this.#present.clear()
    await this.#changes.return?.()
  }

  async #follow(): Promise<void> {
    for (;;) {
      const { done } = await this.#changes.next()
      if (done === true) return
      this.emit('documents')
    }
  }

  #enter(id: string, { doc }: Live): Awareness {
    const present = this.#present.get(id)
    if (present !== undefined) {
      present.count++
      return present.awareness
    }
    const awareness = new Awareness(doc)
    awareness.setLocalState(null) // people are at pages
    const topic = this.#space.presence.topic(`documents/${id}`)
    bindAwareness(awareness, topic)
    this.#present.set(id, { awareness, topic, count: 1 })
    return awareness
  }

  #leave(id: string): void {
    const present = this.#present.get(id)
    if (present === undefined || --present.count > 0) return
    this.#present.delete(id)
    present.awareness.destroy()
    present.topic.close()
  }

  #tellSync(): void {
    const { peers, unsynced } = this.#lookAtSync()
    if (peers === this.#sync.peers && unsynced === this.#sync.unsynced) return
    this.#sync = { peers, unsynced }
    this.emit('sync')
  }

  #lookAtSync(): SyncNotice {
    const { peers, logs } = this.#space.syncState()
    const own = logs.find(({ isOwn }) => isOwn)
    return { peers: peers.length, unsynced: own === undefined ? 0 : own.here - own.elsewhere }
  }
}

function rowOf({ key, value, conflicts }: Entry<string, Value>): DocumentRow {
  const title = titleOf(value)
  const others = conflicts.flatMap(({ value }) => (value === null ? [] : [titleOf(value)]))
  return { id: key, title, otherTitles: [...new Set(others)].filter((other) => other !== title) }
}

/** Another program may have put there what it liked. */
function titleOf(value: Value): string {
  const isFields = typeof value === 'object' && value !== null && 'title' in value
  const title = isFields ? value.title : null
  return typeof title === 'string' && title.trim() !== '' ? title : 'Untitled'
}
