/** A device's joinings by invite that are under way: it can be found by those who let in, and asks them. */
import b4a from 'b4a'
import z32 from 'z32'
import type { DeviceStore } from '../core/index.ts'
import type { Connections } from './connections.ts'
import { meetingTopic, type InviteLink } from './invite-link.ts'
import { askToJoin, type Joined } from './joining.ts'
import type { Space } from './space.ts'
import type { Timers } from './timers.ts'
import type { Transports } from './transports.ts'

/** Who was let in and cannot reach the others any more is in all the same. */
const SEEN_MS = 5000

export interface JoinerParts {
  readonly store: DeviceStore
  readonly waiting: Pick<Timers, 'after'>
  readonly connections: Connections
  readonly transports: Transports
  /** The device closes. */
  readonly closed: AbortSignal
}

/** How long to wait for somebody who lets in, and what calls it off. */
interface Patience {
  readonly timeout: number
  readonly signal: AbortSignal | undefined
}

export class Joiner {
  readonly #parts: JoinerParts
  /** By address. */
  readonly #joining = new Map<string, Promise<Space>>()

  constructor(parts: JoinerParts) {
    this.#parts = parts
  }

  /**
   * @param enter opens the space, once this device was let in
   * @returns the space, once it knows of this device; the same for who asks meanwhile
   */
  async join(
    link: InviteLink,
    patience: Patience,
    enter: (joined: Joined) => Promise<Space>
  ): Promise<Space> {
    const address = z32.encode(link.address)
    const known = this.#joining.get(address)
    if (known !== undefined) return known
    const joining = this.#admitted(link, patience).then(enter)
    this.#joining.set(address, joining)
    try {
      const space = await joining
      await this.#seen(space)
      return space
    } finally {
      this.#joining.delete(address)
    }
  }

  async #admitted(link: InviteLink, { timeout, signal }: Patience): Promise<Joined> {
    const { store, waiting, connections, transports, closed } = this.#parts
    const topic = meetingTopic(link.meeting)
    const id = `joining ${b4a.toString(topic, 'hex')}`
    transports.announce(id, topic)
    try {
      return await askToJoin(
        {
          store,
          timers: waiting,
          timeout,
          signal: signal === undefined ? closed : AbortSignal.any([signal, closed]),
          ask: (question) => connections.ask(question),
          stopAsking: (question) => connections.stopAsking(question)
        },
        link
      )
    } finally {
      transports.unannounce(id)
    }
  }

  /** What this device does at once would else be told that nobody knows of it. */
  async #seen(space: Space): Promise<void> {
    const { waiting, closed } = this.#parts
    const late = new AbortController()
    const callOff = waiting.after(SEEN_MS, () => late.abort())
    await space.standing.whenReady(AbortSignal.any([late.signal, closed]))
    callOff()
  }
}
