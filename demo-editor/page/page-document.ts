/**
 * A document as this page has it. What is typed lives here until the device has said that it is durable there, however often the
 * connection breaks meanwhile: at each new one the two exchange what the other lacks. Where the device has made its own anew, so does
 * the page, and what is not durable yet goes over.
 */
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { EventEmitter } from 'eventemitter3'
import {
  applyAwarenessUpdate,
  Awareness,
  encodeAwarenessUpdate,
  removeAwarenessStates
} from 'y-protocols/awareness'
import { readSyncMessage, writeSyncStep1, writeUpdate } from 'y-protocols/sync'
import * as Y from 'yjs'
import { SEAL, strike } from '../../crdt/document/yjs-seal.ts'
import type { Spans } from '../../crdt/document/spans.ts'
import { frame, KIND, readSpans, TEXT } from '../protocol.ts'
import { carryOver } from './carry-over.ts'
import { shownIn } from './letters.ts'

interface DocumentEvents {
  /** What `isLoaded`, `unsaved` say has changed. */
  change: []
  /** What is not saved of it has to go over to another one, which is opened anew: the device has made it of its logs again. */
  reload: []
  /** This was shown, and is not any more: it had been written when its author had no right to. */
  sealed: [text: string]
}

interface AwarenessChange {
  readonly added: readonly number[]
  readonly updated: readonly number[]
  readonly removed: readonly number[]
}

export class PageDocument extends EventEmitter<DocumentEvents> {
  readonly id: string
  readonly channel: number
  readonly doc = new Y.Doc()
  readonly text = this.doc.getText(TEXT)
  readonly awareness = new Awareness(this.doc)
  readonly #send: (bytes: Uint8Array<ArrayBuffer>) => void
  #isLoaded: boolean
  /** Messages on this connection, and how many of them the device has acknowledged. */
  #sent = 0
  #acknowledged = 0
  #edits = 0
  /** Edits since everything was last durable. */
  #unsaved: Uint8Array[] = []
  /** What of this page's own was durable by then, by client. */
  #saved = new Map<number, number>()
  /** What this page has written under. */
  readonly #own = new Set([this.doc.clientID])
  /** The one that this one takes the place of as soon as it is loaded. */
  #before: PageDocument | null = null

  /** @param isNew made here just now, so that there is nothing to load */
  constructor(
    id: string,
    channel: number,
    isNew: boolean,
    send: (bytes: Uint8Array<ArrayBuffer>) => void
  ) {
    super()
    this.id = id
    this.channel = channel
    this.#isLoaded = isNew
    this.#send = send
    this.doc.on('update', this.#onupdate)
    this.awareness.on('update', this.#onawareness)
  }

  /** What the device has is here. Before that nobody should type. */
  get isLoaded(): boolean {
    return this.#isLoaded
  }

  /** Edits that the device has not yet called durable. */
  get unsaved(): number {
    return this.#unsaved.length + (this.#before?.unsaved ?? 0)
  }

  /** What is shown as long as this one is not loaded. */
  get shown(): PageDocument {
    return this.#before ?? this
  }

  /** To be called before this one is loaded. What is typed into the other one until then comes over, too. */
  replace({ shown }: PageDocument): void {
    this.#before = shown
  }

  /** How many edits were made in this page. */
  get edits(): number {
    return this.#edits
  }

  /** A new connection: nothing that was sent on the old one counts. */
  reconnected(): void {
    this.#sent = 0
    this.#acknowledged = 0
  }

  disconnected(): void {
    const others = [...this.awareness.getStates().keys()].filter((id) => id !== this.doc.clientID)
    removeAwarenessStates(this.awareness, others, this)
  }

  hear(kind: number, decoder: decoding.Decoder): void {
    if (kind === KIND.sync) this.#hearSync(decoder)
    else if (kind === KIND.ack) this.#hearAck(decoding.readVarUint(decoder))
    else if (kind === KIND.clientId) this.#writeAs(decoding.readVarUint(decoder))
    else if (kind === KIND.seal) this.#strike(readSpans(decoder))
    else if (kind === KIND.reload) this.emit('reload')
    else applyAwarenessUpdate(this.awareness, decoding.readVarUint8Array(decoder), this)
  }

  destroy(): void {
    this.removeAllListeners()
    this.#before?.destroy()
    this.awareness.destroy()
    this.doc.destroy()
  }

  /**
   * What is typed from now on is proved to be this device's. In a document that was made here, what is typed before its device
   * answers counts as brought in from elsewhere.
   */
  #writeAs(clientId: number): void {
    const { awareness, doc } = this
    const state = awareness.getLocalState()
    const before = doc.clientID
    this.#own.add(clientId)
    doc.clientID = clientId
    removeAwarenessStates(awareness, [before], this)
    awareness.clientID = clientId
    awareness.setLocalState(state)
  }

  #strike(spans: Spans): void {
    const text = shownIn(this.text, spans)
    strike(this.doc, spans)
    if (text !== '') this.emit('sealed', text)
  }

  #hearSync(decoder: decoding.Decoder): void {
    const isFirst = this.#sent === 0
    if (isFirst && this.#hasMore(decoding.clone(decoder))) {
      this.emit('reload')
      return
    }
    const reply = encoding.createEncoder()
    const type = readSyncMessage(decoder, reply, this.doc, this)
    if (encoding.hasContent(reply)) {
      const bytes = encoding.toUint8Array(reply)
      this.#say((encoder) => encoding.writeUint8Array(encoder, bytes))
    }
    if (isFirst) this.#ask()
    if (type !== 1 || this.#isLoaded) return
    this.#isLoaded = true
    this.#takeOver()
    this.emit('change')
  }

  /**
   * Whether something that the device had told, or called durable, is not in its document any more: it was sealed while we were
   * away. It must not come back by us.
   */
  #hasMore(message: decoding.Decoder): boolean {
    decoding.readVarUint(message) // the type: the first message is a state vector
    const there = Y.decodeStateVector(decoding.readVarUint8Array(message))
    const told = [...Y.decodeStateVector(Y.encodeStateVector(this.doc))]
    return told.some(([client, clock]) => {
      const needed = this.#own.has(client) ? (this.#saved.get(client) ?? 0) : clock
      return (there.get(client) ?? 0) < needed
    })
  }

  #takeOver(): void {
    const before = this.#before
    if (before === null) return
    this.#before = null
    for (const clientId of before.#own) this.#own.add(clientId)
    this.#noteSaved()
    carryOver(before.#unsaved, before.text, this.text, before)
    before.destroy()
  }

  #noteSaved(): void {
    this.#saved = new Map([...this.#own].map((id) => [id, Y.getState(this.doc.store, id)]))
  }

  /** For what the device has and we lack; and tell who is here. */
  #ask(): void {
    this.#say((encoder) => writeSyncStep1(encoder, this.doc))
    this.#sayAwareness([this.doc.clientID])
  }

  #hearAck(number: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, number)
    if (this.#acknowledged < this.#sent || this.#unsaved.length === 0) return
    this.#unsaved = []
    this.#noteSaved()
    this.emit('change')
  }

  readonly #onupdate = (update: Uint8Array, origin: unknown): void => {
    if (origin === this || origin === SEAL) return
    this.#unsaved.push(update)
    this.#edits++
    // Before the device has spoken on this connection it is told by the exchange of what is lacking.
    if (this.#sent > 0) this.#say((encoder) => writeUpdate(encoder, update))
    this.emit('change')
  }

  readonly #onawareness = (change: AwarenessChange, origin: unknown): void => {
    if (origin === this || this.#sent === 0) return
    this.#sayAwareness([...change.added, ...change.updated, ...change.removed])
  }

  #say(write: (encoder: encoding.Encoder) => void): void {
    const number = ++this.#sent
    this.#send(
      frame(this.channel, KIND.sync, (encoder) => {
        encoding.writeVarUint(encoder, number)
        write(encoder)
      })
    )
  }

  #sayAwareness(clients: number[]): void {
    if (this.awareness.getLocalState() === null) return
    const update = encodeAwarenessUpdate(this.awareness, clients)
    this.#send(
      frame(this.channel, KIND.awareness, (encoder) => encoding.writeVarUint8Array(encoder, update))
    )
  }
}
