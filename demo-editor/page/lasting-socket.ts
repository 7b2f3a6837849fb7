/**
 * A WebSocket to the server that this page came from, opened again whenever it breaks: after 100 ms, then later and later. Ends
 * only where trying again is no use: with a token that is not (or no longer) right.
 */
import { EventEmitter } from 'eventemitter3'
import { CLOSE } from '../protocol.ts'

const RETRY = { firstMs: 100, lastMs: 3000, factor: 1.6 } as const

export type SocketState = 'connecting' | 'open' | 'away' | 'refused'

interface SocketEvents {
  state: [SocketState]
  text: [string]
  bytes: [Uint8Array]
  /** The last message was larger than the server takes; it will be no smaller the next time. */
  'too-large': []
}

export class LastingSocket extends EventEmitter<SocketEvents> {
  readonly #token: string
  #socket: WebSocket | null = null
  #state: SocketState = 'connecting'
  #wait: number = RETRY.firstMs

  constructor(token: string) {
    super()
    this.#token = token
  }

  get state(): SocketState {
    return this.#state
  }

  /** Call it once there are listeners. */
  connect(): void {
    const url = new URL(`/socket?token=${encodeURIComponent(this.#token)}`, location.href)
    url.protocol = 'ws:'
    url.hash = ''
    const socket = new WebSocket(url)
    socket.binaryType = 'arraybuffer'
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      // A server that takes us speaks at once; one that does not, closes.
      if (this.#state !== 'open') this.#become('open')
      this.#wait = RETRY.firstMs
      if (typeof data === 'string') this.emit('text', data)
      else this.emit('bytes', new Uint8Array(data))
    }
    socket.onclose = ({ code }) => this.#closed(code)
    this.#socket = socket
  }

  /** Lost when there is no connection: whoever sends knows what to say again at the next. */
  send(message: string | Uint8Array<ArrayBuffer>): void {
    if (this.#state === 'open') this.#socket?.send(message)
  }

  #closed(code: number): void {
    if (code === CLOSE.wrongToken) return this.#become('refused')
    this.#become('away')
    if (code === CLOSE.tooLarge) this.emit('too-large')
    if (code === CLOSE.changed) return this.connect()
    setTimeout(() => this.connect(), this.#wait)
    this.#wait = Math.min(this.#wait * RETRY.factor, RETRY.lastMs)
  }

  #become(state: SocketState): void {
    if (this.#state === state) return
    this.#state = state
    this.emit('state', state)
  }
}
