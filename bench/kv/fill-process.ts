/**
 * `fill-process.ts ours <folder> <keys> <writers>`, or `autobase ... <operations per block>`: fills a database in a process of its own.
 * Where a hundred thousand puts have been, the collector has more to do, and whoever reads there would be charged with it. Prints
 * where the database is.
 */
import { fillBase } from '../bases.ts'
import { manyhandsIn } from '../peers.ts'
import { fillOurs, sharesOf } from './row.ts'

const [what, folder, ...numbers] = process.argv.slice(2)
const [keys, writers, perBlock] = numbers.map(Number)
const filled =
  what === 'ours'
    ? await indexed(await fillOurs(folder!, keys!, writers!))
    : await fillBase(folder!, sharesOf(keys!, writers!), perBlock!)
process.stdout.write(filled)

/** Reads it once: the index is there. */
async function indexed(place: string): Promise<string> {
  const db = await manyhandsIn('index')(place)
  await db.scan()
  await db.close()
  return place
}
