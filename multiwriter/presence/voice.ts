/**
 * What this device says: the latest per topic, at most 20 messages a second, and a heartbeat while there is nothing new. Says
 * nothing, and sets no timer, while there is nothing to say or nobody to hear it; and no state while there is no key for it.
 */
import b4a from 'b4a'
import { randomBytes } from '../../core/index.ts'
import { ManyhandsError } from '../../errors.ts'
import type { Timers } from '../timers.ts'
import { MAX_PAYLOAD_BYTES, SESSION_BYTES, type Saying } from './message.ts'
import type { Slot, SlotSource } from './outbox.ts'
import { HEARTBEAT_MS, MAX_DEVICE_BYTES, MAX_TOPICS } from './roster.ts'

/** 20 a second: as often as eyes follow, half of what others allow (roster.ts). */
const PAUSE_MS = 50

const TIME_BYTES = 6
const MAX_TIME = 2 ** (8 * TIME_BYTES) - 1

interface Own {
  /** The topic's number in this session. */
  readonly slot: number
  payload: Uint8Array | null
  /** As it was last sent. */
  current: Slot | null
}

export interface VoiceParts {
  readonly timers: Timers
  /** Milliseconds since 1970. */
  readonly now: number
  /** @returns null for a state while there is no key for it */
  seal(place: { session: Uint8Array; seq: number }, saying: Saying): Uint8Array | null
  /** Whether anybody is connected. */
  isHeard(): boolean
  send(source: SlotSource): void
}

export class Voice {
  readonly #parts: VoiceParts
  readonly #topics = new Map<string, Own>()
  readonly #unsaid = new Set<string>()
  readonly #pulse: { current: Slot | null } = { current: null }
  #session: Uint8Array
  #seq = 0
  #slots = 0
  #spokeAt = 0
  #stopPause: (() => void) | null = null
  #stopHeartbeat: (() => void) | null = null

  constructor(parts: VoiceParts) {
    this.#parts = parts
    this.#session = sessionAt(parts.now)
  }

  get session(): Uint8Array {
    return this.#session
  }

  /** Messages made so far. */
  get said(): number {
    return this.#seq
  }

  /** @throws PRESENCE_TOO_LARGE */
  say(topic: string, payload: Uint8Array | null): void {
    this.#checkSize(topic, payload)
    const own = this.#topics.get(topic)
    if (own === undefined && payload === null) return
    if (own === undefined) this.#topics.set(topic, { slot: this.#slots++, payload, current: null })
    else own.payload = payload
    this.#dropWithdrawn()
    this.#unsaid.add(topic)
    this.resume()
  }

  /** What a newcomer should be told; what is still to be said follows by itself. */
  sources(): Iterable<SlotSource> {
    return this.#topics.values()
  }

  /** Says what is to be said, if it is time and anybody hears it: to be called when somebody comes, or a key. */
  resume(): void {
    this.#armHeartbeat()
    if (this.#stopPause !== null || !this.#parts.isHeard()) return
    const [topic] = this.#unsaid
    const own = topic === undefined ? undefined : this.#topics.get(topic)
    if (topic === undefined || own === undefined) return
    const { slot, payload } = own
    if (!this.#speak(own, { kind: 'state', slot, topic, payload })) return
    this.#unsaid.delete(topic)
    this.#stopPause = this.#parts.timers.after(PAUSE_MS, () => {
      this.#stopPause = null
      this.resume()
    })
  }

  /** Somebody heard a later session of this device: our clock was set back, or this store was copied. Begins one that is later. */
  restart(after: Uint8Array): void {
    this.#session = sessionAt(timeOf(after) + 1)
    this.#pulse.current = null
    for (const [topic, own] of this.#topics) {
      own.current = null
      this.#unsaid.add(topic)
    }
    this.resume()
  }

  /** Says goodbye to whoever heard of us; nothing may be said afterwards. @returns whether there was anybody */
  leave(): boolean {
    const wasHere = [...this.#topics.values()].some(({ current }) => current !== null)
    const isMissed = wasHere && this.#parts.isHeard()
    if (isMissed) this.#speak(this.#pulse, { kind: 'leave' })
    this.#stopPause?.()
    this.#stopHeartbeat?.()
    this.#topics.clear()
    this.#unsaid.clear()
    return isMissed
  }

  /** @returns whether there was a key for it */
  #speak(source: { current: Slot | null }, saying: Saying): boolean {
    const seq = this.#seq
    const box = this.#parts.seal({ session: this.#session, seq }, saying)
    if (box === null) return false
    this.#seq++
    source.current = { seq, box }
    this.#spokeAt = this.#parts.timers.elapsed()
    this.#parts.send(source)
    return true
  }

  #armHeartbeat(): void {
    if (this.#stopHeartbeat !== null || !this.#parts.isHeard() || !this.#hasState()) return
    const wait = Math.max(1, this.#spokeAt + HEARTBEAT_MS - this.#parts.timers.elapsed())
    this.#stopHeartbeat = this.#parts.timers.after(wait, () => {
      this.#stopHeartbeat = null
      const isDue = this.#spokeAt + HEARTBEAT_MS <= this.#parts.timers.elapsed()
      if (isDue && this.#parts.isHeard() && this.#hasState()) {
        this.#speak(this.#pulse, { kind: 'alive' })
      }
      this.resume()
    })
  }

  #hasState(): boolean {
    return [...this.#topics.values()].some(
      ({ payload, current }) => payload !== null && current !== null
    )
  }

  /** What was taken back is still told to those who come back, as long as there is room; to those who are here, always. */
  #dropWithdrawn(): void {
    for (const [topic, { payload, current }] of this.#topics) {
      if (this.#topics.size <= MAX_TOPICS) return
      const isToBeTold = current !== null && this.#unsaid.has(topic)
      if (payload !== null || isToBeTold) continue
      this.#topics.delete(topic)
      this.#unsaid.delete(topic)
    }
  }

  #checkSize(topic: string, payload: Uint8Array | null): void {
    const bytes = payload?.byteLength ?? 0
    let all = bytes + b4a.byteLength(topic)
    let count = 1
    for (const [name, own] of this.#topics) {
      if (name === topic || own.payload === null) continue
      all += b4a.byteLength(name) + own.payload.byteLength
      count += 1
    }
    const fits = bytes <= MAX_PAYLOAD_BYTES && all <= MAX_DEVICE_BYTES && count <= MAX_TOPICS
    if (fits || payload === null) return
    const what = `${bytes} bytes in "${topic}", ${all} in all ${count} topics`
    throw new ManyhandsError('PRESENCE_TOO_LARGE', `Too much to say: ${what}`)
  }
}

/** A later time gives a greater session; two in one moment differ. */
function sessionAt(ms: number): Uint8Array {
  const session = randomBytes(SESSION_BYTES)
  const time = Math.min(Math.max(Math.floor(ms), 0), MAX_TIME)
  const view = new DataView(session.buffer, session.byteOffset)
  view.setUint16(0, Math.floor(time / 2 ** 32))
  view.setUint32(2, time % 2 ** 32)
  return session
}

function timeOf(session: Uint8Array): number {
  const view = new DataView(session.buffer, session.byteOffset)
  return view.getUint16(0) * 2 ** 32 + view.getUint32(2)
}
