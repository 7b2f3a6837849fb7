/**
 * Messages over a byte stream: each a length (4 bytes, big endian) and so many bytes of CBOR. What is no frame ends the stream:
 * nothing that follows could be believed.
 */
import b4a from 'b4a'
import { decode, encode } from 'cborg'
import { AbstractMessageReader, AbstractMessageWriter, type Message } from 'vscode-jsonrpc'

/** What a stranger may make us hold: enough for a greeting. */
const GREETING_BYTES = 4096

/** One value of 4 MiB with many conflicts, or one batch of writes. */
const MAX_BYTES = 256 * 1024 * 1024

const HEADER_BYTES = 4

/** Collects what arrives and hands out whole messages. */
export class FrameReader extends AbstractMessageReader {
  readonly #onbad: () => void
  readonly #mayGoOn: () => boolean
  #limit = GREETING_BYTES
  /** Called before a message that has to be answered is handed out. */
  onrequest: () => void = () => {}
  #chunks: Uint8Array[] = []
  #bytes = 0
  #ended = false
  #callback: ((message: Message) => void) | null = null

  /**
   * @param onbad called once, for what is no frame
   * @param mayGoOn asked before each message: false holds it back until `goOn` is called
   */
  constructor(onbad: () => void, mayGoOn: () => boolean = () => true) {
    super()
    this.#onbad = onbad
    this.#mayGoOn = mayGoOn
  }

  /** Hands out what was held back, as far as that is allowed now. */
  goOn(): void {
    if (!this.#ended) this.#drain()
  }

  trust(): void {
    this.#limit = MAX_BYTES
  }

  listen(callback: (message: Message) => void) {
    this.#callback = callback
    this.#drain()
    return { dispose: () => (this.#callback = null) }
  }

  push(chunk: Uint8Array): void {
    if (this.#ended) return
    this.#chunks.push(chunk)
    this.#bytes += chunk.byteLength
    this.#drain()
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.fireClose()
  }

  #drain(): void {
    try {
      for (;;) {
        const isHeld = this.#callback === null || !this.#mayGoOn()
        const frame = isHeld ? null : this.#take()
        if (frame === null) return
        const message = messageOf(frame)
        if (isAsking(message)) this.onrequest()
        this.#callback?.(message)
      }
    } catch {
      this.#chunks = []
      this.#onbad()
      this.end()
    }
  }

  /** The bytes of the next whole frame, or null. */
  #take(): Uint8Array | null {
    const length = this.#peekLength()
    if (length === null || this.#bytes < HEADER_BYTES + length) return null
    const all = this.#joined()
    this.#chunks = [all.subarray(HEADER_BYTES + length)]
    this.#bytes -= HEADER_BYTES + length
    return all.subarray(HEADER_BYTES, HEADER_BYTES + length)
  }

  #peekLength(): number | null {
    if (this.#bytes < HEADER_BYTES) return null
    if ((this.#chunks[0]?.byteLength ?? 0) < HEADER_BYTES) this.#joined()
    const head = this.#chunks[0] ?? new Uint8Array()
    const length = new DataView(head.buffer, head.byteOffset).getUint32(0)
    if (length > this.#limit) throw new RangeError('no frame is so long')
    return length
  }

  /** Joined when a frame is whole, not at every chunk: a large frame costs no more than its bytes. */
  #joined(): Uint8Array {
    const all = this.#chunks.length === 1 ? this.#chunks[0] : b4a.concat(this.#chunks)
    this.#chunks = [all ?? new Uint8Array()]
    return this.#chunks[0] ?? new Uint8Array()
  }
}

/** A message that has to be answered. */
function isAsking(message: Message): boolean {
  return 'id' in message && 'method' in message
}

/** Writes messages as frames; the promise of a write is kept when the stream has taken it. */
export class FrameWriter extends AbstractMessageWriter {
  readonly #write: (frame: Uint8Array) => Promise<void>
  readonly #end: () => void
  /** Called when the stream has taken an answer. */
  onanswer: () => void = () => {}

  constructor(write: (frame: Uint8Array) => Promise<void>, end: () => void) {
    super()
    this.#write = write
    this.#end = end
  }

  /** A stream that is gone ends the connection by itself: only what cannot be written at all is an error here. */
  async write(message: Message): Promise<void> {
    const body = encode(message)
    const header = new Uint8Array(HEADER_BYTES)
    new DataView(header.buffer).setUint32(0, body.byteLength)
    await this.#write(b4a.concat([header, body])).catch(() => {})
    if (!('method' in message)) this.onanswer()
  }

  end(): void {
    this.#end()
  }
}

/** @throws for what is no JSON-RPC message, or one that the library would stumble over */
function messageOf(frame: Uint8Array): Message {
  const message: unknown = decode(frame)
  if (!isRecord(message) || message.jsonrpc !== '2.0') throw new TypeError('not a message')
  if (![isRequest, isCancel, isProgress, isResponse].some((isIt) => isIt(message))) {
    throw new TypeError('not a message')
  }
  return { ...message, jsonrpc: '2.0' }
}

function isRequest({ id, method, params }: Record<string, unknown>): boolean {
  return isId(id) && typeof method === 'string' && Array.isArray(params)
}

function isCancel({ id, method, params }: Record<string, unknown>): boolean {
  return id === undefined && method === '$/cancelRequest' && isRecord(params) && isId(params.id)
}

function isProgress({ id, method, params }: Record<string, unknown>): boolean {
  if (id !== undefined || method !== '$/progress' || !isRecord(params)) return false
  return isId(params.token) && isRecord(params.value)
}

function isResponse({ id, method, result, error }: Record<string, unknown>): boolean {
  if (!isId(id) || method !== undefined) return false
  if (error === undefined) return result !== undefined
  return isRecord(error) && typeof error.code === 'number' && typeof error.message === 'string'
}

function isId(id: unknown): boolean {
  return typeof id === 'number' || typeof id === 'string'
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
