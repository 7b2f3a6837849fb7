/** Two ends of a port's wire inside one process: messages are cloned, as between a page and its worker. */
import {
  AbstractMessageReader,
  AbstractMessageWriter,
  type DataCallback,
  type Message
} from 'vscode-jsonrpc'
import type { PortWire } from '../../multiwriter/index.ts'

class Reader extends AbstractMessageReader {
  received = 0
  #callback: DataCallback | null = null

  listen(callback: DataCallback) {
    this.#callback = callback
    return { dispose: () => (this.#callback = null) }
  }

  take(message: Message): void {
    this.received++
    this.#callback?.(message)
  }

  close(): void {
    this.fireClose()
  }
}

class Writer extends AbstractMessageWriter {
  readonly #to: Reader

  constructor(to: Reader) {
    super()
    this.#to = to
  }

  write(message: Message): Promise<void> {
    const copy = structuredClone({ ...message })
    queueMicrotask(() => this.#to.take(copy))
    return Promise.resolve()
  }

  end(): void {}
}

export interface MemoryWire extends PortWire {
  /** Messages that have arrived at this end. */
  readonly received: number
}

export function memoryWires(): [MemoryWire, MemoryWire] {
  const readers = [new Reader(), new Reader()] as const
  const close = () => {
    for (const reader of readers) reader.close()
  }
  const wire = (own: Reader, other: Reader): MemoryWire => ({
    reader: own,
    writer: new Writer(other),
    trust() {},
    close,
    get received() {
      return own.received
    }
  })
  return [wire(readers[0], readers[1]), wire(readers[1], readers[0])]
}
