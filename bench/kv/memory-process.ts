/** `memory-process.ts <folder> <mode> <task> <keys>`: does the task, prints its memory as JSON (memory.ts). */
import { manyhandsIn, pairs } from '../peers.ts'
import type { Memory } from './memory.ts'

const [folder, mode, task, keys] = process.argv.slice(2)
const count = Number(keys)

const db = await manyhandsIn(mode === 'index' ? 'index' : 'stream')(folder!)
if (task === 'write') for (let i = 0; i < count; i += 1000) await db.putAll(pairs(i, i + 1000))
// After writing too: a read brings the index up to date.
if (task !== 'open') await expectAll()
const memory: Memory = {
  end: process.memoryUsage.rss() / 2 ** 20,
  most: process.resourceUsage().maxRSS / 2 ** 10
}
process.stdout.write(JSON.stringify(memory))
await db.close()

async function expectAll(): Promise<void> {
  const seen = await db.scan()
  if (seen !== count) throw new Error(`${seen} of ${count} keys are there`)
}
