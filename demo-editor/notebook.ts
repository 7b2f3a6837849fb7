/**
 * The notebook that both devices share: a space with its documents, as the pages of this device need them. Titles stand in the
 * documents' metadata, so two that are given at once are a conflict like any other, and the next rename settles it.
 */
import { EventEmitter } from 'eventemitter3'
import { Awareness } from 'y-protocols/awareness'
import { bindAwareness } from '../adapters/yjs/index.ts'
import type { ListedDocument, LiveDocument, PresenceTopic, Space, Value } from '../index.ts'
import type { DocumentRow, SyncNotice } from './protocol.ts'

/** What others hold, and which deletions of theirs count, is looked up so often: nothing tells of it. */
const LOOK_MS = 200

/** The people at a document. */
interface Present {
  readonly awareness: Awareness
  readonly topic: PresenceTopic
  /** How many pages have it open. */
  count: number
}

interface NotebookEvents {
  documents: []
  sync: []
}

/** One opening of a document: each is closed by itself. */
export interface OpenDocument extends Pick<LiveDocument, 'doc' | 'flush' | 'close'> {
  /** Of everybody who looks at it, on any device. */
  readonly awareness: Awareness
}

export class Notebook extends EventEmitter<NotebookEvents> {
  readonly #space: Space
  readonly #changes: AsyncIterator<unknown>
  readonly #timer: NodeJS.Timeout
  #sync: SyncNotice
  /** Of the logs, when the list was last looked at. */
  #lengths = ''
  /** By document: one awareness for all its pages. */
  readonly #present = new Map<string, Present>()

  constructor(space: Space) {
    super()
    this.#space = space
    this.#sync = this.#lookAtSync()
    this.#changes = space.documents.metadata.watch()
    void this.#follow()
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
  }

  get sync(): SyncNotice {
    return this.#sync
  }

  /** In the order of their titles. */
  async list(): Promise<readonly DocumentRow[]> {
    const rows: DocumentRow[] = []
    for await (const listed of this.#space.documents.list()) rows.push(rowOf(listed))
    return rows.sort((a, b) => a.title.localeCompare(b.title) || (a.id < b.id ? -1 : 1))
  }

  /** Names a document, for the first time or anew. Of titles that were given at the same time, this one stays. */
  async name(id: string, title: string): Promise<void> {
    await this.#space.documents.metadata.resolve(id, { title })
  }

  async delete(id: string): Promise<void> {
    await this.#space.documents.delete(id)
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

  #enter(id: string, { doc }: LiveDocument): Awareness {
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

  #look(): void {
    this.#tellSync()
    // A deletion, or an edit that undoes one, is somewhere in the logs. Pages hear of it only if the list is another one.
    const lengths = this.#space.writers().map(({ length }) => length)
    if (lengths.join() === this.#lengths) return
    this.#lengths = lengths.join()
    this.emit('documents')
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
    return { peers: peers.length, unsynced: own === undefined ? 0 : own.known - own.elsewhere }
  }
}

function rowOf({ id, metadata, conflicts }: ListedDocument): DocumentRow {
  const title = titleOf(metadata)
  const others = conflicts.flatMap(({ path, value }) => {
    if (value === null) return []
    // Of the title alone, or of all that is told of the document.
    if (path.length === 0) return [titleOf(value)]
    return path.length === 1 && path[0] === 'title' ? [titleOf({ title: value })] : []
  })
  return { id, title, otherTitles: [...new Set(others)].filter((other) => other !== title) }
}

/** Another program may have put there what it liked. */
function titleOf(value: Value): string {
  const isFields = typeof value === 'object' && value !== null && 'title' in value
  const title = isFields ? value.title : null
  return typeof title === 'string' && title.trim() !== '' ? title : 'Untitled'
}
