/**
 * What waits for a connection that is full. A slot is one thing to say, which may change while it waits: then only what it says
 * last is sent. So a slow peer costs no more memory than there are slots.
 */
import { saidFrame } from './message.ts'

/** The latest of one device's messages on one matter. */
export interface Slot {
  readonly box: Uint8Array
  readonly seq: number
}

/** Where a slot stands: null once it is gone. */
export type SlotSource = { readonly current: Slot | null }

/** A connected peer. */
export interface PresencePeer {
  readonly remoteKey: Uint8Array
  /** @returns false when nothing more should be sent until it drains */
  sendPresence(message: Uint8Array): boolean
}

export class Outbox {
  readonly #peer: PresencePeer
  readonly #onsent: () => void
  readonly #waiting = new Set<SlotSource>()
  #isFull = false

  constructor(peer: PresencePeer, onsent: () => void) {
    this.#peer = peer
    this.#onsent = onsent
  }

  /** Sends what the source holds, now or when there is room. */
  post(source: SlotSource): void {
    this.#waiting.add(source)
    this.#pump()
  }

  /** Sends what is worth nothing later. @returns false, and nothing is sent, while there is no room */
  pass(frame: Uint8Array): boolean {
    if (this.#isFull) return false
    this.#isFull = !this.#peer.sendPresence(frame)
    return true
  }

  get isFull(): boolean {
    return this.#isFull
  }

  /** There is room again. */
  drained(): void {
    this.#isFull = false
    this.#pump()
  }

  #pump(): void {
    for (const source of this.#waiting) {
      if (this.#isFull) return
      this.#waiting.delete(source)
      if (source.current === null) continue
      this.#isFull = !this.#peer.sendPresence(saidFrame(source.current.box))
      this.#onsent()
    }
  }
}
