/** The `running` file: in which boot the store was opened. What a power cut may have taken is told by it. */
import type { Durability } from '../store.ts'
import { bootId } from './boot.ts'
import { readFileIfAny, writeFileAtomic } from './files.ts'
import type { Logs } from './logs.ts'

interface Run {
  readonly boot: string
  readonly durability: string
}

/** Why the last run's tails are suspect, or null. */
export async function suspicionOf(path: string): Promise<string | null> {
  const last = parseRun(await readFileIfAny(path))
  if (last === null || last.durability === 'disk' || last.boot === (await bootId())) return null
  return 'the machine stopped while the store was open, so its last writes may be lost'
}

/** Marks the store as open in this boot. What was suspect is forgotten by it: first see to it that it is never appended to again. */
export async function beginRun(
  path: string,
  durability: Durability,
  { storage }: Logs
): Promise<void> {
  const last = parseRun(await readFileIfAny(path))
  // What a killed run left to the system must be on the disk before the marker promises so.
  if (last !== null && last.durability !== 'disk' && durability === 'disk') await storage.db.flush()
  await writeFileAtomic(path, `${JSON.stringify({ boot: await bootId(), durability })}\n`)
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
