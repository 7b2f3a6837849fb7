/** What a program works on: a device of this process or, over a wire, of the one that owns the store. Both behave alike. */
import {
  CancellationTokenSource,
  createMessageConnection,
  ParameterStructures,
  type MessageConnection
} from 'vscode-jsonrpc'
import type { Work } from '../../core/index.ts'
import { ManyhandsError } from '../../errors.ts'
import type { PortContext } from './context.ts'
import {
  isLive,
  requests,
  streams,
  type ItemOf,
  type ParamsOf,
  type Requests,
  type ResultOf,
  type Streams
} from './operations.ts'
import {
  closedPort,
  errorFromWire,
  PORT_VERSION,
  PROGRESS,
  type PortWire,
  type StreamItems,
  type Welcome
} from './wire.ts'

/** Of a live stream each item is wanted as soon as it comes; of others a whole batch is. */
const BATCH_ITEMS = 256

/** One device, to work through; which process it lives in is not seen. */
export interface DevicePort {
  /** True when another process owns the store. */
  readonly isRemote: boolean
  /**
   * @param work for operations that take long
   * @throws what the operation throws; DEVICE_CLOSED when the owner has closed the store
   */
  call<N extends keyof Requests>(
    name: N,
    params: ParamsOf<Requests[N]>,
    work?: Work
  ): Promise<ResultOf<Requests[N]>>
  /** Leaving the loop releases everything, on both sides. */
  stream<N extends keyof Streams>(
    name: N,
    params: ParamsOf<Streams[N]>
  ): AsyncIterableIterator<ItemOf<Streams[N]>>
  /** Ends the connection; the device lives on. Idempotent. */
  close(): Promise<void>
}

/** The port of a device in this process. */
export function localPort(context: PortContext): DevicePort {
  return {
    isRemote: false,
    call: (name, params, work) => {
      const answer = requests[name] as (
        context: PortContext,
        params: unknown,
        work?: Work
      ) => Promise<never>
      return answer(context, params, work)
    },
    stream: (name, params) => {
      const open = streams[name] as (
        context: PortContext,
        params: unknown
      ) => AsyncIterableIterator<never>
      return open(context, params)
    },
    close: () => Promise.resolve()
  }
}

/** The port behind a wire. @throws PORT_VERSION, DEVICE_CLOSED */
export async function remotePort(wire: PortWire): Promise<DevicePort> {
  wire.trust()
  const port = new RemotePort(wire)
  try {
    const { version } = (await port.request('hello', { version: PORT_VERSION })) as Welcome
    if (version === PORT_VERSION) return port
    throw new ManyhandsError('PORT_VERSION', `The owner of the store speaks version ${version}`)
  } catch (error) {
    await port.close()
    throw error
  }
}

class RemotePort implements DevicePort {
  readonly isRemote = true
  readonly #wire: PortWire
  readonly #connection: MessageConnection
  readonly #closed: Promise<void>
  #isClosed = false
  #lastProgress = 0

  constructor(wire: PortWire) {
    this.#wire = wire
    this.#connection = createMessageConnection(wire.reader, wire.writer)
    this.#closed = new Promise((resolve) => {
      this.#connection.onClose(() => {
        this.#isClosed = true
        this.#connection.dispose() // rejects what is under way
        resolve()
      })
    })
    this.#connection.listen()
  }

  call<N extends keyof Requests>(name: N, params: ParamsOf<Requests[N]>, work?: Work) {
    return this.request(name, params, work) as Promise<ResultOf<Requests[N]>>
  }

  stream<N extends keyof Streams>(name: N, params: ParamsOf<Streams[N]>) {
    const max = isLive(name, params) ? 1 : BATCH_ITEMS
    return new RemoteStream<ItemOf<Streams[N]>>(this, { name, params }, max)
  }

  async request(method: string, params: object, work: Work = {}): Promise<unknown> {
    const { signal, onprogress } = work
    signal?.throwIfAborted()
    if (this.#isClosed) throw closedPort()
    const cancelling = new CancellationTokenSource()
    const cancel = () => cancelling.cancel()
    signal?.addEventListener('abort', cancel)
    const id = ++this.#lastProgress
    const progress =
      onprogress === undefined ? null : this.#connection.onProgress(PROGRESS, id, onprogress)
    const given = progress === null ? [params] : [params, id]
    const { byPosition } = ParameterStructures
    try {
      return await this.#connection.sendRequest(method, byPosition, ...given, cancelling.token)
    } catch (error) {
      signal?.throwIfAborted()
      throw errorFromWire(error)
    } finally {
      progress?.dispose()
      signal?.removeEventListener('abort', cancel)
      cancelling.dispose()
    }
  }

  async close(): Promise<void> {
    this.#wire.close()
    await this.#closed
  }
}

/** Asks for the next batch when the last is used up. */
class RemoteStream<T> implements AsyncIterableIterator<T> {
  readonly #port: RemotePort
  readonly #max: number
  readonly #opening: Promise<unknown>
  #items: readonly unknown[] = []
  #used = 0
  #isDone = false

  constructor(port: RemotePort, open: object, max: number) {
    this.#port = port
    this.#max = max
    this.#opening = port.request('stream/open', open)
    this.#opening.catch(() => {}) // shown by the first `next`
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    for (;;) {
      if (this.#used < this.#items.length) {
        return { done: false, value: this.#items[this.#used++] as T }
      }
      if (this.#isDone) return { done: true, value: undefined }
      await this.#fill()
    }
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    if (!this.#isDone) {
      this.#isDone = true
      this.#items = []
      this.#used = 0
      // A port that closes has released it already.
      await this.#opening.then((id) => this.#port.request('stream/close', { id })).catch(() => {})
    }
    return { done: true, value: undefined }
  }

  async #fill(): Promise<void> {
    const id = await this.#opening
    const { items, done } = (await this.#port.request('stream/next', {
      id,
      max: this.#max
    })) as StreamItems
    if (this.#isDone) return // left meanwhile
    this.#items = items
    this.#used = 0
    this.#isDone = done
  }
}
