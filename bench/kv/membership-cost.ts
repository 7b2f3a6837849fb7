/**
 * What membership costs while writes arrive: the same offline writes of the same writers meet where all were let in, where each was let in
 * to write below a prefix only, and in an open space in which nobody was: there the logs are read on their peers' word, and membership
 * has nothing to say of them. All are encrypted. Whoever made the space is gone before they meet, and what founding and letting in take
 * is over: that does not count. What counts is short, and runs of it differ: so the open space races against itself, too, and what that
 * comes to is the error of the rest.
 */
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { openDevice, type Space } from '../../index.ts'
import { joinStar } from '../bases.ts'
import { race, rateOf, type Goal, type Table } from '../harness.ts'
import { memberOf, ourMeeting, type Member } from './converge.ts'
import { atMost, sharesOf, type Row, type RowContext } from './row.ts'

const MAX_COST = 0.1

/** Longer than devices that have met wait to tell each other more of the logs (`TELL_AFTER_MS`). */
const CALM_MS = 1200

/** Writers, and what they write in all: two are done with 10,000 in less time than can be told apart. */
const FULL = [
  [2, 40_000],
  [8, 10_000]
] as const

const QUICK = [
  [2, 800],
  [8, 800]
] as const

const PREFIXES = ['db:bench']

const OPEN = 'open space, nobody let in'

const CONTROL = 'open space, nobody let in, once more'

const LET_IN = 'all let in'

const LET_IN_BELOW = 'all let in, to write below a prefix'

const OPENERS = [
  [OPEN, openUnadmitted],
  [LET_IN, (folder: string, count: number) => openAdmitted(folder, count)],
  [LET_IN_BELOW, (folder: string, count: number) => openAdmitted(folder, count, PREFIXES)],
  [CONTROL, openUnadmitted]
] as const

export const membershipCost: Row = async (context) => {
  const tables: Table[] = []
  for (const [writers, writes] of context.quick ? QUICK : FULL)
    tables.push(await raceAt(writers, writes, context))
  return { tables, goals: tables.flatMap(goalsOf), notes: tables.map(errorOf) }
}

function raceAt(writers: number, writes: number, { folder, quick }: RowContext): Promise<Table> {
  const shares = sharesOf(writes, writers)
  const competitors = OPENERS.map(([name, open], i) =>
    ourMeeting(name, join(folder, `${writers}-${i}`), 'together', shares, open)
  )
  return race(`convergence of ${writes} offline writes, ${writers} writers`, competitors, {
    baseline: OPEN,
    units: writes,
    unit: 'writes',
    rounds: quick ? 3 : 21
  })
}

async function openUnadmitted(folder: string, count: number): Promise<readonly Member[]> {
  const founder = await openDevice({ storage: `${folder}-founder` })
  const { ticket } = await founder.createSpace({ mode: 'index', open: true })
  await founder.close()
  const members = await openTicket(folder, count, ticket)
  const spaces = members.map(({ space }) => space)
  await meet(spaces, () => spaces.every((space) => space.writers().length === count))
  return members
}

async function openAdmitted(
  folder: string,
  count: number,
  prefixes?: readonly string[]
): Promise<readonly Member[]> {
  const founder = await openDevice({ storage: `${folder}-founder` })
  const space = await founder.createSpace({ mode: 'index' })
  const members = await openTicket(folder, count, space.ticket)
  const spaces = [space, ...members.map((member) => member.space)]
  await meet(spaces, async () => {
    for (const { writer } of space.members.asking())
      await space.members.admit(writer, 'writer', prefixes === undefined ? {} : { prefixes })
    return spaces.every((each) => each.writers().length === spaces.length)
  })
  await founder.close()
  return members
}

async function openTicket(folder: string, count: number, ticket: string): Promise<Member[]> {
  const members: Member[] = []
  for (let i = 0; i < count; i++) {
    const device = await openDevice({ storage: `${folder}-${i}` })
    members.push(memberOf(device, await device.openSpace(ticket, { mode: 'index' })))
  }
  return members
}

/** Connected until they are `ready`, and have told each other what they tell then. */
async function meet(
  spaces: readonly Space[],
  ready: () => boolean | Promise<boolean>
): Promise<void> {
  const cut = joinStar(spaces)
  while (!(await ready())) await setTimeout(1)
  await setTimeout(CALM_MS)
  cut()
}

function goalsOf(table: Table): readonly Goal[] {
  return [LET_IN, LET_IN_BELOW].map((name) =>
    atMost(`what membership costs, ${name}: ${table.title}`, costOf(table, name), MAX_COST, percent)
  )
}

const errorOf = (table: Table): string =>
  `the error: the open space against itself: ${table.title}: ${percent(costOf(table, CONTROL))}`

/** More than in the open space. */
const costOf = (table: Table, name: string): number => rateOf(table, OPEN) / rateOf(table, name) - 1

const percent = (value: number): string => `${(value * 100).toFixed(1)} %`
