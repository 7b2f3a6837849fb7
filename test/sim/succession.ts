/**
 * Devices that go on under new logs at random, at will, after unclean stops, and after losing what others hold, beside twins that do
 * the same without ever doing so: whoever knows as much shows the same, conflicts included.
 */
import { cp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import b4a from 'b4a'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import type { Device, ReadMode, Space } from '../../multiwriter/index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'

const DEVICES = 3
const STEPS = 30
const MS_PER_STEP = 1000

/** Of four logs enough to pay for learning all keys there are. */
const LOOKUPS = 100

/** How each device reads. */
const MODES: readonly [ReadMode, ...ReadMode[]] = ['stream', 'auto', 'stream']

/** How often devices went on. */
export interface Course {
  readonly successions: number
}

interface Clock {
  now: number
}

/** One device, closed and opened as it goes. */
class Peer {
  readonly #path: string
  readonly #clock: Clock
  readonly #mode: ReadMode
  device: Device
  space: Space

  private constructor(path: string, clock: Clock, mode: ReadMode, device: Device, space: Space) {
    this.#path = path
    this.#clock = clock
    this.#mode = mode
    this.device = device
    this.space = space
  }

  /** @param ticket of the space; none for the one that makes it */
  static async make(path: string, clock: Clock, mode: ReadMode, ticket?: string): Promise<Peer> {
    const device = await openDevice({ storage: path, now: () => clock.now })
    const space =
      ticket === undefined
        ? await device.createSpace({ mode })
        : await device.openSpace(ticket, { mode })
    return new Peer(path, clock, mode, device, space)
  }

  get #logs(): string {
    return join(this.#path, 'logs', 'db')
  }

  async rotate(): Promise<void> {
    this.space = await this.device.rotate(this.space.address)
  }

  async reopen(): Promise<void> {
    await this.device.close()
    await this.#open()
  }

  async stopUncleanly(): Promise<void> {
    await this.device.close()
    await writeFile(join(this.#path, 'running'), '{}')
    await this.#open()
  }

  /** What is written from now on can be lost. */
  async remember(): Promise<void> {
    await this.reopen()
    await rm(`${this.#logs}-old`, { recursive: true, force: true })
    await this.device.close()
    await cp(this.#logs, `${this.#logs}-old`, { recursive: true, preserveTimestamps: true })
    await this.#open()
  }

  /** Loses all since `remember`. */
  async forget(): Promise<void> {
    await this.device.close()
    await rm(this.#logs, { recursive: true })
    await cp(`${this.#logs}-old`, this.#logs, { recursive: true, preserveTimestamps: true })
    await this.#open()
  }

  async #open(): Promise<void> {
    this.device = await openDevice({ storage: this.#path, now: () => this.#clock.now })
    const { address } = this.space
    this.space = await this.device.openSpace(address, { mode: this.#mode })
  }
}

/** Whether both hold the same of the same logs. */
function isInStep(a: Space, b: Space): boolean {
  const shown = ({ wire }: Space) =>
    [...wire.cores(), ...wire.memberLogs()]
      .filter(({ length }) => length > 0)
      .map(({ key, contiguousLength }) => `${b4a.toString(key, 'hex')} ${contiguousLength}`)
      .toSorted()
      .join()
  return shown(a) === shown(b)
}

async function sync({ space: a }: Peer, { space: b }: Peer): Promise<void> {
  const cut = connect(a, b)
  try {
    await until(() => isInStep(a, b), { timeout: 20_000 })
  } finally {
    cut()
  }
}

/**
 * Everything that shows, but for who wrote it and in which log; and but for deletions among the conflicts: a log that is written no more
 * still holds what its writer would have left out since.
 */
async function shownIn({ db }: Space): Promise<string> {
  const lines: string[] = []
  for await (const entry of db.createReadStream()) {
    lines.push(lineOf(entry))
    assert.is(lineOf(await db.get(entry.key)), lines.at(-1), 'a lookup and a stream show the same')
  }
  return lines.join('\n')
}

function lineOf(entry: Shown | null): string {
  if (entry === null) return 'nothing'
  const { key, value, conflicts } = entry
  const others = conflicts.flatMap(({ path, value: other, deleted }) =>
    deleted ? [] : JSON.stringify([path, other])
  )
  return JSON.stringify([key, value, others.toSorted()])
}

type Shown = NonNullable<Awaited<ReturnType<Space['db']['get']>>>

/** Often enough that a space that streams knows which logs say something where: what is written next they have said since. */
async function lookUp({ space }: Peer): Promise<void> {
  for (let i = 0; i < LOOKUPS; i++) await space.db.get(`k${i % 4}`)
}

const FIELDS = ['a', 'b', 'c']

/** The same write in any space. */
function writeOf(random: SeededRandom, step: number): (space: Space) => Promise<unknown> {
  const key = `k${random.below(4)}`
  const field = FIELDS[random.below(FIELDS.length)] ?? 'a'
  const amount = 1 + random.below(3)
  switch (random.below(8)) {
    case 0:
    case 1:
      return ({ db }) => db.put(key, step)
    case 2:
      return ({ db }) => db.put(key, { [field]: step, d: 1 })
    case 3:
      return ({ db }) => db.patch(`o${key}`, { [field]: step })
    case 4:
      return ({ db }) => db.del(key)
    case 5:
      return ({ db }) => db.counter('count').add(amount)
    case 6:
      return ({ db }) => db.set('set').add(`e${step % 5}`)
    default:
      return ({ db }) => db.set('set').delete(`e${(step + 1) % 5}`)
  }
}

export async function simulateSuccession(seed: number): Promise<Course> {
  const random = seededRandom(seed)
  const folder = await tempFolder()
  const clock: Clock = { now: 1_700_000_000_000 }
  const peers = await makePeers(join(folder.path, 'peer'), clock)
  const twins = await makePeers(join(folder.path, 'twin'), clock)
  const inBoth = async (task: (all: readonly Peer[]) => Promise<void>) => {
    await task(peers)
    await task(twins)
  }
  try {
    for (let step = 0; step < STEPS; step++) {
      clock.now += MS_PER_STEP
      await stepOf(step, random, peers, inBoth)
      for (const peer of peers) await lookUp(peer)
    }
    await inBoth(meetAll)
    const expected = await shownIn(at(twins, 0).space)
    for (const { space } of [...peers, ...twins]) assert.is(await shownIn(space), expected)
    return { successions: at(peers, 0).space.writers().length - DEVICES }
  } finally {
    for (const { device } of [...peers, ...twins]) await device.close()
    await folder.remove()
  }
}

async function stepOf(
  step: number,
  random: SeededRandom,
  peers: readonly Peer[],
  inBoth: (task: (all: readonly Peer[]) => Promise<void>) => Promise<void>
): Promise<void> {
  const [i, other] = [random.below(DEVICES), 1 + random.below(DEVICES - 1)]
  const j = (i + other) % DEVICES
  const peer = at(peers, i)
  switch (random.below(12)) {
    case 0:
      return peer.rotate()
    case 1:
      return peer.stopUncleanly()
    case 2:
      return inBoth((all) => at(all, i).reopen())
    case 3: {
      await inBoth((all) => sync(at(all, i), at(all, j)))
      await peer.remember()
      const writes = [0, 1, 2].map((n) => writeOf(random, step * 10 + n))
      await inBoth(async (all) => {
        for (const write of writes) await write(at(all, i).space)
        await sync(at(all, i), at(all, j))
      })
      await peer.forget()
      return inBoth((all) => sync(at(all, i), at(all, j)))
    }
    case 4:
    case 5:
    case 6:
      return inBoth((all) => sync(at(all, i), at(all, j)))
    default: {
      const write = writeOf(random, step)
      return inBoth(async (all) => void (await write(at(all, i).space)))
    }
  }
}

async function makePeers(path: string, clock: Clock): Promise<readonly Peer[]> {
  const founder = await Peer.make(`${path}-0`, clock, MODES[0])
  const peers = [founder]
  for (let i = 1; i < DEVICES; i++) {
    const mode = MODES[i] ?? 'auto'
    const peer = await Peer.make(`${path}-${i}`, clock, mode, founder.space.ticket)
    peers.push(peer)
    await founder.space.addWriter(peer.space.writer)
    const cut = connect(founder.space, peer.space)
    await until(
      () => peer.space.members.list().length === i + 1 && isInStep(founder.space, peer.space)
    )
    cut()
  }
  return peers
}

/** Twice around, so that everybody has everything. */
async function meetAll(peers: readonly Peer[]): Promise<void> {
  for (let i = 0; i < 2 * DEVICES; i++) {
    await sync(at(peers, i % DEVICES), at(peers, (i + 1) % DEVICES))
  }
}

function at(peers: readonly Peer[], i: number): Peer {
  const peer = peers[i]
  if (peer === undefined) throw new RangeError(`There is no peer ${i}`)
  return peer
}
