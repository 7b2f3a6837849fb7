/** The `running` file: in which boot the store was opened. What a power cut may have taken is told by it. */
import type { Durability } from '../store.ts'
import { bootId } from './boot.ts'
import { readFileIfAny, writeFileAtomic } from './files.ts'
import type { Logs } from './logs.ts'

interface Run {
  readonly boot: string
  readonly durability: string
}

/** Marks the store as open in this boot. Returns why the last run's tails are suspect, or null. */
export async function beginRun(
  path: string,
  durability: Durability,
  { storage }: Logs
): Promise<string | null> {
  const run = { boot: await bootId(), durability }
  const last = parseRun(await readFileIfAny(path))
  // The old marker stays: these logs are never appended to again.
  if (last !== null && last.boot !== run.boot && last.durability !== 'disk') {
    return 'the machine stopped while the store was open, so its last writes may be lost'
  }
  // What a killed run left to the system must be on the disk before the marker promises so.
  if (last !== null && last.durability !== 'disk' && durability === 'disk') await storage.db.flush()
  await writeFileAtomic(path, `${JSON.stringify(run)}\n`)
  return null
}

/** A marker that cannot be read is of no boot we know. */
function parseRun(text: string | null): Run | null {
  if (text === null) return null
  try {
    const { boot, durability } = JSON.parse(text) as Partial<Run>
    return { boot: String(boot), durability: String(durability) }
  } catch {
    return { boot: '', durability: 'os' }
  }
}
