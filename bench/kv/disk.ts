/** What a write takes on the disk, by what the file system has given (`du`), after the database was closed. Batches of 1000. */
import { randomBytes } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { openDevice } from '../../index.ts'
import { autobase } from '../bases.ts'
import { race, type Competitor } from '../harness.ts'
import { manyhandsIn, pairs, type OpenDatabase } from '../peers.ts'
import { atMost, MODES, ALL_MODES, type Row } from './row.ts'

const GOAL = 400

const BATCH = 1000

export const disk: Row = async (context) => {
  const { folder, quick } = context
  const writes = quick ? 2000 : 100_000
  const costs = new Map<string, number>()
  const writer = (name: string, open: OpenDatabase): Competitor => {
    const place = join(folder, name.replaceAll(/\W+/g, '-'))
    return {
      name,
      once: true,
      run: () => write(open, place, writes),
      async teardown() {
        await compact(place)
        costs.set(name, (await diskUse(place)) / writes)
      },
      note: () => `${costs.get(name)?.toFixed(0)} bytes per write`
    }
  }
  const competitors = ALL_MODES.map((mode) => writer(nameOf(mode), manyhandsIn(mode)))
  const table = await race(
    `${writes} writes in batches of ${BATCH}, read back and closed`,
    [...competitors, writer(AUTOBASE, autobase)],
    { baseline: AUTOBASE, units: writes, unit: 'writes', rounds: 1 }
  )
  const cost = costs.get(nameOf('index')) ?? Number.NaN
  return {
    tables: [table],
    goals: [
      atMost('disk per write, with index, after compaction', cost, GOAL, (n) => `${n.toFixed(0)} B`)
    ]
  }
}

const nameOf = (mode: keyof typeof MODES): string => `manyhands, ${MODES[mode]}`

const AUTOBASE = 'autobase, 100 per block'

async function write(open: OpenDatabase, folder: string, writes: number): Promise<void> {
  const db = await open(folder)
  for (let i = 0; i < writes; i += BATCH) {
    const some = pairs(i, Math.min(i + BATCH, writes))
    // Values that nothing can compress: stores do try.
    await db.putAll(some.map(({ key }) => ({ key, value: randomBytes(100) })))
  }
  const seen = await db.scan()
  await db.close()
  if (seen !== writes) throw new Error(`${seen} of ${writes} writes are there`)
}

/** As somebody would who wants room: open the space, ask it to. Autobase and the like are as their closing leaves them. */
async function compact(folder: string): Promise<void> {
  if (!(await readdir(folder)).includes('manyhands.json')) return
  const device = await openDevice({ storage: folder })
  const space = await device.openSpace(device.spaces()[0]!.address)
  if ('compact' in space && typeof space.compact === 'function') await space.compact()
  await device.close()
}

async function diskUse(path: string): Promise<number> {
  const { blocks } = await stat(path)
  const inside = await readdir(path, { withFileTypes: true })
  let sum = blocks * 512
  for (const entry of inside) {
    const child = join(path, entry.name)
    sum += entry.isDirectory() ? await diskUse(child) : (await stat(child)).blocks * 512
  }
  return sum
}
