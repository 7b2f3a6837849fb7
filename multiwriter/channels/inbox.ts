/** The pieces that one connection brings to one channel, put together; and how many more it may bring. */
import { MAX_MESSAGE_BYTES, WINDOW } from './message.ts'

/** So many are used before more are asked for: the sender never waits while it is heard. */
const GRANT = WINDOW / 2

export type Taken =
  | { readonly type: 'waiting' }
  | { readonly type: 'whole'; readonly message: Uint8Array }
  | { readonly type: 'refused'; readonly reason: 'flood' | 'oversized' }

export class ChannelInbox {
  #parts: Uint8Array[] = []
  #bytes = 0
  /** Pieces that may still come. */
  #left = WINDOW
  #used = 0

  take(piece: Uint8Array, isLast: boolean): Taken {
    if (this.#left === 0) return { type: 'refused', reason: 'flood' }
    this.#left -= 1
    this.#used += 1
    if (this.#bytes + piece.byteLength > MAX_MESSAGE_BYTES)
      return { type: 'refused', reason: 'oversized' }
    // A copy: the connection's bytes are not ours to keep.
    this.#parts.push(piece.slice())
    this.#bytes += piece.byteLength
    return isLast ? { type: 'whole', message: this.#join() } : { type: 'waiting' }
  }

  /** How many more to ask for; 0 while there is time. */
  get due(): number {
    return this.#used >= GRANT ? this.#used : 0
  }

  granted(): void {
    this.#left += this.#used
    this.#used = 0
  }

  /** What came of a message so far is all there will be. */
  reset(): void {
    this.#parts = []
    this.#bytes = 0
  }

  #join(): Uint8Array {
    const message = new Uint8Array(this.#bytes)
    let at = 0
    for (const part of this.#parts) {
      message.set(part, at)
      at += part.byteLength
    }
    this.reset()
    return message
  }
}
