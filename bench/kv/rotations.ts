/**
 * The same keys, written by one device under one log, and by one that went on under new ones so many times in between. What is read
 * of them, how long the space takes to open, and what a put costs there.
 */
import { join } from 'node:path'
import { openDevice } from '../../index.ts'
import { race, rateOf, type Competitor, type Goal, type Table } from '../harness.ts'
import { manyhandsIn, ours, pairAt, pairs, type Database, type Mode } from '../peers.ts'
import { ALL_MODES, atLeast, MODES, times, type Row } from './row.ts'

const ROTATIONS = [0, 10, 100]

/** After the most rotations against none. */
const GOAL = 0.8

interface Filled {
  readonly name: string
  readonly mode: Mode
  readonly rotations: number
  readonly place: string
}

const nameOf = (mode: Mode, rotations: number): string =>
  `${MODES[mode]}, ${rotations === 0 ? 'no' : rotations} rotations`

export const rotations: Row = async ({ folder, quick }) => {
  const keys = quick ? 500 : 10_000
  const filled: Filled[] = []
  for (const mode of ALL_MODES) {
    for (const count of quick ? [0, 10] : ROTATIONS) {
      const place = join(folder, `${mode}-${count}`)
      await fill(place, keys, count)
      filled.push({ name: nameOf(mode, count), mode, rotations: count, place })
    }
  }
  const options = { baseline: nameOf('index', 0), rounds: quick ? 3 : 7 }
  const units = quick ? 200 : 4000
  const gets = await race(
    `get of random keys among ${keys}`,
    filled.map((each) => reader(each, (db) => getMany(db, units, keys))),
    { ...options, units, unit: 'gets' }
  )
  const firstGets = await race(
    `the first ${units / 4} of them after opening and one scan`,
    filled.map((each) => reader(each, (db) => getMany(db, units / 4, keys), false)),
    { ...options, units: units / 4, unit: 'gets' }
  )
  const scans = await race(
    `scan of ${keys} keys`,
    filled.map((each) => reader(each, async (db) => void (await db.scan()))),
    { ...options, units: keys, unit: 'keys' }
  )
  const opens = await race(
    'opening and closing the space',
    filled.map(({ name, place, mode }) => ({
      name,
      run: async () => (await manyhandsIn(mode)(place)).close()
    })),
    { ...options, units: 1, unit: 'openings' }
  )
  // Last: they leave each database longer than it was.
  const puts = await race(
    'puts of new keys, one by one',
    filled.map((each) => reader(each, (db) => putMany(db, quick ? 20 : 200, keys), false)),
    { ...options, units: quick ? 20 : 200, unit: 'puts' }
  )
  return {
    tables: [gets, firstGets, scans, opens, puts],
    goals: [...goalsOf('get', gets), ...goalsOf('scan', scans), ...goalsOf('put', puts)]
  }
}

function goalsOf(what: string, table: Table): readonly Goal[] {
  return ALL_MODES.map((mode) => {
    const most = [...ROTATIONS]
      .reverse()
      .find((count) => table.rows.some(({ name }) => name === nameOf(mode, count)))
    const rate = (count: number) => rateOf(table, nameOf(mode, count))
    const label = `${what} after ${most} rotations against none, ${MODES[mode]}`
    return atLeast(label, rate(most ?? 0) / rate(0), GOAL, times)
  })
}

/** Each log gets a share of the keys. */
async function fill(place: string, keys: number, count: number): Promise<void> {
  const device = await openDevice({ storage: place })
  let space = await device.createSpace({ mode: 'stream' })
  for (let i = 0; i <= count; i++) {
    const [from, to] = [i, i + 1].map((n) => Math.floor((n * keys) / (count + 1)))
    await ours(device, space).putAll(pairs(from ?? 0, to ?? 0))
    if (i < count) space = await device.rotate(space.address)
  }
  await device.close()
}

async function getMany(db: Database, gets: number, keys: number): Promise<void> {
  for (let i = 0; i < gets; i++) {
    if ((await db.get(pairAt((i * 7919) % keys).key)) === null) throw new Error('a key is missing')
  }
}

/** Behind all keys that were put before, of this database too. */
let nextKey = 0
async function putMany(db: Database, puts: number, keys: number): Promise<void> {
  for (let i = 0; i < puts; i++) await db.put(pairAt(keys + nextKey++))
}

/** @param isWarm it has read the same before: what the first reads cost is a row of its own */
function reader(
  { name, mode, place }: Filled,
  read: (db: Database) => Promise<void>,
  isWarm = true
): Competitor {
  let db: Database | undefined
  return {
    name,
    async setup() {
      db = await manyhandsIn(mode)(place)
      await db.scan()
      if (isWarm) await read(db)
    },
    run: async () => {
      if (db !== undefined) await read(db)
    },
    teardown: () => db?.close()
  }
}
