/** This page's device: what it says, what is asked of it, and the documents that are open here. */
import { EventEmitter } from 'eventemitter3'
import {
  MAX_MESSAGE_BYTES,
  parseFrame,
  type DocumentRow,
  type Notice,
  type Request,
  type SyncNotice
} from '../protocol.ts'
import { LastingSocket, type SocketState } from './lasting-socket.ts'
import { PageDocument } from './page-document.ts'
import { RowList } from './row-list.ts'

interface LinkEvents {
  /** Anything that is shown has changed. */
  change: []
  /** A request could not be met. */
  failed: [message: string]
}

const TOO_LARGE = `What this page has to save is more than its device takes at once
  (${MAX_MESSAGE_BYTES / 2 ** 20} MB). Undo the last large paste, or copy what you need and load the page again.`

export class DeviceLink extends EventEmitter<LinkEvents> {
  /** Who the device is; '' until it has said so. */
  name = ''
  hue = 0
  sync: SyncNotice = { peers: 0, unsynced: 0 }
  readonly #socket: LastingSocket
  readonly #rows = new RowList()
  readonly #open = new Map<number, PageDocument>()
  /** The one that is shown. */
  #shown: PageDocument | null = null
  #nextChannel = 0

  constructor(token: string) {
    super()
    this.#socket = new LastingSocket(token)
    this.#socket.on('text', (text) => this.#hear(JSON.parse(text) as Notice))
    this.#socket.on('bytes', (bytes) => this.#hearBytes(bytes))
    this.#socket.on('state', (state) => this.#onstate(state))
    this.#socket.on('too-large', () => this.emit('failed', TOO_LARGE))
    this.#socket.connect()
  }

  get state(): SocketState {
    return this.#socket.state
  }

  /** All documents in the order of their titles; null until the device has told. */
  get documents(): readonly DocumentRow[] | null {
    return this.#rows.sorted
  }

  /** Null for one that is not in the list. */
  row(id: string): DocumentRow | null {
    return this.#rows.get(id)
  }

  /** The document that is shown, or null. */
  get shown(): PageDocument | null {
    return this.#shown
  }

  /** Edits in any document of this page, and titles, that the device has not yet called durable. */
  get unsaved(): number {
    const titles = this.#rows.unsaved.size
    return [...this.#open.values()].reduce((sum, { unsaved }) => sum + unsaved, titles)
  }

  /** Shows a document, or none. The one before stays here until everything in it is durable. */
  show(id: string | null): void {
    const before = this.#shown
    if (before?.id === id) return
    this.#shown = id === null ? null : (this.#find(id) ?? this.#openDocument(id, false))
    before?.awareness.setLocalState(null)
    this.#introduce()
    this.#releaseSaved()
    this.emit('change')
  }

  /** Makes a document: it can be written in at once, whatever the device is doing. */
  create(title: string): string {
    const id = crypto.randomUUID()
    this.rename(id, title)
    this.#openDocument(id, true)
    return id
  }

  rename(id: string, title: string): void {
    this.#rows.rename(id, title)
    this.#ask({ type: 'name', id, title })
    this.emit('change')
  }

  delete(id: string): void {
    this.#ask({ type: 'delete', id })
  }

  #ask(request: Request): void {
    this.#socket.send(JSON.stringify(request))
  }

  #find(id: string): PageDocument | undefined {
    return [...this.#open.values()].find((each) => each.id === id)
  }

  #openDocument(id: string, isNew: boolean): PageDocument {
    const channel = this.#nextChannel++
    const opened = new PageDocument(id, channel, isNew, (bytes) => this.#socket.send(bytes))
    this.#open.set(channel, opened)
    opened.on('change', () => {
      this.#releaseSaved()
      this.emit('change')
    })
    this.#ask({ type: 'open', id, channel })
    return opened
  }

  /** Whoever looks at a document is seen in it. */
  #introduce(): void {
    if (this.#shown === null || this.name === '') return
    this.#shown.awareness.setLocalStateField('user', { name: this.name, hue: this.hue })
  }

  #releaseSaved(): void {
    for (const [channel, each] of this.#open) {
      if (each === this.#shown || each.unsaved > 0) continue
      this.#open.delete(channel)
      each.destroy()
      this.#ask({ type: 'release', channel })
    }
  }

  #onstate(state: SocketState): void {
    if (state === 'open') this.#rows.reconnected()
    for (const [id, title] of this.#rows.unsaved) this.#ask({ type: 'name', id, title })
    for (const each of this.#open.values()) {
      if (state === 'open') {
        each.reconnected()
        this.#ask({ type: 'open', id: each.id, channel: each.channel })
      } else each.disconnected()
    }
    this.emit('change')
  }

  #hear(notice: Notice): void {
    switch (notice.type) {
      case 'hello':
        this.name = notice.name
        this.hue = notice.hue
        this.#introduce()
        break
      case 'documents':
        this.#rows.update(notice.rows, notice.gone)
        break
      case 'named':
        this.#rows.named(notice.id, notice.title)
        break
      case 'sync':
        this.sync = notice.sync
        break
      case 'failed':
        this.emit('failed', notice.message)
        break
      default:
        return notice satisfies never
    }
    this.emit('change')
  }

  #hearBytes(bytes: Uint8Array): void {
    const { channel, kind, decoder } = parseFrame(bytes)
    this.#open.get(channel)?.hear(kind, decoder)
  }
}
