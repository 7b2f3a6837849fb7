/** What was refused of others' presence: counted by who and why, in bounded memory. */
import type { Unreadable } from './message.ts'

export type PresenceRefusalReason =
  | Unreadable
  /** The signature is not the writer's. */
  | 'forged'
  /** Of nobody whose log is read here: perhaps not yet. */
  | 'unknown-writer'
  /** A device's earlier session, again. */
  | 'replayed'
  /** More than a device, or a connection, may say. */
  | 'flood'

export interface PresenceRefusal {
  /** The writer; for what nobody has proven to have said, the connected device that sent it. */
  readonly from: string
  readonly reason: PresenceRefusalReason
  readonly count: number
}

/** Beyond, the counts of all others are one. */
const MAX_COUNTS = 1000

const OTHERS = 'others'

export class RefusalCounts {
  readonly #counts = new Map<string, PresenceRefusal>()

  add(from: string, reason: PresenceRefusalReason): void {
    const key = `${reason} ${from}`
    const isRoom = this.#counts.has(key) || this.#counts.size < MAX_COUNTS
    if (!isRoom) return this.#increment(`${reason} ${OTHERS}`, OTHERS, reason)
    this.#increment(key, from, reason)
  }

  list(): readonly PresenceRefusal[] {
    return [...this.#counts.values()]
  }

  #increment(key: string, from: string, reason: PresenceRefusalReason): void {
    this.#counts.set(key, { from, reason, count: (this.#counts.get(key)?.count ?? 0) + 1 })
  }
}
