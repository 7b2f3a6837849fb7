/**
 * The notebook that both devices share: a space with its documents, as the pages of this device need them. Titles stand in the
 * documents' metadata, so two that are given at once are a conflict like any other, and the next rename settles it.
 */
import { EventEmitter } from 'eventemitter3'
import { Awareness } from 'y-protocols/awareness'
import { bindAwareness } from '../adapters/yjs/index.ts'
import { isManyhandsError, type LiveDocument, type PresenceTopic, type Space } from '../index.ts'
import { DocumentRows, type Rows } from './document-rows.ts'
import { MemberRows } from './member-rows.ts'
import { momentsOf, piecesOf } from './moments.ts'
import { People } from './people.ts'
import {
  MAX_COMPARED,
  MAX_MOMENTS,
  TEXT,
  type InviteRole,
  type MemberRow,
  type Moment,
  type Person,
  type Piece,
  type Place,
  type SyncNotice
} from './protocol.ts'

/** What others hold, and which deletions of theirs count, is looked up so often: nothing tells of it. */
const LOOK_MS = 200

/** The people at a document. */
interface Present {
  readonly awareness: Awareness
  readonly topic: PresenceTopic
  /** How many pages have it open. */
  readonly count: number
}

interface NotebookEvents {
  documents: []
  sync: []
  members: []
  /** The list cannot be read. */
  broken: [error: unknown]
}

/** One opening of a document: each is closed by itself. */
export interface OpenDocument {
  readonly live: LiveDocument
  /** Of everybody who looks at it, on any device. */
  readonly awareness: Awareness
  readonly close: () => Promise<void>
}

/** What is told of a document's past. */
export interface Past {
  readonly moments: readonly Moment[]
  readonly people: Readonly<Record<string, Person>>
}

export class Notebook extends EventEmitter<NotebookEvents> {
  readonly #space: Space
  readonly #people: People
  readonly #rows: DocumentRows
  readonly #members: MemberRows
  readonly #timer: NodeJS.Timeout
  #sync: SyncNotice
  /** By document: one awareness for all its pages. */
  readonly #present = new Map<string, Present>()

  /** @param owner who writes here */
  constructor(space: Space, owner: Person) {
    super()
    this.#space = space
    this.#people = new People(space, owner)
    this.#sync = this.#lookAtSync()
    this.#rows = new DocumentRows(space)
    this.#rows.on('change', () => this.emit('documents'))
    this.#rows.on('broken', (error) => this.emit('broken', error))
    void this.#rows.look()
    this.#members = new MemberRows(space, () => this.people())
    this.#members.on('change', () => this.emit('members'))
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
  }

  get sync(): SyncNotice {
    return this.#sync
  }

  /** By id; null until they are listed. */
  get rows(): Rows | null {
    return this.#rows.rows
  }

  get members(): readonly MemberRow[] {
    return this.#members.rows
  }

  /** Nothing tells of what this device calls somebody. */
  refreshMembers(): void {
    this.#members.refresh()
  }

  /** @throws NOT_ALLOWED */
  async revoke(identity: string): Promise<void> {
    await this.#space.members.revoke(identity)
    this.#members.refresh()
  }

  /** Lets count what was written by who was removed. @throws NOT_ALLOWED */
  async readmit(identity: string): Promise<void> {
    await this.#space.members.restore(identity)
    this.#members.refresh()
  }

  /** Makes an invite for one device, for a day. @throws NOT_ALLOWED */
  async invite(role: InviteRole): Promise<{ readonly link: string; readonly expires: number }> {
    const { link, expires } = await this.#space.invite({ role, expiresIn: '1d' })
    return { link, expires }
  }

  /** Names a document, for the first time or anew. Of titles that were given at the same time, this one stays. */
  async name(id: string, title: string): Promise<void> {
    await this.#space.documents.metadata.resolve(id, { title })
    await this.#rows.lookAt(id)
  }

  async delete(id: string): Promise<void> {
    await this.#space.documents.delete(id)
    this.#rows.deleted(id)
  }

  async open(id: string): Promise<OpenDocument> {
    this.#people.introduce()
    const live = await this.#space.documents.open(id)
    const awareness = this.#enter(id, live)
    // Before anybody else hears of it: who opens it then finds an awareness of the new document.
    live.on('reload', () => this.#renew(id, live))
    const close = async () => {
      this.#leave(id)
      await closed(live)
    }
    return { live, awareness, close }
  }

  async #whileOpen<T>(id: string, task: (live: LiveDocument) => Promise<T>): Promise<T> {
    const live = await this.#space.documents.open(id)
    try {
      return await task(live)
    } finally {
      await closed(live)
    }
  }

  async past(id: string): Promise<Past> {
    const moments = await this.#whileOpen(id, (live) => momentsOf(live.versions(), MAX_MOMENTS))
    return { moments, people: await this.people() }
  }

  /** The later text, with what came into it and what went from it. */
  compare(id: string, from: Place, to: Place): Promise<readonly Piece[]> {
    return this.#whileOpen(id, async (live) => {
      await saved(live)
      const then = to === 'now' ? live.doc : await live.at(momentOf(to))
      const text = then.getText(TEXT).toJSON()
      if (text.length > MAX_COMPARED) throw new Error('This text is too long to be shown as it was')
      const until = to === 'now' ? [] : [momentOf(to)]
      return piecesOf(text, await live.diff(momentOf(from), ...until))
    })
  }

  restore(id: string, version: string): Promise<void> {
    return this.#whileOpen(id, async (live) => {
      await live.restore(version)
      await live.flush()
    })
  }

  /** By writer, those who have said who they are. */
  people(): Promise<Readonly<Record<string, Person>>> {
    return this.#people.all()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.removeAllListeners()
    for (const { awareness, topic } of this.#present.values()) {
      awareness.destroy()
      topic.close()
    }
    this.#present.clear()
    await this.#members.close()
    await this.#rows.close()
  }

  #enter(id: string, { doc }: LiveDocument): Awareness {
    const present = this.#present.get(id)
    if (present !== undefined) {
      this.#present.set(id, { ...present, count: present.count + 1 })
      return present.awareness
    }
    const topic = this.#space.presence.topic(`documents/${id}`)
    const awareness = awarenessOf(doc, topic)
    this.#present.set(id, { awareness, topic, count: 1 })
    return awareness
  }

  /** The document is another one. */
  #renew(id: string, { doc }: LiveDocument): void {
    const present = this.#present.get(id)
    if (present === undefined || present.awareness.doc === doc) return
    present.awareness.destroy() // the topic shows one at a time
    const awareness = awarenessOf(doc, present.topic)
    this.#present.set(id, { ...present, awareness })
  }

  #leave(id: string): void {
    const present = this.#present.get(id)
    if (present === undefined) return
    const count = present.count - 1
    this.#present.set(id, { ...present, count })
    if (count > 0) return
    this.#present.delete(id)
    present.awareness.destroy()
    present.topic.close()
  }

  #look(): void {
    this.#tellSync()
    void this.#rows.look()
    this.#members.look()
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

/** What a removed device cannot save stays in the document, which stays open then. */
async function closed(live: LiveDocument): Promise<void> {
  await live.close().catch(unlessRemoved)
}

async function saved(live: LiveDocument): Promise<void> {
  await live.flush().catch(unlessRemoved)
}

/** For a promise that may reject because this device was removed. */
export function unlessRemoved(error: unknown): void {
  if (!isManyhandsError(error, 'NOT_ALLOWED')) throw error
}

function awarenessOf(doc: LiveDocument['doc'], topic: PresenceTopic): Awareness {
  const awareness = new Awareness(doc)
  awareness.setLocalState(null) // people are at pages
  bindAwareness(awareness, topic)
  return awareness
}

function momentOf(place: Place): string | number {
  if (place === 'start') return 0 // in 1970 nobody had written anything
  return place === 'now' ? Date.now() : place.version
}
