/**
 * Unlocking: how long a person waits between the passphrase and a space that can be read again. Measured by wall clock, as a
 * person waits; each run locks first, which is not timed.
 */
import { join } from 'node:path'
import { openDevice } from '../index.ts'
import { race, rateOf, report, type BenchOptions } from './harness.ts'
import { inFolder } from './peers.ts'

/** In seconds. */
const GOAL = 1

const ALONE = 'keys alone'
const WITH_SPACE = 'keys, and a space of 1,000 keys open again'
const PASSPHRASE = 'correct horse battery staple'

export default async function bench(options: BenchOptions): Promise<void> {
  const table = await inFolder(async (folder) => {
    const open = (name: string) =>
      openDevice({ storage: join(folder, name), passphrase: PASSPHRASE })
    const [alone, full] = [await open('alone'), await open('full')]
    try {
      const { db } = await full.createSpace()
      await Promise.all(Array.from({ length: 1000 }, (_, i) => db.put(`key-${i}`, i)))
      const competitors = [
        { name: ALONE, device: alone },
        { name: WITH_SPACE, device: full }
      ].map(({ name, device }) => ({
        name,
        setup: () => device.lock(),
        run: () => device.unlock(PASSPHRASE)
      }))
      const rounds = options.quick ? 3 : 9
      return await race('unlocking', competitors, {
        baseline: ALONE,
        units: 1,
        unit: 'unlocks',
        rounds,
        by: 'wall'
      })
    } finally {
      for (const device of [alone, full]) await device.close()
    }
  })
  const slowest = Math.max(...[ALONE, WITH_SPACE].map((name) => 1 / rateOf(table, name)))
  await report('unlock', options, {
    tables: [table],
    goals: [
      {
        what: 'unlocking',
        goal: `at most ${GOAL} s`,
        measured: `${(slowest * 1000).toFixed(0)} ms`,
        isMet: slowest <= GOAL
      }
    ],
    packages: ['sodium-universal', 'sodium-native']
  })
}
