/**
 * `memory-process.mjs <folder> <mode> <task> <keys>`: does the task, prints its memory as JSON (memory.ts). On the package as it
 * is built: compiling TypeScript on the way takes more memory than the replica.
 */
import { openDevice } from '../../dist/index.js'

const [folder, mode, task, keys] = process.argv.slice(2)
const count = Number(keys)

const device = await openDevice({ storage: folder })
const known = device.spaces()[0]
const space = await (known === undefined
  ? device.createSpace({ mode })
  : device.openSpace(known.address, { mode }))
const db = space.db.sub('bench', { keyEncoding: 'binary', valueEncoding: 'binary' })
if (task === 'write') for (let i = 0; i < count; i += 1000) await putThousand(i)
// After writing too: a read brings the index up to date.
if (task !== 'open') await expectAll()
const memory = {
  end: process.memoryUsage.rss() / 2 ** 20,
  most: process.resourceUsage().maxRSS / 2 ** 10
}
process.stdout.write(JSON.stringify(memory))
await device.close()

/** 100-byte values under 16-byte keys, together. */
async function putThousand(start) {
  const puts = Array.from({ length: Math.min(1000, count - start) }, (_, i) => {
    // As in the other rows (peers.ts): scattered over the whole range.
    const at = ((start + i) * 7919) % 1_000_003
    return db.put(Buffer.from(`key/${String(at).padStart(12, '0')}`), Buffer.alloc(100, 7))
  })
  await Promise.all(puts)
}

async function expectAll() {
  let seen = 0
  for await (const _ of db.createReadStream()) seen++
  if (seen !== count) throw new Error(`${seen} of ${count} keys are there`)
}
