/** Databases in short, for tests that compare what shows. */
import type { Value } from '../../crdt/index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { collect } from './collect.ts'
import { until } from './devices.ts'
import { exportSpace } from './export.ts'

interface Two {
  readonly spaceA: Space
  readonly spaceB: Space
}

/** Both devices read the same. */
export function haveMet({ spaceA, spaceB }: Two): Promise<void> {
  return until(async () => (await exportSpace(spaceA)) === (await exportSpace(spaceB)))
}

const textOf = (value: Value) => (typeof value === 'string' ? value : JSON.stringify(value))

/** Everything in the database, as `key=value`. */
export async function shown(space: Space, sub?: string): Promise<string> {
  const db = sub === undefined ? space.db : space.db.sub(sub)
  const entries = await collect(db.createReadStream())
  return entries.map(({ key, value }) => `${key}=${textOf(value)}`).join(' ')
}

/** One after the other; what is undefined is deleted. */
export async function putAll(space: Space, values: Readonly<Record<string, Value | undefined>>) {
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined) await space.db.del(key)
    else await space.db.put(key, value)
  }
}
