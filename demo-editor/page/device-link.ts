/** This page's device: what it says, what is asked of it, and the documents that are open here. */
import { EventEmitter } from 'eventemitter3'
import {
  MAX_MESSAGE_BYTES,
  parseFrame,
  type Arrival,
  type DocumentRow,
  type Failure,
  type InviteRole,
  type KeysNotice,
  type MemberRow,
  type Notice,
  type Pairing,
  type Place,
  type Request,
  type Stage,
  type SyncNotice,
  type Trouble
} from '../protocol.ts'
import { LastingSocket, type SocketState } from './lasting-socket.ts'
import { PageDocument } from './page-document.ts'
import { RowList } from './row-list.ts'

/** Requests that are answered in their turn. What became of the others shows. */
type Asked = Exclude<Extract<Notice['type'], Request['type']>, 'documents' | 'keys'>

type Answer<T extends Asked> = Extract<Notice, { readonly type: T }>

/** Why there is no answer. */
export interface Refused {
  readonly type: 'refused'
  readonly trouble: Trouble
}

const AWAY: Trouble = { message: 'This device is not running: try again when it is', next: null }

const NO_ARRIVAL: Arrival = { doing: null, code: null, trouble: null }

const NO_PAIRING: Pairing = { step: 'none' }

interface LinkEvents {
  /** Anything that is shown has changed. */
  change: []
  /** Who is in, or what they are called. */
  members: []
  /** A request could not be met. */
  failed: [message: string]
  /** This is not shown any more in the document that is shown. */
  sealed: [text: string]
}

/** Roles that write. */
const WRITERS: readonly string[] = ['writer', 'admin', 'owner']

const TOO_LARGE = `What this page has to save is more than its device takes at once
  (${MAX_MESSAGE_BYTES / 2 ** 20} MB). Undo the last large paste, or copy what you need and load the page again.`

export class DeviceLink extends EventEmitter<LinkEvents> {
  /** Who the device is; '' until it has said so. */
  name = ''
  hue = 0
  /** What it is doing; null until it has said so. */
  stage: Stage | null = null
  arrival: Arrival = NO_ARRIVAL
  keys: KeysNotice | null = null
  /** A link for another device of this person, and who has come by it. */
  pairing: Pairing = NO_PAIRING
  sync: SyncNotice = { peers: 0, unsynced: 0 }
  members: readonly MemberRow[] = []
  readonly #socket: LastingSocket
  readonly #rows = new RowList()
  readonly #open = new Map<number, PageDocument>()
  /** The one that is shown. */
  #shown: PageDocument | null = null
  #nextChannel = 0
  /** Who waits for answers, in the order in which they asked. */
  readonly #waiting: {
    readonly type: Request['type']
    readonly answer: (notice: Notice | 'away') => void
  }[] = []

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

  /** Whether the device's rights have ended: it can read what is here, and nothing that is typed can be saved. */
  get isRemoved(): boolean {
    return this.#role === null
  }

  /** Whether nothing that is typed can be saved: the device was removed, or came to read. */
  get isReadonly(): boolean {
    const role = this.#role
    return role !== undefined && !WRITERS.includes(role ?? '')
  }

  /** Whether the device may let others in. */
  get mayInvite(): boolean {
    return this.#role === 'owner' || this.#role === 'admin'
  }

  /** Of this device; null for none any more, undefined until it is known. */
  get #role(): string | null | undefined {
    return this.members.find(({ isOwn }) => isOwn)?.role
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
    return this.#shown?.shown ?? null
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
    this.#openDocument(id, true) // first: what is typed before the answer counts as brought in from elsewhere
    this.rename(id, title)
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

  /** What was ever written in a document; null when that cannot be told. */
  history(id: string): Promise<Answer<'history'> | null> {
    return this.#answered('history', { type: 'history', id })
  }

  /** A text, with what is different in an earlier one; null when that cannot be told. */
  compare(id: string, from: Place, to: Place): Promise<Answer<'compare'> | null> {
    return this.#answered('compare', { type: 'compare', id, from, to })
  }

  /** Resolves to null when it was not done, or nobody knows. */
  restore(id: string, version: string): Promise<Answer<'restore'> | null> {
    return this.#answered('restore', { type: 'restore', id, version })
  }

  /** Who wrote what of a text; null when that cannot be told. */
  authorship({ channel }: PageDocument): Promise<Answer<'authorship'> | null> {
    return this.#answered('authorship', { type: 'authorship', channel })
  }

  /** Resolves to null when it was not done. */
  revoke(identity: string): Promise<Answer<'revoke'> | null> {
    return this.#answered('revoke', { type: 'revoke', identity })
  }

  /** Lets count what somebody wrote after the removal. Resolves to null when it was not done. */
  readmit(identity: string): Promise<Answer<'readmit'> | null> {
    return this.#answered('readmit', { type: 'readmit', identity })
  }

  /** Makes a link that lets one device in. Resolves to null when it was not done. */
  invite(role: InviteRole): Promise<Answer<'invite'> | null> {
    return this.#answered('invite', { type: 'invite', role })
  }

  /** Shows what went wrong where there is no other place for it. */
  tellFailed({ message }: Trouble): void {
    this.emit('failed', message)
  }

  /** Opens what is locked: then there is a new connection. Else says why not. */
  unlock(passphrase: string): Promise<Trouble | null> {
    return this.#changed({ type: 'unlock', passphrase })
  }

  /** Forgets the keys; then there is a new connection. Else says why not. */
  lock(): Promise<Trouble | null> {
    return this.#changed({ type: 'lock' })
  }

  /** Says of the device that shows these digits whether it is this person's. */
  decide(code: string, isOurs: boolean): void {
    this.#ask({ type: 'decide', code, isOurs })
  }

  /** Ends the link for another device. */
  unpair(): void {
    this.#ask({ type: 'unpair' })
  }

  /** Comes into a notebook, or into this person's: how far that is, says `arrival`. */
  join(link: string): void {
    this.#ask({ type: 'join', link })
  }

  /** Comes back into one. @param secret the words, or each share on a line @param entrance the ticket, or an invite */
  recover(secret: string, entrance: string): void {
    this.#ask({ type: 'recover', secret, entrance })
  }

  giveUp(): void {
    this.#ask({ type: 'give-up' })
  }

  /** Asks what only one form of the page wants to know, and shows itself why it is not told. */
  async ask<T extends Asked>(type: T, request: Request): Promise<Answer<T> | Refused> {
    const notice = await this.#heard(request)
    if (isAnswer(notice, type)) return notice
    return { type: 'refused', trouble: isFailure(notice) ? notice : AWAY }
  }

  /** What changes all that there is has no answer but another connection. */
  async #changed(request: Request): Promise<Trouble | null> {
    const notice = await this.#heard(request)
    return isFailure(notice) ? notice : null
  }

  /** Whoever asks is answered, or the page tells everybody why not. */
  async #answered<T extends Asked>(type: T, request: Request): Promise<Answer<T> | null> {
    const notice = await this.#heard(request)
    if (isAnswer(notice, type)) return notice
    if (isFailure(notice)) this.emit('failed', notice.message)
    return null
  }

  #heard(request: Request): Promise<Notice | 'away'> {
    if (this.state !== 'open') return Promise.resolve('away')
    return new Promise((resolve) => {
      this.#waiting.push({ type: request.type, answer: resolve })
      this.#ask(request)
    })
  }

  /** The first of this type that asked has its answer. @returns whether somebody had asked */
  #answer(type: Request['type'], notice: Notice): boolean {
    const i = this.#waiting.findIndex((each) => each.type === type)
    const [asked] = i < 0 ? [] : this.#waiting.splice(i, 1)
    asked?.answer(notice)
    return asked !== undefined
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
    opened.on('reload', () => this.#openAnew(opened))
    opened.on('sealed', (text) => {
      if (opened === this.#shown) this.emit('sealed', text)
    })
    this.#ask({ type: 'open', id, channel })
    return opened
  }

  /** What it has goes over as soon as the other one is loaded; until then it is shown, and may be written in. */
  #openAnew(before: PageDocument): void {
    this.#open.delete(before.channel)
    this.#ask({ type: 'release', channel: before.channel })
    const opened = this.#openDocument(before.id, false)
    opened.replace(before)
    if (this.#shown !== before) return
    this.#shown = opened
    this.#introduce()
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
    if (state !== 'open') {
      for (const { answer } of this.#waiting.splice(0)) answer('away')
      for (const each of this.#open.values()) each.disconnected()
    }
    this.emit('change')
  }

  #begin(stage: Stage): void {
    this.stage = stage
    this.arrival = NO_ARRIVAL
    if (stage === 'open') this.#resume()
    else if (stage !== 'starting') this.#forget()
  }

  /** Says again what the device may not have heard. */
  #resume(): void {
    this.#rows.reconnected()
    for (const [id, title] of this.#rows.unsaved) this.#ask({ type: 'name', id, title })
    for (const each of this.#open.values()) {
      each.reconnected()
      this.#ask({ type: 'open', id: each.id, channel: each.channel })
    }
  }

  /** Of what a locked device has told nothing stays in the page, but for what it has not saved. */
  #forget(): void {
    this.show(null)
    this.#rows.forget()
    this.members = []
    this.keys = null
    this.pairing = NO_PAIRING
  }

  #hear(notice: Notice): void {
    switch (notice.type) {
      case 'hello':
        this.name = notice.name
        this.hue = notice.hue
        this.#begin(notice.stage)
        this.#introduce()
        break
      case 'arrival':
        this.arrival = notice.arrival
        break
      case 'keys':
        this.keys = notice
        break
      case 'pairing':
        this.pairing = notice.pairing
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
      case 'members':
        this.members = notice.rows
        this.emit('members')
        break
      case 'history':
      case 'compare':
      case 'restore':
      case 'authorship':
      case 'revoke':
      case 'readmit':
      case 'invite':
      case 'phrase':
      case 'verify':
      case 'split':
      case 'kit':
      case 'passphrase':
      case 'ticket':
      case 'petname':
      case 'pair':
        this.#answer(notice.type, notice)
        return
      case 'failed':
        if (!this.#answer(notice.request, notice)) this.emit('failed', notice.message)
        return
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

function isAnswer<T extends Asked>(notice: Notice | 'away', type: T): notice is Answer<T> {
  return notice !== 'away' && notice.type === type
}

function isFailure(notice: Notice | 'away'): notice is Failure {
  return notice !== 'away' && notice.type === 'failed'
}
