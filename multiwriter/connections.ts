/** This device's connections, and which spaces each of them carries. */
import {
  Connection,
  secureStream,
  type DeviceStore,
  type Meeting,
  type Question,
  type SpaceLink
} from '../core/index.ts'
import { invalid } from '../errors.ts'

export class Connections {
  readonly #store: Pick<DeviceStore, 'keyPair'>
  readonly #onerror: (error: Error) => void
  readonly #all = new Set<Connection>()
  /** Those that carry every space, present and future. */
  readonly #shared = new Set<Connection>()
  /** Which connection runs over a stream that somebody handed us. */
  readonly #byStream = new WeakMap<object, Connection>()
  readonly #links = new Set<SpaceLink>()
  readonly #questions = new Set<Question>()
  readonly #meetings = new Set<Meeting>()

  /** @param onerror called for each connection that ends with an error */
  constructor(store: Pick<DeviceStore, 'keyPair'>, onerror: (error: Error) => void) {
    this.#store = store
    this.#onerror = onerror
  }

  /** A space was opened. */
  add(link: SpaceLink): void {
    this.#links.add(link)
    for (const connection of this.#shared) void connection.add(link)
  }

  /** A space was closed. */
  remove(link: SpaceLink): void {
    link.onleave()
    this.#links.delete(link)
    for (const connection of this.#all) connection.remove(link)
  }

  /** Asks all peers on connections that carry every space, now and as they come; those of before again. */
  ask(question: Question): void {
    this.#questions.add(question)
    for (const connection of this.#shared) void connection.ask(question)
  }

  stopAsking(question: Question): void {
    this.#questions.delete(question)
    for (const connection of this.#all) connection.stopAsking(question)
  }

  /** Answers all peers on connections that carry every space, now and as they come. */
  host(meeting: Meeting): void {
    this.#meetings.add(meeting)
    for (const connection of this.#shared) void connection.host(meeting)
  }

  unhost(meeting: Meeting): void {
    this.#meetings.delete(meeting)
    for (const connection of this.#all) connection.unhost(meeting)
  }

  /** Puts one space on a stream. @returns the stream to pipe */
  replicate(link: SpaceLink, stream: unknown, initiator: boolean | undefined): unknown {
    const { connection, outer } = this.#connect(stream, initiator)
    void connection.add(link)
    return outer
  }

  /** Puts all spaces on a stream. @returns the stream to pipe */
  replicateAll(stream: unknown, initiator: boolean | undefined): unknown {
    const { connection, outer } = this.#connect(stream, initiator)
    this.#shared.add(connection)
    for (const link of this.#links) void connection.add(link)
    for (const question of this.#questions) void connection.ask(question)
    for (const meeting of this.#meetings) void connection.host(meeting)
    return outer
  }

  /** Says goodbye on all connections; resolves when it has left. */
  async leave(): Promise<void> {
    const sent = [...this.#links].map((link) => link.onleave())
    if (!sent.includes(true)) return
    await Promise.all([...this.#all].map((connection) => connection.flush()))
  }

  close(): void {
    for (const connection of this.#all) connection.close()
  }

  /** The connection over a stream; the same for the same stream. */
  #connect(stream: unknown, initiator: boolean | undefined) {
    const known =
      typeof stream === 'object' && stream !== null ? this.#byStream.get(stream) : undefined
    if (known !== undefined) return { connection: known, outer: stream }
    const secure = secureStream(stream, initiator, this.#store.keyPair)
    if (secure === null) {
      invalid('stream', 'true, false, a Noise stream, or a duplex with { initiator }', stream)
    }
    const connection: Connection = new Connection(secure, (error) => {
      this.#all.delete(connection)
      this.#shared.delete(connection)
      if (error !== null) this.#onerror(error)
    })
    this.#all.add(connection)
    const outer = typeof stream === 'boolean' ? secure.rawStream : stream
    this.#byStream.set(outer as object, connection)
    return { connection, outer }
  }
}
