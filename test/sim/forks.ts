/**
 * A store is copied, and both copies and all others do whatever comes: write, meet for a moment, acknowledge, give and take rights, close and
 * open again. In the end everybody meets everybody, and must know the same forks, the same members, and show the same.
 */
import * as assert from 'uvu/assert'
import type { Space } from '../../multiwriter/index.ts'
import { isManyhandsError } from '../../errors.ts'
import { until } from '../support/devices.ts'
import {
  ALL,
  contentsOf,
  MESH,
  openWorld,
  pause,
  type Name,
  type World
} from '../support/fork-world.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'

/** What the runs of a process came to: that they try what they are for. */
export const seen = { forks: 0, ofMembership: 0, chosen: 0, refused: 0 }

const STEPS = 14

export async function simulateForks(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const world = await openWorld(seed % 2 === 0 ? 'founder' : 'one')
  const log: string[] = []
  try {
    for (const name of ['one', 'two'] as const) log.push(...(await part(world, random, name)))
    for (let n = 0; n < STEPS; n++) log.push(await step(world, random, n))
    world.connect(...MESH)
    await agree(world)
    world.cut()
    await world.open(...ALL)
    world.connect(...MESH)
    await agree(world)
  } catch (error) {
    for (const name of ALL) log.push(`${name}: ${JSON.stringify(await stateOf(world, name))}`)
    throw new Error(`${String(error)}\n${log.join('\n')}`, { cause: error })
  }
  for (const fork of world.space('founder').members.forks()) {
    seen.forks++
    if (fork.use === 'membership') seen.ofMembership++
    if (fork.length > fork.common) seen.chosen++
  }
  await world.close()
}

function pick<T>(items: readonly T[], random: SeededRandom): T {
  const item = items[random.below(items.length)]
  if (item === undefined) throw new Error('Nothing to pick from')
  return item
}

/** Most copies write before they meet anybody; of whoever acts on others, the membership log forks. */
async function part(world: World, random: SeededRandom, name: 'one' | 'two'): Promise<string[]> {
  const { db, members } = world.space(name)
  const puts = random.below(4)
  for (let n = 0; n < puts; n++) await db.put('a', `${name} first ${n}`)
  const isActing = random.below(3) > 0
  // The same act would be the same record, and no fork.
  const target = world.device(name === 'one' ? 'founder' : 'other').id
  if (isActing) await tried(() => members.setRole(target, 'admin'))
  return [`${name} puts ${puts}${isActing ? ', promotes' : ''}`]
}

async function step(world: World, random: SeededRandom, n: number): Promise<string> {
  const name = pick(ALL, random)
  const space = world.space(name)
  const act = random.below(10)
  if (act < 4) {
    await tried(() => space.db.put(pick(['a', 'b', 'c'], random), `${name} ${n}`))
    return `${name} puts`
  }
  if (act < 7) {
    const pair = pick(MESH, random)
    world.connect(pair)
    await pause(50 + random.below(150))
    world.cut()
    return `${pair.join(' meets ')}`
  }
  if (act === 7) {
    await tried(() => space.members.acknowledge())
    return `${name} acknowledges`
  }
  if (act === 8) {
    await world.open(name)
    return `${name} opens again`
  }
  const target = world.device(pick(['founder', 'other'], random)).id
  const isRevoking = random.below(3) === 0
  if (isRevoking) await tried(() => space.members.revoke(target))
  else await tried(() => space.members.setRole(target, 'admin'))
  return `${name} ${isRevoking ? 'revokes' : 'promotes'}`
}

/** Who may not, or names what cannot be, is told so: nothing else may go wrong. */
async function tried(task: () => Promise<unknown>): Promise<void> {
  try {
    await task()
  } catch (error) {
    const isTold = ['NOT_ALLOWED', 'INVALID_ARGUMENT', 'STORE_ROLLED_BACK'] as const
    if (!isTold.some((code) => isManyhandsError(error, code))) throw error
    seen.refused++
  }
}

const rolesIn = (space: Space) =>
  space.members
    .list()
    .map(({ identity, role, devices }) => [identity, role, devices.map((each) => each.role)])

async function stateOf(world: World, name: Name) {
  const space = world.space(name)
  return {
    forks: space.members.forks().map(({ here: _, ...fork }) => fork),
    roles: rolesIn(space),
    contents: await contentsOf(space)
  }
}

/** Whoever was removed hears of the membership alone. */
function hasData(world: World, name: Name): boolean {
  const { id } = world.device(name)
  const space = world.space('founder')
  const mine = space.members
    .list()
    .find(({ devices }) => devices.some(({ device }) => device === id))
  const isForked = space.members.forks().some(({ device }) => device === id)
  const isIn = mine?.devices.some(({ device, role }) => device === id && role !== null) === true
  return isIn || (isForked && mine?.role !== null)
}

async function agree(world: World): Promise<void> {
  let difference = ''
  const isAgreed = async () => {
    const { contents, ...first } = await stateOf(world, 'founder')
    for (const name of ALL) {
      const { contents: own, ...rest } = await stateOf(world, name)
      const isSame = JSON.stringify(rest) === JSON.stringify(first)
      const showsSame = !hasData(world, name) || JSON.stringify(own) === JSON.stringify(contents)
      difference = `${name}: ${isSame ? 'shows something else' : 'knows something else'}`
      if (!isSame || !showsSame) return false
    }
    return true
  }
  await until(isAgreed, { timeout: 20_000 }).catch(() => assert.unreachable(difference))
}
