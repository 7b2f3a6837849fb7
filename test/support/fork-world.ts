/** Devices in one space whose stores are copied: of one of them there are two, and both think they are the one. */
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { copyStore } from './copies.ts'
import { connect, tempFolder, until, type TempFolder } from './devices.ts'

export type Name = 'founder' | 'other' | 'one' | 'two' | 'late'

/** Devices by name, each in one space, which can be closed, copied and opened again. */
export class World {
  readonly #folder: TempFolder
  readonly #devices = new Map<Name, Device>()
  readonly #spaces = new Map<Name, Space>()
  #cuts: (() => void)[] = []
  #ticket = ''

  constructor(folder: TempFolder) {
    this.#folder = folder
  }

  /** Where a device keeps its store. */
  folderOf(name: Name): string {
    return join(this.#folder.path, name)
  }

  async found(name: Name): Promise<void> {
    const device = await openDevice({ storage: this.folderOf(name) })
    this.#devices.set(name, device)
    const space = await device.createSpace()
    this.#spaces.set(name, space)
    this.#ticket = space.ticket
  }

  async open(...names: Name[]): Promise<void> {
    for (const name of names) {
      await this.#devices.get(name)?.close()
      const device = await openDevice({ storage: this.folderOf(name) })
      this.#devices.set(name, device)
      this.#spaces.set(name, await device.openSpace(this.#ticket))
    }
  }

  /** Both are open afterwards. */
  async copy(from: Name, to: Name): Promise<void> {
    await this.#devices.get(from)?.close()
    await copyStore(this.folderOf(from), this.folderOf(to))
    await this.open(from, to)
  }

  async rotate(name: Name): Promise<void> {
    const { address } = this.space(name)
    this.#spaces.set(name, await this.device(name).rotate(address))
  }

  space(name: Name): Space {
    const space = this.#spaces.get(name)
    if (space === undefined) throw new Error(`${name} is not open`)
    return space
  }

  device(name: Name): Device {
    const device = this.#devices.get(name)
    if (device === undefined) throw new Error(`${name} is not open`)
    return device
  }

  connect(...pairs: readonly (readonly [Name, Name])[]): void {
    for (const [a, b] of pairs) this.#cuts.push(connect(this.space(a), this.space(b)))
  }

  cut(): void {
    for (const cut of this.#cuts) cut()
    this.#cuts = []
  }

  async closeOne(name: Name): Promise<void> {
    await this.#devices.get(name)?.close()
  }

  async close(): Promise<void> {
    this.cut()
    for (const device of this.#devices.values()) await device.close()
    await this.#folder.remove()
  }
}

export const valueIn = async (space: Space, key: string) => (await space.db.get(key))?.value

export async function contentsOf(space: Space): Promise<Record<string, unknown>> {
  const contents: Record<string, unknown> = {}
  for await (const { key, value } of space.db.createReadStream()) contents[key] = value
  return contents
}

/** A founder, and two writers, who have all met; of one of them there are two copies. */
export async function openWorld(copied: 'one' | 'founder' = 'one'): Promise<World> {
  const world = new World(await tempFolder())
  await world.found(copied === 'founder' ? 'one' : 'founder')
  const [founder, names]: [Name, Name[]] =
    copied === 'founder' ? ['one', ['founder', 'other']] : ['founder', ['one', 'other']]
  await world.open(...names)
  for (const name of names) await world.space(founder).addWriter(world.space(name).writer)
  await world.space('one').db.put('common', 'before the copy')
  const all = [founder, ...names]
  world.connect(['founder', 'other'], ['founder', 'one'], ['other', 'one'])
  for (const name of all) {
    await until(() => world.space(name).members.list().length === 3)
    await until(async () => (await valueIn(world.space(name), 'common')) !== undefined)
  }
  world.cut()
  await world.copy('one', 'two')
  return world
}

export const ALL = ['founder', 'other', 'one', 'two'] as const
export const MESH = [
  ['founder', 'other'],
  ['founder', 'one'],
  ['founder', 'two'],
  ['other', 'one'],
  ['other', 'two'],
  ['one', 'two']
] as const

/** All show the same, and what they know of the fork is the same. */
export async function untilAgreed(world: World, names: readonly Name[] = ALL): Promise<void> {
  const stateOf = async (name: Name) => {
    const space = world.space(name)
    return JSON.stringify([
      await contentsOf(space),
      space.members.forks(),
      space.members.list().map(({ identity, role }) => [identity, role])
    ])
  }
  try {
    await until(
      async () => {
        if (names.some((name) => world.space(name).members.forks().length === 0)) return false
        if (
          names.some((name) =>
            world
              .space(name)
              .members.forks()
              .some(({ here }) => here !== 'chosen')
          )
        )
          return false
        const [first, ...rest] = await Promise.all(names.map(stateOf))
        return rest.every((state) => state === first)
      },
      { timeout: 15_000 }
    )
  } catch (error) {
    for (const name of names) console.log(name, await stateOf(name))
    throw error
  }
}

export const EDGES = [
  ['founder', 'one'],
  ['other', 'two'],
  ['one', 'two'],
  ['founder', 'other']
] as const

export function ordersOf<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]]
  return items.flatMap((item, i) =>
    ordersOf([...items.slice(0, i), ...items.slice(i + 1)]).map((rest) => [item, ...rest])
  )
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

export interface Meeting {
  readonly order: readonly (readonly [Name, Name])[]
  /** Whether both copies have written as much. */
  readonly isEqual: boolean
  /** Whether everybody is closed and opened again between two meetings. */
  readonly restarts: boolean
}

export const nameOf = ({ order, isEqual, restarts }: Meeting): string =>
  [
    order.map((edge) => edge.join('-')).join(', '),
    `${isEqual ? 'equal' : 'unequal'} lengths${restarts ? ', with restarts' : ''}`
  ].join('; ')

/** Both copies write, and devices meet in pairs; then all at once, and they must agree, also when they are opened again. */
export async function play({ order, isEqual, restarts }: Meeting): Promise<void> {
  const world = await openWorld()
  await world.space('one').db.put('a', 'one')
  for (let n = isEqual ? 1 : 3; n > 0; n--) await world.space('two').db.put('a', `two ${n}`)
  for (const edge of order) {
    world.connect(edge)
    await pause(150)
    world.cut()
    if (restarts) await world.open(...ALL)
  }
  world.connect(...MESH)
  await untilAgreed(world)
  const contents = await contentsOf(world.space('founder'))
  world.cut()
  await world.open(...ALL)
  for (const name of ALL) assert.equal(await contentsOf(world.space(name)), contents, name)
  await world.close()
}
