/** A connection whose messages are under way until they are told to arrive: what takes how many round trips can be counted. */
import type { Space } from '../../multiwriter/index.ts'
import type { RawStream } from '../../multiwriter/space.ts'

/** What is not sent within three times so many ms in which there was nothing to do is no answer to what arrived. */
const PAUSE_MS = 20

/**
 * An answer takes what time the machine has for it. So only that pause counts which ended when it should and in which next to nothing
 * was computed here.
 */
async function silence(): Promise<void> {
  for (let pauses = 0; pauses < 3;) {
    const [began, before] = [performance.now(), process.cpuUsage()]
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    const { user, system } = process.cpuUsage(before)
    const isQuiet =
      performance.now() - began < 2 * PAUSE_MS && user + system < 0.4 * 1000 * PAUSE_MS
    pauses = isQuiet ? pauses + 1 : 0
  }
}

export class SteppedWire {
  readonly #ends: readonly [RawStream, RawStream]
  #isStepped = false
  /** By the end that they go to. */
  readonly #underWay: [Uint8Array[], Uint8Array[]] = [[], []]

  constructor(a: Space, b: Space) {
    this.#ends = [a.replicate(true), b.replicate(false)]
    for (const side of [0, 1] as const) {
      const other = side === 0 ? 1 : 0
      this.#ends[side].on('error', () => {}) // the end of a test
      this.#ends[side].on('data', (chunk) => {
        if (!(chunk instanceof Uint8Array)) throw new TypeError('A connection carries bytes')
        if (this.#isStepped) this.#underWay[other].push(chunk)
        else this.#ends[other].write(chunk)
      })
    }
  }

  /** From now on nothing arrives by itself. What was being said has arrived. */
  async step(): Promise<void> {
    await silence()
    this.#isStepped = true
  }

  /** All that is under way arrives, in both directions, and what is answered to it is under way. Half a round trip. */
  async half(): Promise<void> {
    const chunks = this.#underWay.map((list) => list.splice(0))
    for (const side of [0, 1] as const)
      for (const chunk of chunks[side] ?? []) this.#ends[side].write(chunk)
    await silence()
  }

  close(): void {
    for (const end of this.#ends) end.destroy()
  }
}
