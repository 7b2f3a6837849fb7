/**
 * Memory of one replica: each case in a process of its own (`memory-process.mjs`), which runs the package as it is built, and tells
 * what it takes at the end and at most.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { formatRate, type Goal } from '../harness.ts'
import { manyhandsIn, pairs, type Mode } from '../peers.ts'
import { atMost, MODES, ALL_MODES, type Row } from './row.ts'

const GOAL = 250

const BATCH = 1000

const TASKS = {
  open: 'opened, nothing read',
  scan: 'reopened and scanned',
  write: 'written in batches of 1000'
} as const

/** What stands below ours, writing the same by itself: a block per pair, and the trees that people keep in such logs. */
const BARE = ['hypercore', 'hyperbee2', 'hyperbee'] as const

export type Task = keyof typeof TASKS

/** In MiB. */
export interface Memory {
  readonly end: number
  readonly most: number
}

export const memory: Row = async (context) => {
  const { folder, quick } = context
  const keys = quick ? 2000 : 100_000
  await promisify(execFile)(process.execPath, [BUILD])
  const notes: string[] = []
  const goals: Goal[] = []
  for (const mode of ALL_MODES) {
    const filled = join(folder, mode)
    await fill(filled, mode, keys)
    for (const task of ['open', 'scan', 'write'] as const) {
      const place = task === 'write' ? join(folder, `${mode}-new`) : filled
      const { end, most } = await measure({ kind: mode, task, place, keys })
      const what = `memory, ${formatRate(keys)} keys, ${MODES[mode]}, ${TASKS[task]}`
      notes.push(`${what}: ${mebibytes(end)} resident at the end, ${mebibytes(most)} at most`)
      if (mode === 'index' && task !== 'open') goals.push(atMost(what, end, GOAL, mebibytes))
    }
  }
  for (const kind of BARE) {
    const { end } = await measure({ kind, task: 'write', place: join(folder, kind), keys })
    notes.push(
      `the floor, ${formatRate(keys)} keys, bare ${kind}, ${TASKS.write}: ${mebibytes(end)}`
    )
  }
  return { tables: [], goals, notes }
}

const mebibytes = (size: number): string => `${size.toFixed(0)} MiB`

/** Also reads it once: the index is there. */
async function fill(folder: string, mode: Mode, keys: number): Promise<void> {
  const db = await manyhandsIn(mode)(folder)
  for (let i = 0; i < keys; i += BATCH) await db.putAll(pairs(i, Math.min(i + BATCH, keys)))
  await db.scan()
  await db.close()
}

interface Case {
  readonly kind: Mode | (typeof BARE)[number]
  readonly task: Task
  readonly place: string
  readonly keys: number
}

const BUILD = fileURLToPath(new URL('../../scripts/build.mjs', import.meta.url))

const PROCESS = fileURLToPath(new URL('memory-process.mjs', import.meta.url))

async function measure({ kind, task, place, keys }: Case): Promise<Memory> {
  const args = [PROCESS, place, kind, task, String(keys)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return JSON.parse(stdout)
}
