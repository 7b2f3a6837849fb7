/**
 * Two devices in one process, with stores of their own in a temporary folder, for the shorter stories. (../two-devices has a process
 * for each.) Whatever happens, everything is closed and removed at the end.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryNetwork, openDevice, type Device, type Space } from '../../index.ts'
import { heading, ms, title } from './print.ts'

export type DeviceName = 'Laptop' | 'Phone'

/** As a shell counts it: 128 and the signal's number. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

/** Two spaces in one process have each other's writes within milliseconds. */
const MEET_MS = 20_000

const POLL_MS = 2

class Interrupted extends Error {
  readonly exitCode: number

  constructor(why: string, exitCode: number) {
    super(why)
    this.exitCode = exitCode
  }
}

/** One space on two devices. They do not hear of each other before `meet`. */
export class TwoDevices {
  laptop: Space
  phone: Space
  /** For files; removed at the end. */
  readonly folder: string
  readonly #network: MemoryNetwork
  #devices: readonly Device[]

  private constructor(
    [laptop, phone]: readonly [Space, Space],
    devices: readonly Device[],
    folder: string,
    network: MemoryNetwork
  ) {
    this.laptop = laptop
    this.phone = phone
    this.folder = folder
    this.#devices = devices
    this.#network = network
  }

  /** @param folder which is there, and empty */
  static async open(folder: string): Promise<TwoDevices> {
    const network = new MemoryNetwork()
    network.cut()
    const laptop = await openAt(folder, 'Laptop', network)
    const phone = await openAt(folder, 'Phone', network)
    const space = await laptop.createSpace({ open: true })
    const same = await phone.openSpace(space.ticket)
    return new TwoDevices([space, same], [laptop, phone], folder, network)
  }

  /** Closes everything and opens the two again, from what their stores hold. */
  async restart(): Promise<void> {
    const { ticket } = this.laptop
    await this.close()
    const laptop = await openAt(this.folder, 'Laptop', this.#network)
    const phone = await openAt(this.folder, 'Phone', this.#network)
    this.#devices = [laptop, phone]
    this.laptop = await laptop.openSpace(ticket)
    this.phone = await phone.openSpace(ticket)
  }

  /** Somebody new, with nothing but the ticket. */
  async join(name: string): Promise<Space> {
    const device = await openAt(this.folder, name, this.#network)
    this.#devices = [...this.#devices, device]
    return device.openSpace(this.laptop.ticket)
  }

  async close(): Promise<void> {
    await Promise.all(this.#devices.map((device) => device.close()))
  }

  part(): void {
    this.#network.cut()
  }

  /** Resolves when each has what the other wrote. */
  async meet(): Promise<void> {
    this.#network.heal()
    const deadline = performance.now() + MEET_MS
    while (!this.#isEven()) {
      if (performance.now() > deadline) throw new Error('The devices did not meet.')
      await sleep(POLL_MS)
    }
  }

  /** Who wrote an entry. */
  nameOf(writer: string): DeviceName {
    return writer === this.laptop.writer ? 'Laptop' : 'Phone'
  }

  #isEven(): boolean {
    const [one, other] = [this.laptop, this.phone].map((space) =>
      space.writers().map(({ writer, length }) => `${writer} ${length}`)
    )
    return one?.length === 2 && one.toSorted().join() === other?.toSorted().join()
  }
}

/** Tells a story, and cleans up after it however it ends. */
export async function tell(name: string, story: (two: TwoDevices) => Promise<void>): Promise<void> {
  title(`manyhands: ${name}`)
  const begin = performance.now()
  try {
    await onTwoDevices(story, interruption())
    heading(`Done in ${ms(performance.now() - begin)}; all stores are removed again.`)
  } catch (error) {
    console.error(`\n${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = error instanceof Interrupted ? error.exitCode : 1
  }
}

async function onTwoDevices(
  story: (two: TwoDevices) => Promise<void>,
  interrupted: Promise<never>
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'manyhands-example-'))
  try {
    const two = await TwoDevices.open(folder)
    try {
      const told = story(two)
      told.catch(() => {}) // when it is interrupted, nobody waits for it any more
      await Promise.race([told, interrupted])
    } finally {
      await two.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function openAt(folder: string, name: string, { transport }: MemoryNetwork): Promise<Device> {
  return openDevice({ storage: join(folder, name), name, transport })
}

/** Rejects at a Ctrl-C or when nobody reads our output any more, so that both come to the same clean end. */
function interruption(): Promise<never> {
  const interrupted = new Promise<never>((_, reject) => {
    for (const [signal, code] of Object.entries(EXIT_CODES)) {
      process.on(signal, () => reject(new Interrupted(`Stopped by ${signal}.`, code)))
    }
    process.stdout.on('error', () => reject(new Interrupted('Nobody reads the output.', 1)))
  })
  interrupted.catch(() => {}) // also when it comes before or after the race
  return interrupted
}
