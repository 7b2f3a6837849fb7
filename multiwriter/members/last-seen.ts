/**
 * When a device was last heard of: now while it is connected, else when it wrote the last that is held here of its logs, by its own
 * clock, or left. Of a device that only reads, acknowledges and connects to others, nothing is known here; so null is an answer.
 */
import b4a from 'b4a'
import z32 from 'z32'
import type { LogReader } from '../../core/index.ts'
import { unpackEntry } from '../../crdt/index.ts'
import type { SpacePeers } from '../space-link.ts'
import type { Union } from '../union.ts'

export interface LastSeenParts {
  readonly union: Pick<Union, 'events' | 'logs'>
  readonly peers: Pick<SpacePeers, 'events' | 'list'>
  readonly now: () => number
  /** This device's own log: it is here now, whatever stands there. */
  readonly own: Uint8Array
}

interface Written {
  readonly length: number
  readonly ms: number
}

const NEVER = -Infinity

export class LastSeen {
  readonly #parts: LastSeenParts
  /** By writer. */
  readonly #written = new Map<string, Written>()
  /** By device: when its last connection went. */
  readonly #gone = new Map<string, number>()
  #connected: ReadonlySet<string> = new Set()
  #reading: Promise<void> | null = null
  #isStale = false

  constructor(parts: LastSeenParts) {
    this.#parts = parts
    parts.union.events.on('change', this.#onchange)
    parts.peers.events.on('change', () => this.#onpeers())
  }

  /** What is here already. */
  async start(): Promise<void> {
    this.#onchange()
    await this.#reading
  }

  isConnected(device: string): boolean {
    return this.#connected.has(device)
  }

  /** @param writers its logs */
  of(device: string, writers: readonly string[]): number | null {
    const now = this.#parts.now()
    if (this.isConnected(device)) return now
    const written = writers.flatMap((writer) => this.#written.get(writer)?.ms ?? [])
    const last = Math.max(this.#gone.get(device) ?? NEVER, ...written)
    // Whose clock runs ahead was not seen tomorrow.
    return last === NEVER ? null : Math.min(now, last)
  }

  #onpeers(): void {
    const { peers, now } = this.#parts
    const before = this.#connected
    this.#connected = new Set(peers.list().map(({ remoteKey }) => z32.encode(remoteKey)))
    for (const device of before) if (!this.#connected.has(device)) this.#gone.set(device, now())
  }

  readonly #onchange = (): void => {
    this.#isStale = true
    this.#reading ??= this.#readAll()
  }

  async #readAll(): Promise<void> {
    while (this.#isStale) {
      this.#isStale = false
      const others = this.#parts.union.logs().filter(({ key }) => !b4a.equals(key, this.#parts.own))
      await Promise.all(others.map((log) => this.#read(log)))
    }
    this.#reading = null
  }

  async #read(log: LogReader): Promise<void> {
    const { id, length } = log
    if (length === 0 || this.#written.get(id)?.length === length) return
    try {
      const blocks = await log.written(length - 1, length, { wait: false })
      const ms = blocks.flatMap(({ entries }) =>
        entries.flatMap(({ value, seq }) => {
          const unpacked = unpackEntry(value, log.key, seq)
          return unpacked.ok ? unpacked.entry.head.stamp.ms : []
        })
      )
      if (ms.length > 0) this.#written.set(id, { length, ms: Math.max(...ms) })
    } catch {
      // Not here, or closing: what was known stands.
    }
  }
}
