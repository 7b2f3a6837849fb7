/** A sparse space fetches what it reads, key by key, and reads the same as a full one. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Space, StreamOptions } from '../../multiwriter/index.ts'
import { openTwoDevices, until } from '../support/devices.ts'

const KEYS = 3000
const keyNumber = (i: number) => `key-${String(i).padStart(5, '0')}`

/** A space with scattered keys, some with values in blocks of their own, and a sparse reader of it. */
async function openSparse() {
  const two = await openTwoDevices({ sparse: true })
  const { spaceA: full, spaceB: sparse } = two
  for (let start = 0; start < KEYS; start += 250) {
    const puts = Array.from({ length: 250 }, (_, i) => {
      const number = ((start + i) * 1009) % KEYS
      return full.db.put(keyNumber(2 * number), number % 50 === 0 ? 'x'.repeat(2000) : number)
    })
    await Promise.all(puts)
  }
  const cut = two.connect()
  await until(async () => (await sparse.db.get(keyNumber(0)).catch(() => null)) !== null)
  return { full, sparse, cut, close: () => two.close() }
}

async function read(space: Space, options: StreamOptions<string>): Promise<[string, unknown][]> {
  const entries: [string, unknown][] = []
  for await (const { key, value } of space.db.createReadStream(options)) entries.push([key, value])
  return entries
}

test('sparse: pages and lookups agree with the device that wrote them', async () => {
  const { full, sparse, close } = await openSparse()
  const bound = fc.integer({ min: 0, max: 2 * KEYS }).map(keyNumber)
  const page = fc.record(
    { gte: bound, lt: bound, reverse: fc.boolean(), limit: fc.integer({ min: 1, max: 300 }) },
    { requiredKeys: ['limit'] }
  )
  await fc.assert(
    fc.asyncProperty(page, bound, async (options, key) => {
      assert.equal(await read(sparse, options), await read(full, options))
      assert.equal((await sparse.db.get(key))?.value, (await full.db.get(key))?.value)
    }),
    { numRuns: 60 }
  )
  assert.equal(sparse.refusals(), [])
  await close()
})

test('sparse: without a peer what was read is there, and what was not says BLOCK_UNAVAILABLE', async () => {
  const { sparse, cut, close } = await openSparse()
  const options = { gte: keyNumber(100), limit: 20 }
  const before = await read(sparse, options)
  cut()
  await until(() => sparse.peers().length === 0)
  assert.equal(await read(sparse, { ...options, wait: false }), before)
  try {
    await read(sparse, { wait: false })
    assert.unreachable('the whole space was read')
  } catch (error) {
    assert.is((error as { code?: string }).code, 'BLOCK_UNAVAILABLE')
  }
  await sparse.db.put(keyNumber(4444), 'mine') // a put never waits
  await close()
})

test.run()
