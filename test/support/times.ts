/** How long each test file took last time, kept beside what npm installed: a fresh clone has its first run by guess. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const KEPT = fileURLToPath(
  new URL('../../node_modules/.cache/manyhands-test-times.json', import.meta.url)
)

/** Before it has ever run: what waits for timers, starts browsers or many processes, or plays histories takes some seconds, the
 * others one. */
const GUESSES: readonly (readonly [part: string, seconds: number])[] = [
  ['test/package.', 30],
  ['test/multiwriter/epochs.', 27],
  ['test/multiwriter/device-link.', 22],
  ['test/multiwriter/forks.', 22],
  ['test/browser/', 20],
  ['test/tooling/runner.', 20],
  ['test/multiwriter/invites.', 15],
  ['test/peers/', 15],
  ['test/examples/', 12],
  ['test/docs/', 10],
  ['test/cli/', 10],
  ['test/sim/', 8],
  ['test/demo-editor/', 5],
  ['test/core/', 4]
]

interface Timed {
  readonly file: string
  readonly seconds: number
}

/** Files of one length stay in their order. */
export function longestFirst(files: readonly string[], file = KEPT): string[] {
  const kept = readTimes(file)
  const seconds = (each: string) => kept.get(each) ?? guess(each)
  return files.toSorted((a, b) => seconds(b) - seconds(a))
}

function guess(file: string): number {
  return GUESSES.find(([part]) => file.startsWith(part))?.[1] ?? 1
}

/** Files that did not run keep what they had. */
export function keepTimes(results: readonly Timed[], kept = KEPT): void {
  if (results.length === 0) return
  const times = readTimes(kept)
  for (const { file, seconds } of results) times.set(file, Math.round(seconds * 10) / 10)
  const part = `${kept}.${process.pid}`
  mkdirSync(path.dirname(kept), { recursive: true })
  writeFileSync(part, JSON.stringify(Object.fromEntries(times), null, 2))
  renameSync(part, kept)
}

/** None, where there are none or they are damaged. */
function readTimes(file: string): Map<string, number> {
  try {
    const kept: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return new Map(Object.entries(kept ?? {}).filter(([, seconds]) => Number.isFinite(seconds)))
  } catch {
    return new Map()
  }
}
