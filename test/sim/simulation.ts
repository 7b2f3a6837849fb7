/**
 * Real devices in temporary folders under one random schedule: they write, meet in pairs for a while, are cut off in the middle,
 * stop and start, and their clocks go as they like. The schedule is a function of the seed; how far a cut meeting got is up to
 * the machine, so everything is checked against what each device really holds.
 */
import { join } from 'node:path'
import { openDevice } from '../../index.ts'
import type { Device, MultiBee, Space } from '../../multiwriter/index.ts'
import { viewSlowly } from '../oracle/view.ts'
import { connect, tempFolder, until, type TempFolder } from '../support/devices.ts'
import { exportSlowly, exportSpace } from '../support/export.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { Model } from './model.ts'

const STEPS = 40
const CHECK_EVERY = 5
const KEYS = ['a', 'b', 'c', 'd', 'ä/1', '𐀀', '\uFFFF']
const SUBS = ['sub', 'süb']
const YEAR_2026 = Date.UTC(2026, 0)
const YEAR_2099 = Date.UTC(2099, 0)

/** How long a meeting lasts: until so many blocks came over, or so many ms. */
type Meeting = { readonly blocks: number } | { readonly ms: number }

/** Runs the schedule of a seed. @throws when any law of the view is broken */
export async function simulate(seed: number, steps = STEPS): Promise<void> {
  const simulation = await Simulation.open(seed)
  try {
    await simulation.run(steps)
  } finally {
    await simulation.close()
  }
}

class Simulation {
  readonly #random: SeededRandom
  readonly #folder: TempFolder
  readonly #devices: SimDevice[]
  readonly #model = new Model()
  #ids = 0
  #now = 0

  static async open(seed: number): Promise<Simulation> {
    const random = seededRandom(seed)
    const folder = await tempFolder()
    const simulation = new Simulation(random, folder, 2 + random.below(4))
    try {
      await simulation.#openAll()
      return simulation
    } catch (error) {
      await simulation.close()
      throw error
    }
  }

  private constructor(random: SeededRandom, folder: TempFolder, count: number) {
    this.#random = random
    this.#folder = folder
    this.#devices = Array.from({ length: count }, (_, i) => {
      const start = wallClock(random.below(6))
      return new SimDevice(join(folder.path, `device-${i}`), start, () => this.#now)
    })
  }

  async run(steps: number): Promise<void> {
    for (let step = 1; step <= steps; step++) {
      this.#now += this.#random.below(2000)
      await this.#step()
      if (step % CHECK_EVERY === 0) await this.#checkEach()
    }
    await this.#meetAll()
    await this.#checkEach()
    await this.#checkTogether()
  }

  async close(): Promise<void> {
    for (const device of this.#devices) await device.close()
    await this.#folder.remove()
  }

  async #openAll(): Promise<void> {
    let ticket: string | null = null
    for (const device of this.#devices) ticket = await device.open(ticket)
  }

  #step(): Promise<void> {
    const device = this.#pick(this.#devices)
    const choice = this.#random.below(20)
    if (choice < 11) return this.#write(device)
    if (choice < 17) return this.#meet(device)
    if (choice < 19) return device.restart(this.#random.below(2) === 0)
    device.jump(this.#random.below(4_000_000) - 2_000_000)
    return Promise.resolve()
  }

  /** One or several operations, as single calls issued together or as a batch. */
  async #write(device: SimDevice): Promise<void> {
    const operations = Array.from({ length: 1 + this.#random.below(4) }, () => this.#operation())
    const isBatch = this.#random.below(2) === 0
    const atLeast = device.held()
    await (isBatch ? device.batch(operations) : device.issue(operations))
    this.#note(device, operations, atLeast)
  }

  #note(
    device: SimDevice,
    operations: readonly Operation[],
    atLeast: ReadonlyMap<string, number>
  ): void {
    const atMost = device.held()
    const end = atMost.get(device.writer) ?? 0
    // Deletions of what is not there write nothing.
    if (end === atLeast.get(device.writer)) return
    const last = new Map(operations.map((each) => [`${each.sub} ${each.key}`, each.id]))
    for (const [key, id] of last)
      this.#model.add({ device: device.writer, key, id, end, atLeast, atMost })
  }

  #operation(): Operation {
    const sub = this.#random.below(4) === 0 ? this.#pick(SUBS) : null
    const key = this.#pick(KEYS)
    const id = this.#random.below(4) === 0 ? null : `id ${this.#ids++}`
    return { sub, key, id }
  }

  /** Two devices meet; sometimes one of them writes meanwhile. */
  async #meet(device: SimDevice): Promise<void> {
    const other = this.#pick(this.#devices.filter((each) => each !== device))
    const meeting: Meeting =
      this.#random.below(2) === 0
        ? { blocks: this.#random.below(12) }
        : { ms: this.#random.below(25) }
    const isWriting = this.#random.below(3) === 0
    const cut = connect(device.space, other.space)
    try {
      if (isWriting) await this.#write(device)
      await lasts(meeting, [device, other])
    } finally {
      cut()
    }
  }

  /**
   * Each meets the next until all of them hold everything: along a chain, so that what comes from afar passes others. The stack
   * at times does not tell a peer of a log that came over a third device; meeting again helps.
   */
  async #meetAll(): Promise<void> {
    const cuts = this.#devices
      .slice(1)
      .map((device, i) => connect((this.#devices[i] ?? device).space, device.space))
    try {
      await until(() => this.#isEven(), { timeout: 15_000 })
    } catch (cause) {
      const held = this.#devices.map((device) => [device.writer, ...device.held()].join(' '))
      throw new Error(`Connected, but not even:\n${held.join('\n')}`, { cause })
    } finally {
      for (const cut of cuts) cut()
    }
  }

  /** Every device holds every log as far as its own device does. */
  #isEven(): boolean {
    const held = this.#devices.map((device) => device.held())
    return this.#devices.every(({ writer }, i) => {
      const length = held[i]?.get(writer)
      return held.every((each) => each.get(writer) === length)
    })
  }

  async #checkEach(): Promise<void> {
    for (const device of this.#devices) await device.check()
  }

  async #checkTogether(): Promise<void> {
    const exports = await Promise.all(this.#devices.map(({ space }) => exportSpace(space, SUBS)))
    exports.forEach((text, i) => {
      if (text !== exports[0]) throw new Error(`Device ${i} shows\n${text}\nbut 0\n${exports[0]}`)
    })
    for (const device of this.#devices) this.#model.check(await device.shown())
  }

  #pick<T>(items: readonly T[]): T {
    const item = items[this.#random.below(items.length)]
    if (item === undefined) throw new Error('Nothing to pick from')
    return item
  }
}

interface Operation {
  readonly sub: string | null
  readonly key: string
  readonly id: string | null
}

/** Where a device believes to be in time: mostly now or a little off, at times in 1970 or 2099. */
function wallClock(kind: number): number {
  if (kind === 0) return 0
  if (kind === 1) return YEAR_2099
  return YEAR_2026 + (kind - 3) * 400_000
}

class SimDevice {
  readonly #folder: string
  readonly #time: () => number
  #offset: number
  #address = ''
  #device: Device | null = null
  #space: Space | null = null

  constructor(folder: string, start: number, time: () => number) {
    this.#folder = folder
    this.#offset = start
    this.#time = time
  }

  get space(): Space {
    if (this.#space === null) throw new Error('The device is not open')
    return this.#space
  }

  get writer(): string {
    return this.space.writer
  }

  /** Founds a space, or joins by the ticket. @returns the ticket */
  async open(ticket: string | null): Promise<string> {
    const device = await this.#openDevice()
    this.#space =
      ticket === null ? await device.createSpace({ open: true }) : await device.openSpace(ticket)
    this.#address = this.#space.address
    return this.#space.ticket
  }

  /** @param isMended a clock in 2099 is set right while the device is off */
  async restart(isMended: boolean): Promise<void> {
    await this.close()
    if (isMended && this.#offset >= YEAR_2099) this.#offset = YEAR_2026
    this.#space = await (await this.#openDevice()).openSpace(this.#address)
  }

  jump(ms: number): void {
    this.#offset = Math.max(0, this.#offset + ms)
  }

  async close(): Promise<void> {
    await this.#device?.close()
    this.#device = null
    this.#space = null
  }

  /** By writer, how far its log is held here. */
  held(): Map<string, number> {
    return new Map(this.space.writers().map(({ writer, length }) => [writer, length]))
  }

  async batch(operations: readonly Operation[]): Promise<void> {
    // A batch is of one database; operations elsewhere are issued beside it and come into the same group.
    const inside = operations.filter(({ sub }) => sub === null)
    const outside = operations.filter(({ sub }) => sub !== null)
    const batch = this.space.db.batch()
    for (const { key, id } of inside) void (id === null ? batch.del(key) : batch.put(key, { id }))
    await Promise.all([batch.flush(), this.issue(outside)])
  }

  async issue(operations: readonly Operation[]): Promise<void> {
    await Promise.all(
      operations.map(({ sub, key, id }) => {
        const db = sub === null ? this.space.db : this.space.db.sub(sub)
        return id === null ? db.del(key) : db.put(key, { id })
      })
    )
  }

  /** The view equals its slow twin on what is held here; tried again if something came meanwhile. */
  async check(): Promise<void> {
    for (;;) {
      const before = JSON.stringify([...this.held()])
      const fast = await exportSpace(this.space, SUBS)
      const cores = this.space.wire.cores().map((core) => ({ core, seal: Infinity }))
      const slow = exportSlowly(await viewSlowly(cores), SUBS)
      const difference = await this.#lookupDifference()
      if (before !== JSON.stringify([...this.held()])) continue
      if (difference !== null) throw new Error(difference)
      if (fast !== slow) throw new Error(`The view shows\n${fast}\nbut its slow twin\n${slow}`)
      break
    }
    if (this.space.refusals().length > 0)
      throw new Error(`Refused: ${JSON.stringify(this.space.refusals())}`)
  }

  /** The ids of winner and conflicts, by sub-database and key. */
  async shown(): Promise<Map<string, readonly string[]>> {
    const shown = new Map<string, readonly string[]>()
    for (const [sub, db] of this.#databases()) {
      const entries = [db.createReadStream(), db.conflicts()]
      for (const stream of entries) {
        for await (const { key, value, conflicts } of stream) {
          const others = conflicts.map((each) =>
            each.path.length === 0 ? each.value : { [each.path.join()]: each.value }
          )
          shown.set(`${sub} ${key}`, [value, ...others].flatMap(idOf))
        }
      }
    }
    return shown
  }

  /** Where `get` and a scan disagree, or null. */
  async #lookupDifference(): Promise<string | null> {
    for (const [, db] of this.#databases()) {
      const scanned = new Map<string, string>()
      for await (const entry of db.createReadStream()) scanned.set(entry.key, JSON.stringify(entry))
      for (const key of KEYS) {
        const entry = await db.get(key)
        const expected = scanned.get(key) ?? 'null'
        if (JSON.stringify(entry) !== expected)
          return `get shows ${JSON.stringify(entry)}, a scan ${expected}`
      }
    }
    return null
  }

  #databases(): readonly (readonly [sub: string | null, db: MultiBee])[] {
    const { db } = this.space
    return [[null, db], ...SUBS.map((sub) => [sub, db.sub(sub)] as const)]
  }

  async #openDevice(): Promise<Device> {
    const now = () => this.#offset + this.#time()
    this.#device = await openDevice({ storage: this.#folder, now })
    return this.#device
  }
}

function idOf(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null || !('id' in value)) return []
  return typeof value.id === 'string' ? [value.id] : []
}

/** Waits until a meeting is over: cut after some time, or some blocks, if there are so many to send. */
async function lasts(meeting: Meeting, devices: readonly SimDevice[]): Promise<void> {
  if ('ms' in meeting) {
    await new Promise((resolve) => setTimeout(resolve, meeting.ms))
    return
  }
  const total = () =>
    devices.reduce((sum, device) => [...device.held().values()].reduce((a, b) => a + b, sum), 0)
  const [start, deadline] = [total(), performance.now() + 60]
  await until(() => total() - start >= meeting.blocks || performance.now() > deadline)
}
