/**
 * What waits to be sent over one connection: a queue for each channel that the other side has. They take turns, piece by piece, as
 * fast as the connection takes them, and as far as the other side has allowed: whoever is slow costs memory up to a bound.
 */
import { ManyhandsError } from '../../errors.ts'
import type { Timers } from '../timers.ts'
import { peerGone } from './channel.ts'
import { PIECE_BYTES, WINDOW, type ChannelFrame } from './message.ts'

/** Four of the largest messages. */
const MAX_WAITING_BYTES = 256 * 1024 * 1024

/** So much at a stretch, then everything else has its turn: the other end may be in this process, and never make us wait. */
const STRETCH_BYTES = 1024 * 1024

/** What a small message costs besides its bytes, roughly. */
const OVERHEAD_BYTES = 256

interface Sending {
  readonly message: Uint8Array
  /** How much of it is sent. */
  at: number
  readonly done: (error: Error | null) => void
}

/** A channel of the other side. */
interface Line {
  /** What the other side calls it. */
  readonly id: number
  /** Pieces that it still takes. */
  credit: number
  readonly queue: Set<Sending>
}

export class ChannelOutbox {
  readonly #send: (frame: ChannelFrame) => boolean
  readonly #soon: Timers['soon']
  readonly #lines = new Map<string, Line>()
  #waitingBytes = 0
  #isFull = false
  /** Bytes sent since everything else had its turn. */
  #stretch = 0

  /** @param send gives false when nothing more should be sent before `drained` */
  constructor(send: (frame: ChannelFrame) => boolean, soon: Timers['soon']) {
    this.#send = send
    this.#soon = soon
  }

  /** The channels that the other side has. */
  get names(): readonly string[] {
    return [...this.#lines.keys()]
  }

  has(name: string): boolean {
    return this.#lines.has(name)
  }

  /** What is a word about channels, not a message: small, and never held back. */
  tell(frame: ChannelFrame): void {
    if (!this.#send(frame)) this.#isFull = true
  }

  /** The other side has a channel. */
  open(name: string, id: number): void {
    this.#lines.set(name, { id, credit: WINDOW, queue: new Set() })
  }

  /** @returns which channel of the other side is called so */
  nameOf(id: number): string | null {
    for (const [name, line] of this.#lines) if (line.id === id) return name
    return null
  }

  /** The other side has closed a channel. */
  close(name: string): void {
    this.drop(name, peerGone())
    this.#lines.delete(name)
  }

  /** @returns false for more than there ever was */
  allow(name: string, pieces: number): boolean {
    const line = this.#lines.get(name)
    if (line === undefined || line.credit + pieces > WINDOW) return false
    line.credit += pieces
    this.#pump()
    return true
  }

  drained(): void {
    this.#isFull = false
    this.#pump()
  }

  /** Resolves when all of it is sent. @throws CHANNEL_FULL, CHANNEL_PEER_GONE, and what `drop` is told */
  post(name: string, message: Uint8Array): Promise<void> {
    const line = this.#lines.get(name)
    if (line === undefined) return Promise.reject(peerGone())
    const bytes = message.byteLength + OVERHEAD_BYTES
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES) return Promise.reject(full())
    this.#waitingBytes += bytes
    return new Promise((resolve, reject) => {
      const done = (error: Error | null) => {
        this.#waitingBytes -= bytes
        if (error === null) resolve()
        else reject(error)
      }
      line.queue.add({ message, at: 0, done })
      this.#pump()
    })
  }

  /** Gives up what waits for a channel. */
  drop(name: string, error: Error): void {
    const line = this.#lines.get(name)
    if (line === undefined) return
    const waiting = [...line.queue]
    line.queue.clear()
    for (const { done } of waiting) done(error)
  }

  #pump(): void {
    while (!this.#isFull && this.#stretch < STRETCH_BYTES) {
      const line = this.#nextLine()
      if (line === null) return
      this.#sendPiece(line)
      if (this.#stretch >= STRETCH_BYTES) this.#rest()
    }
  }

  #rest(): void {
    this.#soon(() => {
      this.#stretch = 0
      this.#pump()
    })
  }

  /** Whoever's turn it is goes to the end of the queue of queues. */
  #nextLine(): Line | null {
    for (const [name, line] of this.#lines) {
      if (line.credit === 0 || line.queue.size === 0) continue
      this.#lines.delete(name)
      this.#lines.set(name, line)
      return line
    }
    return null
  }

  #sendPiece(line: Line): void {
    const [sending] = line.queue
    if (sending === undefined) return
    const bytes = sending.message.subarray(sending.at, sending.at + PIECE_BYTES)
    sending.at += bytes.byteLength
    this.#stretch += bytes.byteLength + OVERHEAD_BYTES
    line.credit -= 1
    const isLast = sending.at === sending.message.byteLength
    this.tell({ type: 'piece', to: line.id, isLast, bytes })
    if (!isLast) return
    line.queue.delete(sending)
    sending.done(null)
  }
}

function full(): ManyhandsError {
  const problem = `More than ${MAX_WAITING_BYTES} bytes wait for the device`
  return new ManyhandsError('CHANNEL_FULL', problem)
}
