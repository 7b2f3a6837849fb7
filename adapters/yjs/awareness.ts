/**
 * Cursors and names of a Yjs editor over the presence of a space: binds an `Awareness` of y-protocols to a topic.
 *
 * Every state in the awareness that did not come from here is this device's: of this process, and of the pages it serves. The
 * topic carries them as `{ <client id>: [clock, JSON text] }`. Who says what of another device is proven by presence; which client
 * ids are whose is decided here: an id belongs to the device that announced it first, and what this device uses nobody can claim.
 */
import { EventEmitter } from 'eventemitter3'
import * as encoding from 'lib0/encoding'
import { applyAwarenessUpdate, removeAwarenessStates, type Awareness } from 'y-protocols/awareness'
import { isManyhandsError } from '../../errors.ts'
import type { PresenceChange, PresenceTopic } from '../../multiwriter/index.ts'

export interface AwarenessRefusal {
  /** The device; 'own' for what this device could not say. */
  readonly writer: string
  /** The id is another's; no such states exist; more than a device may have; more than presence carries. */
  readonly reason: 'taken' | 'malformed' | 'too-many' | 'too-large'
  readonly count: number
}

export interface AwarenessBindingEvents {
  /** The first of its writer and reason. */
  refused: [AwarenessRefusal]
}

/** Pages that one device shows at a time. */
const MAX_CLIENTS = 64

/** Ids that stay a device's, gone ones included: pages are reloaded, and an awareness forgets no id by itself. */
const MAX_IDS = 256

interface Claim {
  readonly id: number
  readonly clock: number
  readonly json: string
}

/**
 * Shows the states of `awareness` to the others in `topic`, and theirs in `awareness`, with the binding as their origin. Ends with
 * the awareness, the topic, or `destroy()`.
 * @example const binding = bindAwareness(provider.awareness, space.presence.topic('documents/notes/todo'))
 */
export function bindAwareness(awareness: Awareness, topic: PresenceTopic): AwarenessBinding {
  return new AwarenessBinding(awareness, topic)
}

export class AwarenessBinding extends EventEmitter<AwarenessBindingEvents> {
  readonly #awareness: Awareness
  readonly #topic: PresenceTopic
  readonly #own = new Set<number>()
  readonly #owners = new Map<number, string>()
  /** Each device's ids, the oldest first. */
  readonly #ids = new Map<string, Set<number>>()
  /** What is shown of others, as they said it. */
  readonly #shown = new Map<number, Claim>()
  readonly #refused = new Map<string, AwarenessRefusal>()
  #isDestroyed = false

  /** @see bindAwareness */
  constructor(awareness: Awareness, topic: PresenceTopic) {
    super()
    this.#awareness = awareness
    this.#topic = topic
    for (const id of awareness.getStates().keys()) this.#own.add(id)
    awareness.on('update', this.#onupdate)
    awareness.on('destroy', this.#ondestroy)
    topic.on('change', this.#onchange)
    topic.on('close', this.#ondestroy)
    this.#publish()
    for (const writer of topic.states().keys()) this.#hear(writer)
  }

  /** What was refused so far. */
  get refused(): readonly AwarenessRefusal[] {
    return [...this.#refused.values()]
  }

  /** Takes back what was said and removes what was shown. Awareness and topic stay open. Idempotent. */
  destroy(): void {
    if (this.#isDestroyed) return
    this.#isDestroyed = true
    this.#awareness.off('update', this.#onupdate)
    this.#awareness.off('destroy', this.#ondestroy)
    this.#topic.off('change', this.#onchange)
    this.#topic.off('close', this.#ondestroy)
    removeAwarenessStates(this.#awareness, [...this.#shown.keys()], this)
    this.#shown.clear()
    this.#say(null)
    this.removeAllListeners()
  }

  readonly #ondestroy = (): void => this.destroy()

  /** Something changed in the awareness: unless by us, it is this device's. */
  readonly #onupdate = (
    { added, updated, removed }: Record<'added' | 'updated' | 'removed', readonly number[]>,
    origin: unknown
  ): void => {
    if (origin === this) return
    const isOurs = removed.filter((id) => this.#own.delete(id)).length > 0
    for (const id of [...added, ...updated]) this.#claimOwn(id)
    if (isOurs || added.length + updated.length > 0) this.#publish()
  }

  readonly #onchange = ({ added, updated, removed }: PresenceChange): void => {
    for (const writer of [...added, ...updated]) this.#hear(writer)
    for (const writer of removed) this.#show(writer, [])
  }

  /** What this device uses, nobody can have announced before. */
  #claimOwn(id: number): void {
    this.#own.add(id)
    this.#shown.delete(id)
    this.#ids.get(this.#owners.get(id) ?? '')?.delete(id)
    this.#owners.delete(id)
  }

  #publish(): void {
    const states = this.#awareness.getStates()
    const own = [...this.#own].filter((id) => states.has(id)).slice(0, MAX_CLIENTS)
    const said = own.map((id): [string, [number, string]] => [
      String(id),
      [this.#awareness.meta.get(id)?.clock ?? 0, JSON.stringify(states.get(id))]
    ])
    this.#say(said.length === 0 ? null : Object.fromEntries(said))
  }

  /** The awareness calls from its own timer, where an error would end the process. */
  #say(value: Record<string, [number, string]> | null): void {
    try {
      this.#topic.set(value)
    } catch (error) {
      if (isManyhandsError(error, 'TOPIC_CLOSED')) return this.destroy()
      if (!isManyhandsError(error, 'PRESENCE_TOO_LARGE')) throw error
      this.#refuse('own', 'too-large')
    }
  }

  #hear(writer: string): void {
    const claims = parseClaims(this.#topic.states().get(writer))
    if (claims === null) return this.#refuse(writer, 'malformed')
    if (claims.length > MAX_CLIENTS) this.#refuse(writer, 'too-many')
    const granted = claims.slice(0, MAX_CLIENTS).filter(({ id }) => this.#grant(writer, id))
    this.#show(writer, granted)
  }

  /** Whether an id is the writer's to use. */
  #grant(writer: string, id: number): boolean {
    const owner = this.#owners.get(id)
    const isOwn = this.#own.has(id) || id === this.#awareness.clientID
    if (isOwn || (owner !== undefined && owner !== writer)) {
      this.#refuse(writer, 'taken')
      return false
    }
    const ids = this.#ids.get(writer) ?? new Set()
    this.#ids.set(writer, ids)
    this.#owners.set(id, writer)
    ids.add(id)
    return true
  }

  /** Makes the awareness show exactly this of a device. */
  #show(writer: string, claims: readonly Claim[]): void {
    const ids = this.#ids.get(writer) ?? new Set()
    const claimed = new Set(claims.map(({ id }) => id))
    const gone = [...ids].filter((id) => this.#shown.has(id) && !claimed.has(id))
    for (const id of gone) this.#shown.delete(id)
    removeAwarenessStates(this.#awareness, gone, this)
    const changed = claims.filter((claim) => this.#isNew(claim))
    for (const claim of changed) this.#shown.set(claim.id, claim)
    if (changed.length > 0) applyAwarenessUpdate(this.#awareness, this.#encode(changed), this)
    this.#forget(ids)
  }

  #isNew({ id, clock, json }: Claim): boolean {
    const shown = this.#shown.get(id)
    if (shown === undefined || !this.#awareness.states.has(id)) return true
    return shown.clock !== clock || shown.json !== json
  }

  /** The clocks are ours: who comes back after it was removed says what it said before, and shall be seen. */
  #encode(claims: readonly Claim[]): Uint8Array {
    const encoder = encoding.createEncoder()
    encoding.writeVarUint(encoder, claims.length)
    for (const { id, json } of claims) {
      encoding.writeVarUint(encoder, id)
      encoding.writeVarUint(encoder, (this.#awareness.meta.get(id)?.clock ?? 0) + 1)
      encoding.writeVarString(encoder, json)
    }
    return encoding.toUint8Array(encoder)
  }

  #forget(ids: Set<number>): void {
    for (const id of ids) {
      if (ids.size <= MAX_IDS) return
      if (this.#shown.has(id)) continue
      ids.delete(id)
      this.#owners.delete(id)
      this.#awareness.meta.delete(id)
    }
  }

  #refuse(writer: string, reason: AwarenessRefusal['reason']): void {
    const key = `${reason} ${writer}`
    const refusal = { writer, reason, count: (this.#refused.get(key)?.count ?? 0) + 1 }
    this.#refused.set(key, refusal)
    if (refusal.count === 1) this.emit('refused', refusal)
  }
}

/** Null for what no binding said. */
function parseClaims(value: unknown): readonly Claim[] | null {
  if (typeof value !== 'object' || value === null) return null
  const claims = Object.entries(value).map(([id, said]) => parseClaim(id, said))
  return claims.every((claim) => claim !== null) ? claims : null
}

function parseClaim(text: string, said: unknown): Claim | null {
  const id = Number(text)
  if (!Number.isSafeInteger(id) || id < 0 || String(id) !== text) return null
  if (!Array.isArray(said) || said.length !== 2) return null
  const [clock, json]: unknown[] = said
  if (typeof clock !== 'number' || typeof json !== 'string') return null
  return isState(json) ? { id, clock, json } : null
}

function isState(json: string): boolean {
  try {
    const state: unknown = JSON.parse(json)
    return typeof state === 'object' && state !== null && !Array.isArray(state)
  } catch {
    return false // no JSON
  }
}
