/**
 * One page on its device: answers its requests, tells it what changes, and keeps the documents that it has open in step with the
 * device's own. Ends with the page's connection.
 */
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import type { WebSocket } from 'ws'
import {
  applyAwarenessUpdate,
  encodeAwarenessUpdate,
  removeAwarenessStates
} from 'y-protocols/awareness'
import { readSyncMessage, writeSyncStep1, writeUpdate } from 'y-protocols/sync'
import type * as Y from 'yjs'
import type { Spans } from '../crdt/index.ts'
import { SEAL } from '../crdt/document/yjs-seal.ts'
import { authorshipOf } from './authorship.ts'
import { troubleOf, type DeviceDesk } from './device-desk.ts'
import { serveDoor } from './door-session.ts'
import type { Notebook, OpenDocument } from './notebook.ts'
import { reasonOf } from './page-server.ts'
import {
  CLOSE,
  frame,
  KIND,
  parseFrame,
  parseRequest,
  writeSpans,
  type DocumentRow,
  type DoorRequest,
  type KeyRequest,
  type Notice,
  type Request
} from './protocol.ts'

/** The list is told at most so often. */
const GATHER_MS = 50

/** A page has the document open that it shows, and those in which something is not saved yet. */
const MAX_OPEN = 100

/** So many requests of a page wait at most: nobody makes more in the time that one takes. */
const MAX_WAITING = 1000

/** What y-protocols tells of an awareness that changed. */
interface AwarenessChange {
  readonly added: readonly number[]
  readonly updated: readonly number[]
  readonly removed: readonly number[]
}

/** @param offer serves a page once. @returns where */
export function servePage(
  socket: WebSocket,
  desk: DeviceDesk,
  offer: (page: string) => string
): void {
  const { notebook, stage } = desk
  const hello: Notice = { type: 'hello', ...desk.owner, stage }
  socket.send(JSON.stringify(hello))
  const onstage = () => socket.close(CLOSE.changed, 'the device does something else now')
  desk.on('stage', onstage)
  socket.on('close', () => desk.off('stage', onstage))
  if (notebook === null) serveDoor(socket, desk)
  else new PageSession(socket, desk, notebook, offer).start()
}

class PageSession {
  readonly #socket: WebSocket
  readonly #desk: DeviceDesk
  readonly #notebook: Notebook
  readonly #offer: (page: string) => string
  readonly #channels = new Map<number, Channel>()
  /** Requests are met one after the other. */
  #line: Promise<void> = Promise.resolve()
  #waiting = 0
  /** What the page was last told of the documents; null for nothing. */
  #told: Map<string, DocumentRow> | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(
    socket: WebSocket,
    desk: DeviceDesk,
    notebook: Notebook,
    offer: (page: string) => string
  ) {
    this.#socket = socket
    this.#desk = desk
    this.#notebook = notebook
    this.#offer = offer
  }

  start(): void {
    const notebook = this.#notebook
    const onlist = () => this.#list()
    // The page connects anew, and asks again.
    const onbroken = (error: unknown) => this.#socket.close(1011, reasonOf(error))
    const onsync = () => this.#tellSync()
    const onmembers = () => this.#tellMembers()
    const onkeys = () => this.#tellKeys()
    const onpairing = () => this.#tellPairing()
    this.#desk.on('keys', onkeys)
    this.#desk.on('pairing', onpairing)
    notebook.on('documents', onlist)
    notebook.on('sync', onsync)
    notebook.on('members', onmembers)
    notebook.on('broken', onbroken)
    this.#socket.on('message', (data: Buffer, isBinary) => {
      if (this.#socket.readyState !== this.#socket.OPEN) return // it was told to go
      try {
        if (isBinary) this.#hear(data)
        else this.#enqueue(parseRequest(data.toString()))
      } catch (error) {
        this.#socket.close(CLOSE.badMessage, reasonOf(error))
      }
    })
    this.#socket.on('close', () => {
      notebook.off('documents', onlist)
      notebook.off('sync', onsync)
      notebook.off('members', onmembers)
      notebook.off('broken', onbroken)
      this.#desk.off('keys', onkeys)
      this.#desk.off('pairing', onpairing)
      clearTimeout(this.#timer ?? undefined)
      this.#line = this.#line.then(() => this.#releaseAll())
    })
    this.#tellSync()
    this.#tellKeys()
    this.#tellPairing()
    this.#tellMembers()
    this.#tellDocuments()
  }

  tell(notice: Notice): void {
    this.#socket.send(JSON.stringify(notice))
  }

  #tellSync(): void {
    this.tell({ type: 'sync', sync: this.#notebook.sync })
  }

  #tellKeys(): void {
    this.tell({ type: 'keys', ...this.#desk.keys })
  }

  #tellPairing(): void {
    this.tell({ type: 'pairing', pairing: this.#desk.pairing })
  }

  #tellMembers(): void {
    this.tell({ type: 'members', rows: this.#notebook.members })
  }

  /** Many changes in a row make few notices. */
  #list(): void {
    this.#timer ??= setTimeout(() => this.#tellDocuments(), GATHER_MS)
  }

  #tellDocuments(): void {
    clearTimeout(this.#timer ?? undefined)
    this.#timer = null
    const { rows: now } = this.#notebook
    if (now === null) return
    const told = this.#told ?? new Map<string, DocumentRow>()
    const rows = [...now.values()].filter((row) => told.get(row.id) !== row)
    const gone = [...told.keys()].filter((id) => !now.has(id))
    if (this.#told !== null && rows.length + gone.length === 0) return
    this.#told = new Map(now)
    this.tell({ type: 'documents', rows, gone })
  }

  #enqueue(request: Request): void {
    if (++this.#waiting > MAX_WAITING) throw new Error('too many requests')
    this.#line = this.#line
      .then(() => this.#meet(request))
      .catch((error: unknown) =>
        this.tell({ type: 'failed', request: request.type, ...troubleOf(error) })
      )
      .finally(() => this.#waiting--)
  }

  async #meet(request: Request): Promise<void> {
    switch (request.type) {
      case 'name':
        await this.#notebook.name(request.id, request.title)
        this.#tellDocuments() // before it hears that the title is kept
        return this.tell({ type: 'named', id: request.id, title: request.title })
      case 'delete':
        return this.#notebook.delete(request.id)
      case 'open':
        return this.#open(request.id, request.channel)
      case 'release':
        return this.#release(request.channel)
      case 'history': {
        const { type, id } = request
        return this.tell({ type, id, ...(await this.#notebook.past(id)) })
      }
      case 'compare': {
        const { type, id, from, to } = request
        return this.tell({ type, id, pieces: await this.#notebook.compare(id, from, to) })
      }
      case 'restore': {
        const { type, id, version } = request
        await this.#notebook.restore(id, version)
        return this.tell({ type, id })
      }
      case 'revoke':
        await this.#notebook.revoke(request.identity)
        return this.tell(request)
      case 'readmit':
        await this.#notebook.readmit(request.identity)
        return this.tell(request)
      case 'invite':
        return this.tell({ type: 'invite', ...(await this.#notebook.invite(request.role)) })
      case 'authorship': {
        const { type, channel } = request
        const people = await this.#notebook.people()
        const live = this.#channels.get(channel)?.live
        if (live === undefined) throw new Error('This document is not open any more')
        // In one turn: what others write meanwhile reaches the page before, or after.
        return this.tell({ type, channel, ...authorshipOf(live, people) })
      }
      default:
        return this.#meetKeys(request)
    }
  }

  async #meetKeys(request: KeyRequest | DoorRequest): Promise<void> {
    const desk = this.#desk
    switch (request.type) {
      case 'phrase':
        return this.tell({ type: 'phrase', phrase: desk.phrase() })
      case 'verify':
        return this.tell({ type: 'verify', isRight: await desk.verify(request.secret) })
      case 'split': {
        const { type, shares, needed } = request
        return this.tell({ type, shares: await desk.split(shares, needed) })
      }
      case 'kit':
        return this.tell({ type: 'kit', path: this.#offer(desk.kit(request.shares)) })
      case 'passphrase':
        await desk.setPassphrase(request.from, request.to)
        return this.tell({ type: 'passphrase' })
      case 'ticket':
        return this.tell({ type: 'ticket', ticket: desk.ticket })
      case 'petname':
        await desk.setPetname(request.identity, request.name)
        return this.tell({ type: 'petname' })
      case 'pair':
        return this.tell({ type: 'pair', ...desk.pair() })
      case 'decide':
        return desk.decide(request.code, request.isOurs)
      case 'unpair':
        return desk.unpair()
      case 'lock':
        return desk.lock()
      case 'unlock':
      case 'join':
      case 'recover':
      case 'give-up':
        throw new Error('This device is in a notebook already')
      default:
        throw new TypeError(`unknown request ${String(request satisfies never)}`)
    }
  }

  async #open(id: string, number: number): Promise<void> {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    await this.#release(number)
    if (this.#channels.size >= MAX_OPEN) throw new Error('Too many documents are open in this page')
    const opened = await this.#notebook.open(id)
    const channel = new Channel(number, opened, {
      send: (bytes) => this.#socket.send(bytes),
      onreload: () => this.#reload(number)
    })
    this.#channels.set(number, channel)
  }

  async #release(number: number): Promise<void> {
    const channel = this.#channels.get(number)
    this.#channels.delete(number)
    await channel?.close()
  }

  /** What the page says on this channel from now on is about the former document: it is late. */
  #reload(number: number): void {
    this.#line = this.#line.then(() => this.#release(number)).catch(() => {}) // it is another one anyway
  }

  async #releaseAll(): Promise<void> {
    await Promise.allSettled([...this.#channels.keys()].map((number) => this.#release(number)))
  }

  #hear(bytes: Uint8Array): void {
    const { channel, kind, decoder } = parseFrame(bytes)
    // A message for a channel that was just released is late, not wrong.
    this.#channels.get(channel)?.hear(kind, decoder)
  }
}

interface ChannelHooks {
  send(bytes: Uint8Array): void
  /** The channel is over: the document is another one. */
  onreload(): void
}

/** A document that a page has open. It is the origin of what the page writes. */
class Channel {
  readonly #number: number
  readonly #opened: OpenDocument
  readonly #doc: Y.Doc
  readonly #hooks: ChannelHooks
  #isOver = false
  /** Awareness states that came from this page: they leave with it. */
  readonly #clients = new Set<number>()

  constructor(number: number, opened: OpenDocument, hooks: ChannelHooks) {
    this.#number = number
    this.#opened = opened
    this.#hooks = hooks
    const { live, awareness } = opened
    this.#doc = live.doc
    live.doc.on('update', this.#onupdate)
    live.on('seal', this.#onseal)
    live.on('reload', this.#onreload)
    awareness.on('update', this.#onawareness)
    this.#say(KIND.clientId, (encoder) => encoding.writeVarUint(encoder, Number(live.newSource())))
    this.#say(KIND.sync, (encoder) => writeSyncStep1(encoder, live.doc))
    this.#sayAwareness([...awareness.getStates().keys()])
  }

  get live(): OpenDocument['live'] {
    return this.#opened.live
  }

  /** @throws Error for what is no message; the document stays as it is */
  hear(kind: number, decoder: decoding.Decoder): void {
    if (this.#isOver) return // as late as what comes for a channel that was released
    if (kind === KIND.sync) return this.#hearSync(decoder)
    if (kind !== KIND.awareness) throw new TypeError(`unknown kind ${kind}`)
    applyAwarenessUpdate(this.#opened.awareness, decoding.readVarUint8Array(decoder), this)
  }

  async close(): Promise<void> {
    const { live, awareness, close } = this.#opened
    this.#doc.off('update', this.#onupdate)
    live.off('seal', this.#onseal)
    live.off('reload', this.#onreload)
    awareness.off('update', this.#onawareness)
    removeAwarenessStates(awareness, [...this.#clients], this)
    await close()
  }

  #hearSync(decoder: decoding.Decoder): void {
    const number = decoding.readVarUint(decoder)
    const reply = encoding.createEncoder()
    readSyncMessage(decoder, reply, this.#doc, this, (error) => {
      throw error
    })
    if (encoding.hasContent(reply)) {
      const bytes = encoding.toUint8Array(reply)
      this.#say(KIND.sync, (encoder) => encoding.writeUint8Array(encoder, bytes))
    }
    void this.#acknowledge(number)
  }

  async #acknowledge(number: number): Promise<void> {
    try {
      await this.#opened.live.flush()
    } catch {
      return // the page goes on saying that it is not saved, which is true
    }
    this.#say(KIND.ack, (encoder) => encoding.writeVarUint(encoder, number))
  }

  readonly #onupdate = (update: Uint8Array, origin: unknown): void => {
    if (origin === this || origin === SEAL) return
    this.#say(KIND.sync, (encoder) => writeUpdate(encoder, update))
  }

  readonly #onseal = (struck: Spans): void => {
    this.#say(KIND.seal, (encoder) => writeSpans(encoder, struck))
  }

  readonly #onreload = (): void => {
    this.#say(KIND.reload, () => {})
    this.#isOver = true
    this.#hooks.onreload()
  }

  readonly #onawareness = (change: AwarenessChange, origin: unknown): void => {
    if (origin === this) this.#remember(change)
    else this.#sayAwareness([...change.added, ...change.updated, ...change.removed])
  }

  #remember({ added, removed }: AwarenessChange): void {
    for (const client of added) this.#clients.add(client)
    for (const client of removed) this.#clients.delete(client)
  }

  #sayAwareness(clients: number[]): void {
    if (clients.length === 0) return
    const update = encodeAwarenessUpdate(this.#opened.awareness, clients)
    this.#say(KIND.awareness, (encoder) => encoding.writeVarUint8Array(encoder, update))
  }

  #say(kind: (typeof KIND)[keyof typeof KIND], write: (encoder: encoding.Encoder) => void): void {
    this.#hooks.send(frame(this.#number, kind, write))
  }
}
