/** The index against the logs: each way in which it can be wrong is found, told, and made right by `repair`. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice, type Finding } from '../../index.ts'
import type { OrderedChange, OrderedStore } from '../../core/index.ts'
import { openIndexStore } from '../../core/native/index.ts'
import { collect, collectKeys } from '../support/collect.ts'
import { tempFolder } from '../support/devices.ts'
import { dbKey, entryOf } from '../support/forge.ts'

const ROW = b4a.from([0x02])
const rowOf = (key: string) => b4a.concat([ROW, dbKey(key)])
const INDEX_ROWS = { gte: b4a.from([0x05]), lt: b4a.from([0x06]) }

/** A space with 40 keys and an index by `n`; then whatever is done to the index while nobody has it open. */
async function tampered(tamper: (store: OrderedStore) => Promise<readonly OrderedChange[]>) {
  const temp = await tempFolder()
  const storage = join(temp.path, 'store')
  const device = await openDevice({ storage })
  const space = await device.createSpace({ name: 'Notes' })
  const batch = space.db.batch()
  for (let i = 0; i < 40; i++) batch.put(`k${String(i).padStart(2, '0')}`, { n: i })
  await batch.flush()
  await space.db.sub('s', { index: ['n'] }).put('a', { n: 1 })
  const { address } = space
  await device.close()

  const again = await openDevice({ storage })
  const indexed = await again.openSpace(address, { mode: 'index' })
  await collectKeys(indexed.db.createReadStream())
  assert.is(
    (
      await indexed.db
        .sub('s', { index: ['n'] })
        .by('n')
        .get(1)
    ).length,
    1
  )
  assert.equal(await indexed.check(), [])
  assert.ok(((await indexed.stats()).indexBytes ?? 0) > 100)
  await again.close()

  const [name = ''] = await readdir(join(storage, 'index'))
  const store = await openIndexStore(join(storage, 'index', name))
  await store.write(await tamper(store))
  await store.close()
  const last = await openDevice({ storage })
  return { device: last, space: await last.openSpace(address, { mode: 'index' }), temp }
}

const told = (findings: readonly Finding[]) =>
  findings.map(({ code, message }) => `${code}: ${message}`)

async function isFoundAndRepaired(
  tamper: (store: OrderedStore) => Promise<readonly OrderedChange[]>,
  expected: RegExp
): Promise<void> {
  const { device, space, temp } = await tampered(tamper)
  assert.match(told(await space.check()).join('\n'), expected)
  assert.match(told(await space.check()).join('\n'), expected, 'looking repairs nothing')
  assert.equal(await space.repair(), { done: ['The local index was built again.'], left: [] })
  assert.equal(await space.check(), [])
  assert.is((await collectKeys(space.db.createReadStream())).length, 40)
  assert.is(
    (
      await collect(
        space.db
          .sub('s', { index: ['n'] })
          .by('n')
          .createReadStream()
      )
    ).length,
    1
  )
  await device.close()
  await temp.remove()
}

test('a key that the index lost is found', () =>
  isFoundAndRepaired(
    async () => [{ key: rowOf('k07'), value: null }],
    /^index-differs: "k07" is missing in the index$/
  ))

test('a value that the index changed is found', () =>
  isFoundAndRepaired(
    async (store) => [{ key: rowOf('k07'), value: (await store.get(rowOf('k08'))) ?? null }],
    /^index-differs: "k07" has another value in the index than in the logs$/
  ))

test('a key that only the index has is found', () =>
  isFoundAndRepaired(async () => {
    const entry = entryOf('ghost', { ms: 1 })
    // Core 0, block 0, and an entry.
    const row = b4a.concat([b4a.from([0, 0, entry.byteLength]), entry])
    return [{ key: rowOf('ghost'), value: row }]
  }, /^index-differs: "ghost" is in the index, but not in the logs$/))

test('of many differences the first few are told, and how many there are', () =>
  isFoundAndRepaired(
    async () => Array.from({ length: 9 }, (_, i) => ({ key: rowOf(`k1${i}`), value: null })),
    /"k10"[^]*"k14" is missing in the index\nindex-differs: 9 keys differ in all$/
  ))

test('rows of a secondary index that are lost or changed are found', async () => {
  const rowIn = async (store: OrderedStore) => {
    const cursor = store.cursor(INDEX_ROWS)
    const [[row] = [ROW]] = await cursor.nextBatch(1)
    await cursor.close()
    return row
  }
  await isFoundAndRepaired(
    async (store) => [{ key: await rowIn(store), value: null }],
    /^index-differs: The index of "n" has 0 rows, where the keys make 1$/
  )
  await isFoundAndRepaired(async (store) => {
    const row = await rowIn(store)
    const other = b4a.concat([row.subarray(0, -1), b4a.from('b')])
    return [
      { key: row, value: null },
      { key: other, value: new Uint8Array(0) }
    ]
  }, /^index-differs: The index of "n" has other rows than the keys make$/)
})

test('a row that does not parse is damage', () =>
  isFoundAndRepaired(
    async () => [{ key: rowOf('k07'), value: b4a.from([0, 0, 250]) }],
    /^index-differs: It cannot be read: /
  ))

test('a sound space has nothing to repair', async () => {
  const { device, space, temp } = await tampered(async () => [])
  assert.equal(await space.repair(), { done: [], left: [] })
  await device.close()
  await temp.remove()
})

test.run()
