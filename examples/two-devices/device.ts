/** One device: this process is started by remote-device.ts, does what main.ts asks, and ends with the line to it. */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  openDevice,
  swarm,
  type Change,
  type Device,
  type Entry,
  type MultiBee,
  type Space,
  type TransportFactory,
  type Value
} from '../../index.ts'
import { citiesOf, keyOf, type DeviceName } from './cities.ts'
import { isFields, type Edit, type Fields } from './edits.ts'
import { answer, sharedNow } from './protocol.ts'
import type {
  ConflictRow,
  DeviceCalls,
  Load,
  LogEnd,
  Meeting,
  Rendezvous,
  Status
} from './protocol.ts'

const POLL_MS = 2

/** Between devices that are connected, a second is long. */
const RECEIVE_MS = 10_000

class Session implements DeviceCalls {
  readonly #name: DeviceName
  readonly #folder: string
  #device: Device | null = null
  #space: Space | null = null
  #changes: AsyncIterator<Change<string, Value>> | null = null

  constructor(name: DeviceName, folder: string) {
    this.#name = name
    this.#folder = folder
  }

  async create() {
    const device = await this.#open()
    this.#space = await device.createSpace({ name: 'Cities', open: true })
    return { ticket: this.#space.ticket }
  }

  async join(ticket: string): Promise<void> {
    const device = await this.#open()
    this.#space = await device.openSpace(ticket, { name: 'Cities' })
  }

  async load(): Promise<Load> {
    const db = this.#db()
    const mine = citiesOf(this.#name).map((city) => [keyOf(city), city] as const)
    const begin = performance.now()
    // Puts that are issued together are written together.
    await Promise.all(mine.map(([key, city]) => db.put(key, city)))
    return { entries: mine.length, ms: performance.now() - begin }
  }

  async edit({ key, set }: Edit): Promise<void> {
    const db = this.#db()
    if (set === null) {
      await db.del(key)
      return
    }
    const there = await db.get(key)
    await db.put(key, { ...fieldsOf(there), ...set })
  }

  async status(): Promise<Status> {
    let keys = 0
    for await (const _ of this.#db().createReadStream()) keys++
    return { log: this.#log(), keys }
  }

  async meet({ bootstrap, patienceMs }: Rendezvous, other: LogEnd): Promise<Meeting> {
    const { address } = this.#opened()
    await this.close()
    const device = await this.#open(swarm({ bootstrap, host: '127.0.0.1', firewalled: false }))
    const begin = performance.now()
    const space = (this.#space = await device.openSpace(address))
    await until(() => space.peers().length > 0, patienceMs, 'found no other device')
    const met = performance.now()
    await this.receive(other)
    return { findMs: met - begin, catchUpMs: performance.now() - met }
  }

  receive({ writer, blocks }: LogEnd): Promise<void> {
    const space = this.#opened()
    const isHere = () =>
      space.writers().some((each) => each.writer === writer && each.length >= blocks)
    return until(isHere, RECEIVE_MS, 'did not receive what the other device wrote')
  }

  /** A city is kept as a whole: two that differ are shown side by side. */
  #db(): MultiBee {
    return this.#opened().db.sub('cities', { type: 'register' })
  }

  async export(): Promise<string> {
    const db = this.#db()
    const lines: string[] = []
    for await (const entry of db.createReadStream()) lines.push(lineOf(entry))
    // Keys that are gone, though not everybody agreed to it, are shown by the conflicts alone.
    for await (const entry of db.conflicts()) if (entry.value === null) lines.push(lineOf(entry))
    return lines.join('\n')
  }

  async conflicts(): Promise<readonly ConflictRow[]> {
    const rows: ConflictRow[] = []
    for await (const entry of this.#db().conflicts()) rows.push(...this.#rowsOf(entry))
    return rows
  }

  async look(key: string) {
    const entry = await this.#db().get(key)
    return { value: entry?.value ?? null, conflicts: entry?.conflicts.length ?? 0 }
  }

  startWatching(prefix: string): Promise<void> {
    this.#changes = this.#db().watch({ gte: prefix, lt: `${prefix}\uffff` })
    return Promise.resolve()
  }

  async nextChange() {
    const next = await this.#changes?.next()
    if (next === undefined || next.done === true) throw new Error('Nothing is watched any more')
    return { at: sharedNow() }
  }

  async put(key: string, value: Value) {
    const at = sharedNow()
    await this.#db().put(key, value)
    return { at }
  }

  /** Closes the store: what was put is on disk. */
  async close(): Promise<void> {
    await this.#device?.close()
    this.#device = null
    this.#space = null
  }

  /** Without a transport there is no network at all. */
  async #open(transport?: TransportFactory): Promise<Device> {
    const options = { storage: this.#folder, name: this.#name }
    this.#device = await openDevice(transport === undefined ? options : { ...options, transport })
    return this.#device
  }

  #opened(): Space {
    if (this.#space === null) throw new Error('The space is not open')
    return this.#space
  }

  #log(): LogEnd {
    const own = this.#opened()
      .writers()
      .find((each) => each.isOwn)
    return { writer: own?.writer ?? '', blocks: own?.length ?? 0 }
  }

  #rowsOf({ key, value, writer, stamp, conflicts }: Entry<string, Value>): ConflictRow[] {
    return conflicts.map((lost) => ({
      key,
      won: { by: this.#nameOf(writer), value },
      lost: { by: this.#nameOf(lost.writer), value: lost.value },
      laterMs: stamp.ms - lost.stamp.ms
    }))
  }

  /** There are only two. */
  #nameOf(writer: string): DeviceName {
    const other = this.#name === 'Laptop' ? 'Phone' : 'Laptop'
    return writer === this.#opened().writer ? this.#name : other
  }
}

function fieldsOf(entry: Entry<string, Value> | null): Fields {
  return entry !== null && isFields(entry.value) ? entry.value : {}
}

/** Everything that two devices must agree on; stamps included, as they decided. */
function lineOf({ key, value, writer, seq, stamp, conflicts }: Entry<string, Value>): string {
  const lost = conflicts.map((each) => [each.value, each.writer, each.seq, each.stamp.ms])
  return JSON.stringify([key, value, writer, seq, stamp.ms, lost])
}

/** Waits for something that is not announced. */
async function until(condition: () => boolean, limitMs: number, problem: string): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`${problem} within ${limitMs / 1000} seconds`)
    await sleep(POLL_MS)
  }
}

const [name, folder = ''] = process.argv.slice(2)
const session = new Session(name === 'Laptop' ? 'Laptop' : 'Phone', folder)

process.on('message', (message) => {
  // The main process may be gone by then: nobody waits for the reply any more.
  void answer(session, message).then((reply) => process.send?.(reply, undefined, {}, () => {}))
})
// The line is cut when the main process is done with us, or has died.
process.on('disconnect', () => {
  void session.close().finally(() => process.exit())
})
// Ctrl-C reaches all processes at once; the main process decides what it means.
process.on('SIGINT', () => {})
