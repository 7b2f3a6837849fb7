/**
 * `memory-process.mjs <folder> <kind> <task> <keys>`: does the task, prints its memory as JSON (memory.ts). On the package as it
 * is built: compiling TypeScript on the way takes more memory than the replica. What stands below ours is shown writing the same.
 */
import { createRequire } from 'node:module'
import { openDevice } from '../../dist/index.js'

const [folder, kind, task, keys] = process.argv.slice(2)
const count = Number(keys)

// None of them ships types, or a module.
const require = createRequire(import.meta.url)
const Corestore = require('corestore')

const KINDS = { index: openOurs, stream: openOurs, hypercore, hyperbee, hyperbee2 }

const db = await KINDS[kind]()
if (task === 'write') for (let i = 0; i < count; i += 1000) await db.putAll(thousand(i))
// After writing too: a read brings the index up to date.
if (task !== 'open') await expectAll()
const memory = {
  end: process.memoryUsage.rss() / 2 ** 20,
  most: process.resourceUsage().maxRSS / 2 ** 10
}
process.stdout.write(JSON.stringify(memory))
await db.close()

/** 100-byte values under 16-byte keys. */
function thousand(start) {
  return Array.from({ length: Math.min(1000, count - start) }, (_, i) => {
    // As in the other rows (peers.ts): scattered over the whole range.
    const at = ((start + i) * 7919) % 1_000_003
    return { key: Buffer.from(`key/${String(at).padStart(12, '0')}`), value: Buffer.alloc(100, 7) }
  })
}

async function expectAll() {
  let seen = 0
  for await (const _ of db.entries()) seen++
  if (seen !== count) throw new Error(`${seen} of ${count} keys are there`)
}

async function openOurs() {
  const device = await openDevice({ storage: folder })
  const known = device.spaces()[0]
  const space = await (known === undefined
    ? device.createSpace({ mode: kind })
    : device.openSpace(known.address, { mode: kind }))
  const bee = space.db.sub('bench', { keyEncoding: 'binary', valueEncoding: 'binary' })
  return {
    putAll: (pairs) => Promise.all(pairs.map(({ key, value }) => bee.put(key, value))),
    entries: () => bee.createReadStream(),
    close: () => device.close()
  }
}

/** A block per pair: no tree. */
async function hypercore() {
  const store = new Corestore(folder)
  const core = store.get({ name: 'bench' })
  await core.ready()
  return {
    putAll: (pairs) => core.append(pairs.map(({ key, value }) => Buffer.concat([key, value]))),
    entries: () => core.createReadStream(),
    close: () => store.close()
  }
}

async function hyperbee() {
  const Hyperbee = require('hyperbee')
  const store = new Corestore(folder)
  const bee = new Hyperbee(store.get({ name: 'bench' }), { extension: false })
  await bee.ready()
  return {
    async putAll(pairs) {
      const batch = bee.batch()
      for (const { key, value } of pairs) await batch.put(key, value)
      await batch.flush()
    },
    entries: () => bee.createReadStream(),
    close: () => store.close()
  }
}

async function hyperbee2() {
  const Hyperbee2 = require('hyperbee2')
  const store = new Corestore(folder)
  const bee = new Hyperbee2(store)
  await bee.ready()
  return {
    async putAll(pairs) {
      const batch = bee.write()
      for (const { key, value } of pairs) batch.tryPut(key, value)
      await batch.flush()
    },
    entries: () => bee.createReadStream(),
    async close() {
      await bee.close()
      await store.close()
    }
  }
}
