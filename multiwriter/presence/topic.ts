/** One matter that devices say something about, for instance where their cursors stand in a document. */
import { EventEmitter } from 'eventemitter3'
import { decodeValue, encodeValue, type Value } from '../../crdt/index.ts'
import { ManyhandsError } from '../../errors.ts'

/** Writers whose state in a topic came, changed, or went. */
export interface PresenceChange {
  readonly added: readonly string[]
  readonly updated: readonly string[]
  readonly removed: readonly string[]
}

export interface PresenceTopicEvents {
  change: [PresenceChange]
  /** It was closed, or the space was. */
  close: []
}

export interface TopicParts {
  readonly name: string
  states(): Iterable<[string, Uint8Array]>
  /** @throws PRESENCE_TOO_LARGE */
  say(payload: Uint8Array | null): void
  onclose(): void
}

export class PresenceTopic extends EventEmitter<PresenceTopicEvents> {
  readonly name: string
  readonly #parts: TopicParts
  #value: Value = null
  #isClosed = false

  /** @see Presence.topic */
  constructor(parts: TopicParts) {
    super()
    this.name = parts.name
    this.#parts = parts
  }

  /** What this device says here; null for nothing. */
  get value(): Value {
    return this.#value
  }

  /**
   * Says something to every device that is connected now or comes later, in place of what was said before; null takes it back.
   * At most 20 times a second anything is sent: of what is set in between, the last.
   * @throws VALUE_INVALID, PRESENCE_TOO_LARGE, TOPIC_CLOSED
   */
  set(value: Value): void {
    if (this.#isClosed) throw new ManyhandsError('TOPIC_CLOSED', 'The topic is closed')
    const payload = value === null ? null : encodeValue(value)
    this.#parts.say(payload)
    this.#value = payload === null ? null : decodeValue(payload)
  }

  /** What the other devices say now, by their writers. */
  states(): Map<string, Value> {
    if (this.#isClosed) return new Map()
    return new Map([...this.#parts.states()].map(([writer, bytes]) => [writer, decodeValue(bytes)]))
  }

  /** Takes back what was said, and listens no more. Idempotent. */
  close(): void {
    if (this.#isClosed) return
    if (this.#value !== null) this.set(null)
    this.end()
  }

  /** The space closes, and with it everything that was said. */
  end(): void {
    this.#isClosed = true
    this.#value = null
    this.#parts.onclose()
    this.emit('close')
    this.removeAllListeners()
  }
}
