/** Documents in the database, one entry per update, until `space.documents` is there. */
import { Awareness } from 'y-protocols/awareness'
import * as Y from 'yjs'
import type { MultiBee, Space } from '../index.ts'
import type { LiveDocument, Notebook } from './notebook.ts'
import type { DocumentRow, SyncNotice } from './protocol.ts'

export class StandIn implements Notebook {
  readonly #space: Space
  readonly #titles: MultiBee<string, string>
  readonly #updates: MultiBee<string, Uint8Array>
  readonly #listeners = new Set<(what: 'documents' | 'sync') => void>()
  readonly #open = new Map<
    string,
    {
      doc: Y.Doc
      awareness: Awareness
      users: number
      durable: Promise<unknown>
      ready: Promise<unknown>
    }
  >()
  readonly #watches: AsyncIterator<unknown>[] = []
  #n = Date.now()
  #synced = 0
  readonly #timer: NodeJS.Timeout

  constructor(space: Space) {
    this.#space = space
    this.#titles = space.db.sub<string, string>('titles', { valueEncoding: 'utf-8' })
    this.#updates = space.db.sub<string, Uint8Array>('updates', { valueEncoding: 'binary' })
    void this.#follow()
    const titles = this.#titles.watch()
    this.#watches.push(titles)
    void (async () => {
      for await (const _ of titles) this.#tell('documents')
    })()
    let last = ''
    this.#timer = setInterval(() => {
      const now = JSON.stringify(this.sync())
      if (now !== last) this.#tell('sync')
      last = now
    }, 200)
  }

  async #follow() {
    const changes = this.#updates.watch()
    this.#watches.push(changes)
    for await (const { key, current, writer } of changes) {
      const live = this.#open.get(key.split('/')[0] ?? '')
      if (live && current && writer !== this.#space.writer)
        Y.applyUpdate(live.doc, current.value, this)
    }
  }

  #tell(what: 'documents' | 'sync') {
    for (const listener of this.#listeners) listener(what)
  }

  async list() {
    const rows: DocumentRow[] = []
    for await (const { key, value, conflicts } of this.#titles.createReadStream()) {
      rows.push({
        id: key,
        title: value,
        otherTitles: conflicts.flatMap((c) => (c.value === null ? [] : [c.value]))
      })
    }
    return rows.sort((a, b) => a.title.localeCompare(b.title))
  }

  async create(id: string, title: string) {
    await this.#titles.put(id, title)
  }

  async rename(id: string, title: string) {
    await this.#titles.put(id, title)
  }

  async delete(id: string) {
    await this.#titles.del(id)
  }

  async open(id: string): Promise<LiveDocument> {
    let live = this.#open.get(id)
    if (live === undefined) {
      const doc = new Y.Doc()
      const awareness = new Awareness(doc)
      awareness.setLocalState(null)
      const made = {
        doc,
        awareness,
        users: 0,
        durable: Promise.resolve() as Promise<unknown>,
        ready: Promise.resolve() as Promise<unknown>
      }
      live = made
      this.#open.set(id, made)
      made.ready = (async () => {
        for await (const { value } of this.#updates.createReadStream({
          gte: `${id}/`,
          lt: `${id}0`
        }))
          Y.applyUpdate(doc, value, this)
      })()
      doc.on('update', (update: Uint8Array, origin: unknown) => {
        if (origin === this) return
        const key = `${id}/${this.#space.writer}/${String(this.#n++).padStart(16, '0')}`
        const put = this.#updates.put(key, update)
        made.durable = Promise.all([made.durable, put])
      })
    }
    const { doc, awareness } = live
    live.users++
    await live.ready
    const opened = live
    return {
      doc,
      awareness,
      whenDurable: () => opened.durable,
      close: async () => {
        await opened.durable
        if (--opened.users > 0) return
        this.#open.delete(id)
        awareness.destroy()
        doc.destroy()
      }
    }
  }

  sync(): SyncNotice {
    const { logs, peers } = this.#space.syncState()
    const own = logs.find(({ isOwn }) => isOwn)?.known ?? 0
    if (peers.some(({ inStep }) => inStep)) this.#synced = own
    return { peers: peers.length, unsynced: own - this.#synced }
  }

  onchange(listener: (what: 'documents' | 'sync') => void) {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async close() {
    clearInterval(this.#timer)
    for (const watch of this.#watches) await watch.return?.()
    for (const { durable, awareness } of this.#open.values()) {
      await durable
      awareness.destroy()
    }
  }
}
