/**
 * The host's side of a port: answers processes that work through our device. What a client opened is released when it closes or
 * dies, and its long work ends; what it says wrong is answered with an error and harms nobody else. Closing lets short requests
 * under way finish, and ends long ones.
 */
import {
  createMessageConnection,
  type CancellationToken,
  type MessageConnection
} from 'vscode-jsonrpc'
import type { Work } from '../../core/index.ts'
import { invalid, ManyhandsError } from '../../errors.ts'
import type { PortContext } from './context.ts'
import { isLive, streams, requests } from './operations.ts'
import { seldom } from './seldom.ts'
import {
  closedPort,
  errorToWire,
  PORT_VERSION,
  PROGRESS,
  type PortListener,
  type PortWire,
  type StreamItems,
  type Welcome
} from './wire.ts'

/** Of one answer to `stream/next`: what a reader cannot be made to hold is not asked for. */
const MAX_ITEMS = 256

/** And not many large ones. */
const MAX_ITEM_BYTES = 1024 * 1024

/** A client that opens more at once has forgotten to close them. */
const MAX_STREAMS = 1024

type Params = Readonly<Record<string, unknown>>

export class PortHost {
  readonly #context: PortContext
  readonly #clients = new Set<PortClientSession>()
  #listener: PortListener | null = null
  #closing: Promise<void> | null = null
  #onchange: () => void = () => {}

  constructor(context: PortContext) {
    this.#context = context
  }

  /** How many processes work through this one now. */
  get clients(): Clients {
    const welcome = [...this.#clients].filter((client) => client.isWelcome)
    const lasting = welcome.filter((client) => client.isLasting).length
    return { lasting, passing: welcome.length - lasting }
  }

  /** Serves the door's connections, until the host is closed. */
  serve(listener: PortListener): void {
    this.#listener = listener
  }

  /** A process has connected. */
  accept(wire: PortWire): void {
    if (this.#closing !== null) return wire.close()
    const client = new PortClientSession(wire, this.#context, () => {
      if (client.hasLeft) this.#clients.delete(client)
      this.#onchange()
    })
    this.#clients.add(client)
  }

  /** Lets no more in, and resolves when all have left by themselves but those that would stay for ever. */
  async drain(): Promise<void> {
    // Gone for good only when the last connection is: `close` awaits that, and says what went wrong.
    this.#listener?.close().catch(() => {})
    while (this.clients.passing > 0) {
      await new Promise<void>((resolve) => (this.#onchange = resolve))
    }
  }

  /** Ends everything: what is under way is answered, what is asked from now on fails with DEVICE_CLOSED. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    // The name goes at once; that the last connection has ended is awaited below.
    const unlisted = this.#listener?.close()
    await Promise.all([...this.#clients].map((client) => client.close()))
    await unlisted
  }
}

/** Processes that work through ours. */
interface Clients {
  /** Have a live stream open. They end only when somebody ends them, and can go on with the next owner. */
  readonly lasting: number
  /** All others: they end when they are done. */
  readonly passing: number
}

/** One connected process. */
class PortClientSession {
  hasLeft = false
  readonly #left: Promise<void>
  readonly #onchange: () => void
  readonly #wire: PortWire
  readonly #context: PortContext
  readonly #connection: MessageConnection
  readonly #streams = new Map<number, AsyncIterator<unknown>>()
  readonly #live = new Set<number>()
  readonly #running = new Set<Promise<unknown>>()
  /** Each ends one request that takes long. */
  readonly #enders = new Set<AbortController>()
  /** It has said hello. */
  isWelcome = false
  #isClosing = false
  #lastStream = 0

  /** @param onchange called when it has left, or `isLasting` may have changed */
  constructor(wire: PortWire, context: PortContext, onchange: () => void) {
    this.#onchange = onchange
    this.#wire = wire
    this.#context = context
    this.#connection = createMessageConnection(wire.reader, wire.writer)
    this.#left = new Promise((resolve) => {
      this.#connection.onClose(() => {
        this.#endWork()
        void this.#release()
        this.#connection.dispose()
        this.hasLeft = true
        onchange()
        resolve()
      })
    })
    this.#connection.onRequest((method, params, token) =>
      this.#track(this.#answer(method, params, token))
    )
    this.#connection.listen()
  }

  /** Whether it would stay for ever. */
  get isLasting(): boolean {
    return this.#live.size > 0
  }

  async close(): Promise<void> {
    this.#endWork()
    await this.#release()
    await Promise.allSettled(this.#running)
    this.#wire.close()
    await this.#left
  }

  /** Of a client that has gone, or that we leave. */
  #endWork(): void {
    this.#isClosing = true
    for (const ender of this.#enders) ender.abort(closedPort())
  }

  async #release(): Promise<void> {
    const left = [...this.#streams.values()]
    this.#streams.clear()
    await Promise.allSettled(left.map(async (stream) => stream.return?.()))
  }

  #track<T>(answer: Promise<T>): Promise<T> {
    this.#running.add(answer)
    const done = () => this.#running.delete(answer)
    answer.then(done, done)
    return answer
  }

  async #answer(method: string, params: unknown, token: CancellationToken): Promise<unknown> {
    const ender = new AbortController()
    const { signal } = ender
    const stop = token.onCancellationRequested(() => ender.abort())
    this.#enders.add(ender)
    try {
      if (this.#isClosing) throw closedPort()
      const work = { signal, onprogress: this.#teller(params) }
      return (await this.#call(method, paramsIn(params), work)) ?? null
    } catch (error) {
      throw errorToWire(error)
    } finally {
      stop.dispose()
      this.#enders.delete(ender)
    }
  }

  /** Says how far a request is, if that was asked for. */
  #teller(params: unknown): Work['onprogress'] {
    const id: unknown = Array.isArray(params) ? params[1] : undefined
    if (typeof id !== 'number') return undefined
    return seldom((progress) => {
      // A client that has gone needs no progress.
      this.#connection.sendProgress(PROGRESS, id, progress).catch(() => {})
    }, this.#context.now)
  }

  #call(method: string, params: Params, work: Work): Promise<unknown> {
    if (method === 'hello') return this.#hello(params)
    if (!this.isWelcome) throw new ManyhandsError('PORT_VERSION', 'The other process said no hello')
    if (method === 'stream/open') return this.#open(params)
    if (method === 'stream/next') return this.#next(params)
    if (method === 'stream/close') return this.#closeStream(params)
    const answer = findIn<(context: PortContext, params: Params, work: Work) => Promise<unknown>>(
      requests,
      method
    )
    return answer(this.#context, params, work)
  }

  #hello({ version }: Params): Promise<Welcome> {
    if (version !== PORT_VERSION) {
      const message = `The store is in use by a manyhands that speaks version ${PORT_VERSION}, not ${String(version)}`
      throw new ManyhandsError('PORT_VERSION', message)
    }
    this.isWelcome = true
    this.#wire.trust()
    return Promise.resolve({ version: PORT_VERSION, device: this.#context.device.id })
  }

  #open({ name, params }: Params): Promise<number> {
    if (this.#streams.size >= MAX_STREAMS) invalid('name', `at most ${MAX_STREAMS} streams`, name)
    if (typeof name !== 'string') invalid('name', 'a stream', name)
    const open = findIn<(context: PortContext, params: Params) => AsyncIterator<unknown>>(
      streams,
      name
    )
    const id = ++this.#lastStream
    const given = paramsIn([params])
    this.#streams.set(id, open(this.#context, given))
    if (isLive(name, given)) this.#live.add(id)
    this.#onchange()
    return Promise.resolve(id)
  }

  /** The next items: all that fit into an answer, or of a live stream the one that comes next. */
  async #next({ id, max }: Params): Promise<StreamItems> {
    const stream = this.#streams.get(Number(id))
    if (stream === undefined) throw closedPort()
    const items: unknown[] = []
    const wanted = Math.min(typeof max === 'number' ? max : 1, MAX_ITEMS)
    let bytes = 0
    do {
      const result = await stream.next()
      if (result.done === true) return this.#ended(Number(id), items)
      items.push(result.value)
      bytes += roughBytes(result.value)
    } while (items.length < wanted && bytes < MAX_ITEM_BYTES)
    return { items, done: false }
  }

  #ended(id: number, items: readonly unknown[]): StreamItems {
    // Left because we close, not because it is over.
    if (this.#isClosing) throw closedPort()
    this.#forget(id)
    return { items, done: true }
  }

  async #closeStream({ id }: Params): Promise<void> {
    const stream = this.#streams.get(Number(id))
    this.#forget(Number(id))
    await stream?.return?.()
  }

  #forget(id: number): void {
    this.#streams.delete(id)
    this.#live.delete(id)
    this.#onchange()
  }
}

/** About what an item takes on the wire. */
function roughBytes(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (value instanceof Uint8Array) return value.byteLength
  if (typeof value !== 'object' || value === null) return 8
  return Object.values(value).reduce<number>((sum, each) => sum + 8 + roughBytes(each), 8)
}

function paramsIn(params: unknown): Params {
  const first: unknown = Array.isArray(params) ? params[0] : undefined
  if (typeof first === 'object' && first !== null) return first as Params
  return invalid('params', 'an object', first)
}

/** By its own name only: `constructor` is no operation. */
function findIn<O>(table: object, name: string): O {
  if (!Object.hasOwn(table, name)) throw new ManyhandsError('PORT_VERSION', `There is no ${name}`)
  return (table as Record<string, O>)[name] as O
}
