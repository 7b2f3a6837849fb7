/**
 * What is changed in one document on this device, on its way out. Changes gather for some milliseconds and become a packed update
 * with a number, which goes to connected devices at once (ahead.ts) and into our log soon; where nobody hears it, changes gather
 * until the log takes them. Several updates go into the log in one batch, with what they stand on of others that no log holds yet.
 */
import type { Stamp } from '../../clock/index.ts'
import {
  encodeStatement,
  encodeUpdate,
  TYPE_DOCUMENT_UPDATE,
  type DocumentEngine,
  type EngineDoc,
  type Statement
} from '../../crdt/index.ts'
import { isManyhandsError } from '../../errors.ts'
import type { OpaqueWrite } from '../group.ts'
import { MAX_AHEAD_BYTES } from './ahead.ts'
import type { UpdateKeys } from './keys.ts'
import type { DocumentParts } from './parts.ts'
import type { Unconfirmed } from './unconfirmed.ts'

/** How much of what was changed on this device is safe where. */
export interface DocumentStatus {
  /**
   * Changes that are not on this device's log yet: some milliseconds' worth, unless writing fails. Where this device may not write
   * any more they stay so: they are shown in the open document, and nowhere else.
   */
  readonly unsaved: number
  /** Changes that no other device has, the unsaved ones included. */
  readonly unsynced: number
}

/**
 * What is typed after a rest goes out at once, as somebody may be watching. What comes within so many milliseconds gathers, so that
 * a burst is few updates.
 */
const GATHER_MS = 5

/**
 * What others have heard already gathers longer before the log takes it: each append costs every device that follows the log far
 * more than a keystroke does.
 */
const HEARD_GATHER_MS = 150

/**
 * Then the log takes it right after the next keystroke, or after so long: what an append costs, here and on whoever follows the log,
 * is mostly done by the keystroke after that, and keeps none from being shown.
 */
const PAUSE_MS = 50

/** What has gone ahead is shown by then, where it has no long way to go. */
const SHOWN_MS = 2

type PackingEngine = Pick<DocumentEngine<EngineDoc>, 'code' | 'pack'>
type OwnParts = Omit<DocumentParts<EngineDoc>, 'onsubdoc'>

export interface OwnHooks {
  /** What is said of an update of ours. */
  stateOf(update: Uint8Array): Statement
  /** What these packed updates stand on that no log holds yet. */
  ground(updates: readonly Uint8Array[]): readonly Unconfirmed[]
  /** Our log has it now: our updates, and what they stand on. */
  onwritten(written: OwnWritten): void
  onstatus(): void
  onerror(error: unknown): void
}

export interface OwnWritten {
  readonly entries: number
  readonly bytes: number
  readonly statements: readonly Statement[]
  readonly stamp: Stamp | null
  readonly quoted: readonly Unconfirmed[]
}

/** An update with its place in our log, which it keeps until it is written. */
interface Packed {
  readonly number: number
  readonly statement: Statement
  readonly payloads: readonly Uint8Array[]
  readonly changes: number
  readonly isHeard: boolean
}

/** Changes in our log, and the length that a peer must hold to have them. */
interface Written {
  readonly length: number
  readonly changes: number
}

/** Before the log takes more. */
interface Rest {
  readonly ms: number
  readonly end: () => void
}

export class OwnUpdates {
  readonly #id: string
  readonly #parts: OwnParts
  readonly #engine: PackingEngine
  readonly #keys: UpdateKeys
  readonly #hooks: OwnHooks
  /** The number of our next update. */
  #next = 0
  /** As they come out of the engine. */
  #changes: Uint8Array[] = []
  /** On their way into the log. */
  #packed: Packed[] = []
  /** Something is to be done as soon as what runs now is done. */
  #isDue = false
  #isClosed = false
  /** This device may not write: what is unsaved stays so. */
  #isRefused = false
  /** Until then somebody else has the numbers. */
  #held: Promise<void> | null = null
  /** Ends the rest after something went ahead. */
  #endBreath: (() => void) | null = null
  #rest: Rest | null = null
  #writing: Promise<void> | null = null
  /** How many changes there ever were, and how many of them, the first ones, are written. */
  #added = 0
  #written = 0
  /** Until what is being quoted is written. */
  #quoting: Promise<unknown> = Promise.resolve()
  /** Thousands, on a device that has not met another for long: told at each keystroke, so counted as they come and go. */
  #unsynced: Written[] = []
  #unsyncedChanges = 0
  #isTold = false

  constructor(
    id: string,
    parts: OwnParts,
    engine: PackingEngine,
    keys: UpdateKeys,
    hooks: OwnHooks
  ) {
    this.#id = id
    this.#parts = parts
    this.#engine = engine
    this.#keys = keys
    this.#hooks = hooks
  }

  /** What comes back of our log below this number is in the document already. */
  get next(): number {
    return this.#next
  }

  get status(): DocumentStatus {
    const unsaved = this.#changes.length + changesIn(this.#packed)
    return { unsaved, unsynced: unsaved + this.#unsyncedChanges }
  }

  /** Goes on where an earlier session ended. @param unsynced lengths that a peer must hold, for each update that none has */
  begin(next: number, unsynced: readonly number[]): void {
    this.#next = next
    this.#unsynced = unsynced.map((length) => ({ length, changes: 1 }))
    this.#unsyncedChanges = unsynced.length
  }

  add(change: Uint8Array): void {
    this.#changes.push(change)
    this.#added++
    this.#due()
    this.#hooks.onstatus()
  }

  /**
   * Resolves when all that was added until now is as durable as the store promises, whatever is added meanwhile.
   * @throws STORE_ codes
   */
  async flush(): Promise<void> {
    await Promise.resolve() // so that edits which are each flushed, and not awaited, go together
    const until = this.#added
    // What is under way may have begun before the last change.
    while (this.#written < until) await (this.#held ?? this.#write())
  }

  /** The same for who may close: where this device may not write, that is told, and all stays unsaved. @throws STORE_ codes */
  async flushIfAllowed(): Promise<void> {
    try {
      await this.flush()
    } catch (error) {
      if (!isManyhandsError(error, 'NOT_ALLOWED')) throw error
      this.#hooks.onerror(error)
    }
  }

  /** The same until there is nothing more, for whoever closes. @throws STORE_ codes */
  async flushAllIfAllowed(): Promise<void> {
    do await this.flushIfAllowed()
    while (!this.#isWritten && !this.#isRefused)
  }

  /** Whether what is unsaved stays so. */
  get isRefused(): boolean {
    return this.#isRefused && !this.#isWritten
  }

  /** This device may write again. */
  retry(): void {
    if (this.isRefused) this.#due()
  }

  /** Writes what somebody else said, and signed, into our log. @throws STORE_ codes */
  async quote(unconfirmed: readonly Unconfirmed[]): Promise<void> {
    if (unconfirmed.length === 0) return
    while (this.#held !== null) await this.#held
    const quoting = this.#writeQuotes(unconfirmed)
    const done = quoting.catch(() => {}) // the caller gets it
    this.#quoting = Promise.all([this.#quoting, done])
    await quoting
  }

  async #writeQuotes(unconfirmed: readonly Unconfirmed[]): Promise<void> {
    const stamp = await this.#parts.queue.write(this.#quotes(unconfirmed))
    this.#hooks.onwritten({ entries: 0, bytes: 0, statements: [], stamp, quoted: unconfirmed })
  }

  /** What is changed here and not written yet, as one update each. */
  get unwritten(): readonly Uint8Array[] {
    const packed = this.#packed.map(({ statement }) => statement.update)
    return this.#changes.length === 0 ? packed : [...packed, this.#engine.pack(this.#changes)]
  }

  /**
   * Runs a task while nothing is on its way, but what this device may not write, and nothing gets a number. Who would write waits
   * for it, and not for what comes of it.
   * @param task from the number that comes next to the one behind what it wrote
   * @throws what the task throws; STORE_ codes
   */
  async alone(task: (next: number) => Promise<number>): Promise<void> {
    while (this.#held !== null) await this.#held
    const running = this.#writeAll().then(() => task(this.#next))
    const taken = running.then(
      (next) => void (this.#next = next),
      () => {} // the caller gets it
    )
    this.#held = taken.then(() => {
      this.#held = null
      this.#due()
    })
    await running
  }

  /** What has a number, if this device may. @throws STORE_ codes */
  async #writeAll(): Promise<void> {
    await this.#quoting
    for (let mayWrite = true; this.#writing !== null || (mayWrite && this.#packed.length > 0);)
      mayWrite = await isAllowed(this.#write())
  }

  /** Another device has our log up to this length. */
  synced(length: number): void {
    const left = this.#unsynced.filter((written) => written.length > length)
    if (left.length === this.#unsynced.length) return
    this.#unsynced = left
    this.#unsyncedChanges = changesIn(left)
    this.#hooks.onstatus()
  }

  close(): void {
    this.#isClosed = true
    this.#rest?.end()
    this.#endBreath?.()
  }

  get #isWritten(): boolean {
    return this.#changes.length === 0 && this.#packed.length === 0
  }

  /** What is changed in one go is one update. */
  #due(): void {
    if (this.#isDue) return
    this.#isDue = true
    queueMicrotask(() => {
      this.#isDue = false
      this.#go()
    })
  }

  #go(): void {
    if (this.#isClosed || this.#held !== null || this.#isWritten) return
    if (this.#endBreath === null && this.#parts.ahead.isHeard()) this.#sendAhead()
    // What nobody has heard must not wait as long as what somebody has.
    if (this.#changes.length > 0 && this.#endBreath === null) this.#hurry()
    if (this.#writing !== null || this.#rest !== null) return
    this.#write().catch((error: unknown) => this.#hooks.onerror(error))
  }

  #sendAhead(): void {
    if (this.#changes.length === 0) return
    this.#pack()
    this.#endBreath = this.#parts.timers.after(GATHER_MS, () => {
      this.#endBreath = null
      this.#go()
    })
    // Who hears it sees it first.
    const isRested = this.#rest === null || this.#rest.ms === PAUSE_MS
    if (isRested && this.#writing === null && this.#isHeard) this.#restFor(SHOWN_MS)
  }

  /** Changes become an update with a number, which goes ahead if anybody hears it. */
  #pack(): void {
    if (this.#changes.length === 0) return
    const changes = this.#changes
    const statement = this.#hooks.stateOf(this.#engine.pack(changes))
    const bytes = encodeStatement(statement)
    const payloads = encodeUpdate(this.#engine.code, 'update', bytes)
    const number = this.#next
    this.#changes = []
    // Ahead of the write: what comes back of it from our own log is in the document already.
    this.#next += payloads.length
    const isHeard = this.#tellOthers(number, statement, bytes)
    this.#packed.push({ number, statement, payloads, changes: changes.length, isHeard })
    if (!isHeard) this.#hurry()
  }

  /** @returns whether anybody heard it */
  #tellOthers(number: number, { update }: Statement, bytes: Uint8Array): boolean {
    const { ahead } = this.#parts
    if (bytes.byteLength > MAX_AHEAD_BYTES || !ahead.isHeard()) return false
    for (const each of this.#hooks.ground([update])) {
      if (each.isPassedOn) continue
      each.isPassedOn = true
      ahead.passOn(each.ahead.signed, each.path)
    }
    return ahead.send({ id: this.#id, number, engine: this.#engine.code, bytes }, this.#keys.prefix)
  }

  /** The log takes what there is after the short rest. */
  #hurry(): void {
    if (this.#rest !== null && this.#rest.ms > GATHER_MS) this.#restFor(GATHER_MS)
  }

  #restFor(ms: number): void {
    this.#rest?.end()
    this.#rest = null
    if (this.#isClosed) return
    const end = this.#parts.timers.after(ms, () => {
      this.#rest = null
      if (ms === HEARD_GATHER_MS) this.#restFor(PAUSE_MS)
      else this.#go()
    })
    this.#rest = { ms, end }
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writePacked()
      .then(() => this.#restFor(this.#isHeard ? HEARD_GATHER_MS : GATHER_MS))
      .finally(() => {
        this.#writing = null
        this.#hooks.onstatus()
      })
    return this.#writing
  }

  /** Whether others have all that is not written, and will have what comes. */
  get #isHeard(): boolean {
    const isChangeHeard = this.#changes.length === 0 || this.#endBreath !== null
    return (
      isChangeHeard && this.#parts.ahead.isHeard() && this.#packed.every(({ isHeard }) => isHeard)
    )
  }

  async #writePacked(): Promise<void> {
    this.#pack()
    const until = this.#added
    const told = this.#tellOfIt() // in the same batch, mostly
    told.catch(() => {}) // shown below
    await this.#writeUpdates([...this.#packed])
    await told
    this.#written = until
  }

  async #writeUpdates(packed: readonly Packed[]): Promise<void> {
    if (packed.length === 0) return
    const statements = packed.map(({ statement }) => statement)
    const quoted = this.#hooks.ground(statements.map(({ update }) => update))
    const operations = packed.flatMap(({ number, payloads }) =>
      payloads.map((value, i) => this.#operation(number + i, value))
    )
    const stamp = await this.#append([...operations, ...this.#quotes(quoted)])
    this.#packed = this.#packed.slice(packed.length)
    const changes = changesIn(packed)
    this.#unsynced.push({ length: this.#parts.own.core.length, changes })
    this.#unsyncedChanges += changes
    const bytes = operations.reduce((sum, { value }) => sum + (value?.byteLength ?? 0), 0)
    this.#hooks.onwritten({ entries: operations.length, bytes, statements, stamp, quoted })
  }

  async #append(writes: readonly OpaqueWrite[]): Promise<Stamp | null> {
    try {
      const stamp = await this.#parts.queue.write(writes)
      this.#isRefused = false
      return stamp
    } catch (error) {
      this.#isRefused = isManyhandsError(error, 'NOT_ALLOWED')
      throw error
    }
  }

  #quotes(unconfirmed: readonly Unconfirmed[]): readonly OpaqueWrite[] {
    const { code } = this.#engine
    const payloads = unconfirmed.flatMap(({ ahead }) => encodeUpdate(code, 'quote', ahead.signed))
    return payloads.map((value) => this.#operation(this.#next++, value))
  }

  #operation(number: number, value: Uint8Array): OpaqueWrite {
    const opaque = { type: TYPE_DOCUMENT_UPDATE, position: null }
    return { key: this.#keys.at(number), value, opaque }
  }

  /** A document is listed from its first change on. */
  async #tellOfIt(): Promise<void> {
    if (this.#isTold) return
    await this.#parts.tellOf()
    this.#isTold = true
  }
}

/** False where it fails because this device may not. */
async function isAllowed(writing: Promise<void>): Promise<boolean> {
  try {
    await writing
    return true
  } catch (error) {
    if (isManyhandsError(error, 'NOT_ALLOWED')) return false
    throw error
  }
}

function changesIn(list: readonly { readonly changes: number }[]): number {
  return list.reduce((sum, { changes }) => sum + changes, 0)
}
