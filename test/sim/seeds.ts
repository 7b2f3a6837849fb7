/** Runs seeds as tests; a failure shows how to run it again alone. */
import { test } from 'uvu'
import { within } from '../support/within.ts'

/** One seed may take long on a loaded machine, but not for ever. */
const SEED_TIMEOUT_MS = 60_000

/** @param file the test file, for the command that runs one seed again; `SIM_SEED` replaces the seeds */
export function testSeeds(
  title: string,
  file: string,
  seeds: readonly number[],
  run: (seed: number) => Promise<void>
): void {
  const only = process.env['SIM_SEED']
  for (const seed of only === undefined ? seeds : [Number(only)]) {
    test(`${title}, seed ${seed}`, async () => {
      try {
        await within(SEED_TIMEOUT_MS, run(seed))
      } catch (error) {
        const again = `SIM_SEED=${seed} node --import ./scripts/typescript.mjs ${file}`
        const reason = error instanceof Error ? error.message : String(error)
        throw new Error(`${reason}\n\nRun it again: ${again}\n`, { cause: error })
      }
    })
  }
}

export function range(from: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => from + i)
}
