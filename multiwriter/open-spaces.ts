/** The spaces that are open on a device: each once, to be found by others, and opened again only after it has closed. */
import b4a from 'b4a'
import z32 from 'z32'
import { topicOf, type DeviceStore, type SpaceLink, type SpaceRecord } from '../core/index.ts'
import { invalid } from '../errors.ts'
import type { Connections } from './connections.ts'
import type { ReadMode } from './indexed-reads.ts'
import { meetingOf, meetingTopic } from './invite-link.ts'
import { Space } from './space.ts'
import type { SpaceRecords } from './space-records.ts'
import type { SpaceParts } from './space-runtime.ts'
import type { Transports } from './transports.ts'

export interface OpenSpacesParts extends Pick<
  SpaceParts,
  'now' | 'timers' | 'maxDrift' | 'documents'
> {
  readonly store: DeviceStore
  readonly records: SpaceRecords
  readonly connections: Connections
  /** Announces open spaces by address, and what is said of invites. */
  readonly transports: Transports
  /** Forgets a space. */
  leave(address: string): Promise<void>
  /** Nothing is announced any more. */
  isClosing(): boolean
}

export class OpenSpaces {
  readonly #parts: OpenSpacesParts
  readonly #spaces = new Map<string, Promise<Space>>()
  /** Spaces that are closing: each is opened again only afterwards. */
  readonly #ending = new Map<string, Promise<void>>()
  /** Creations and openings under way. */
  readonly #opening = new Set<Promise<Space>>()
  /** Spaces that are opened to be recovered. */
  readonly #recovering = new Set<string>()

  constructor(parts: OpenSpacesParts) {
    this.#parts = parts
  }

  /** Has `opened` and `close` wait for what will open a space. */
  track(opening: Promise<Space>): Promise<Space> {
    this.#opening.add(opening)
    const done = () => this.#opening.delete(opening)
    opening.then(done, done)
    return opening
  }

  /** @throws INVALID_ARGUMENT for another mode than that of a space that is open */
  async open(record: SpaceRecord, mode?: ReadMode): Promise<Space> {
    const id = b4a.toString(record.address, 'hex')
    const known = this.#spaces.get(id)
    const opening = known ?? this.#openNow(record, mode)
    this.#spaces.set(id, opening)
    opening.catch(() => this.#spaces.delete(id)) // the caller sees why; the next call tries again
    const space = await opening
    if (known !== undefined)
      checkSameMode(space.mode, record.sparse && mode === 'auto' ? 'stream' : mode)
    return space
  }

  /** Closes a space and opens it again under new logs. @param isRecovering they begin with what the recovery key says */
  async succeed(space: Space, isRecovering: boolean): Promise<Space> {
    const { records } = this.#parts
    const { mode } = space
    // First: whoever opens the space from now on, opens it with the new logs.
    await records.succeed(records.known(space.address), null)
    await space.close()
    if (isRecovering) this.#recovering.add(space.address)
    try {
      return await this.open(records.known(space.address), mode)
    } finally {
      this.#recovering.delete(space.address)
    }
  }

  /** All, once what is opening is open. */
  async opened(): Promise<readonly Space[]> {
    await Promise.allSettled(this.#opening)
    const spaces = await Promise.allSettled(this.#spaces.values())
    return spaces.flatMap((space) => (space.status === 'fulfilled' ? space.value : []))
  }

  /** Closes all. @returns how each ended */
  async close(): Promise<readonly PromiseSettledResult<void>[]> {
    const spaces = await this.opened()
    return Promise.allSettled([...spaces.map((space) => space.close()), ...this.#ending.values()])
  }

  async #openNow(record: SpaceRecord, mode: ReadMode = 'auto'): Promise<Space> {
    if (record.sparse && mode === 'index') invalid('mode', "'stream' for a sparse space", mode)
    const id = b4a.toString(record.address, 'hex')
    await this.#ending.get(id)?.catch(() => {}) // its closer sees why
    const { records, connections, transports, store, now, timers, maxDrift, documents } =
      this.#parts
    const secrets = () => records.secretsOf(record)
    const { membershipKey } = secrets()
    const space = await Space.open({
      store,
      record,
      secrets,
      now,
      timers,
      mode,
      documents,
      ...(maxDrift === undefined ? {} : { maxDrift }),
      isRecovering: this.#recovering.has(z32.encode(record.address)),
      save: (changed) => records.replace(changed),
      saveEpochs: (epochs) => records.saveEpochs(record, epochs),
      succeed: (why) => records.succeed(record, why),
      replicate: (link, stream, initiator) => connections.replicate(link, stream, initiator),
      expect: (isExpecting) => this.#expect(id, membershipKey, isExpecting),
      leave: () => this.#parts.leave(z32.encode(record.address)),
      onclose: (wire, closed) => this.#forget(id, wire, closed)
    })
    connections.add(space.wire)
    if (!this.#parts.isClosing()) transports.announce(id, topicOf(membershipKey))
    return space
  }

  /** Is to be found by those who come with an invite, while some may. */
  #expect(id: string, membershipKey: Uint8Array, isExpecting: boolean): void {
    const { transports } = this.#parts
    if (transports.announces(expectingId(id)) === isExpecting || this.#parts.isClosing()) return
    if (isExpecting) transports.announce(expectingId(id), meetingTopic(meetingOf(membershipKey)))
    else transports.unannounce(expectingId(id))
  }

  #forget(id: string, wire: SpaceLink, closed: Promise<void>): void {
    const { connections, transports } = this.#parts
    this.#spaces.delete(id)
    connections.remove(wire)
    transports.unannounce(id)
    transports.unannounce(expectingId(id))
    this.#ending.set(id, closed)
    const done = () => this.#ending.delete(id)
    closed.then(done, done)
  }
}

/** What the topic of its invites is kept under. */
function expectingId(id: string): string {
  return `expecting ${id}`
}

/** A space is open once: asking for another way of reading must not be ignored. */
function checkSameMode(mode: ReadMode, asked: ReadMode | undefined): void {
  if (asked !== undefined && asked !== mode) {
    invalid('mode', `'${mode}', as the space is open already`, asked)
  }
}
