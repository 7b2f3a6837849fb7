/**
 * `scan-process.ts <what> <folder>`: one database in a process of its own, as its user has it: with a heap that no competitor has
 * filled. Does what its parent asks (scan.ts): opens, scans, closes, and says what a scan took.
 */
import { ClassicLevel } from 'classic-level'
import { autobase } from '../bases.ts'
import { timed, type Run } from '../harness.ts'
import { manyhandsIn, type Database, type OpenDatabase } from '../peers.ts'

/** What there is to be scanned; `raw` is the index's own store, its rows not decoded. */
export type What = 'index' | 'stream' | 'raw' | 'autobase'

export type Step = 'open' | 'scan' | 'close'

/** The answer to a step; to a scan, with what it saw and took. */
export interface Answer {
  readonly error?: string
  readonly seen?: number
  readonly run?: Run
}

/** A scan and nothing else. */
type Scanned = Pick<Database, 'scan' | 'close'>

const OPEN: Record<What, (folder: string) => Promise<Scanned>> = {
  index: manyhandsIn('index'),
  stream: manyhandsIn('stream'),
  raw: openRaw,
  autobase: autobase satisfies OpenDatabase
}

const [what, folder] = process.argv.slice(2)
const open = OPEN[what as What]
let db: Scanned | undefined

process.on('message', (step: Step) => {
  void answer(step)
    .catch((error: unknown): Answer => ({ error: String(error) }))
    .then((done) => process.send?.(done))
})

async function answer(step: Step): Promise<Answer> {
  if (step === 'open') db = await open(folder!)
  else if (step === 'close') await db?.close()
  else {
    let seen = 0
    const run = await timed(async () => void (seen = (await db?.scan()) ?? 0))
    return { seen, run }
  }
  return {}
}

async function openRaw(folder: string): Promise<Scanned> {
  const level = new ClassicLevel<Uint8Array, Uint8Array>(folder, {
    keyEncoding: 'view',
    valueEncoding: 'view'
  })
  await level.open()
  return { scan: () => countRows(level), close: () => level.close() }
}

async function countRows(level: ClassicLevel<Uint8Array, Uint8Array>): Promise<number> {
  const iterator = level.iterator({ highWaterMarkBytes: 256 * 1024 })
  let count = 0
  for (;;) {
    const rows = await iterator.nextv(1000)
    if (rows.length === 0) break
    count += rows.length
  }
  await iterator.close()
  return count
}
