/** The contract of OrderedStore, for every door: LevelDB in a folder today, a browser's storage later. */
import b4a from 'b4a'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { OrderedStore } from '../../core/index.ts'
import type { TreeRange } from '../../core/tree/cursor.ts'

export interface OrderedStoreUnderTest {
  /** Opens one and the same store, again and again; never twice at once. */
  open(): Promise<OrderedStore>
  /** Removes it. */
  remove(): Promise<void>
}

const key = (text: string) => b4a.from(text, 'latin1')
const put = (text: string, value = text) => ({ key: key(text), value: key(value) })
const del = (text: string) => ({ key: key(text), value: null })

async function keysIn(store: OrderedStore, range: TreeRange = {}, size = 2): Promise<string[]> {
  const cursor = store.cursor(range)
  const keys: string[] = []
  for (;;) {
    const rows = await cursor.nextBatch(size)
    assert.ok(rows.length <= size)
    if (rows.length === 0) break
    keys.push(...rows.map(([each]) => b4a.toString(each, 'latin1')))
  }
  await cursor.close()
  return keys
}

/** @param make a place where no store is yet */
export function testOrderedStore(name: string, make: () => Promise<OrderedStoreUnderTest>): void {
  const test = suite(`ordered store contract: ${name}`)

  /** One law, on a new store. */
  function law(title: string, body: (store: OrderedStore) => Promise<void>): void {
    test(title, async () => {
      const place = await make()
      const store = await place.open()
      try {
        await body(store)
      } finally {
        await store.close()
        await place.remove()
      }
    })
  }

  law(
    'a row that was written is read; one that was not, or was deleted, is undefined',
    async (store) => {
      assert.is(await store.get(key('a')), undefined)
      await store.write([put('a'), put('b', ''), put('c')])
      await store.write([del('c'), del('never')])
      assert.equal(
        (await store.getMany([key('c'), key('a'), key('b')])).map(
          (each) => each && b4a.toString(each)
        ),
        [undefined, 'a', '']
      )
      assert.ok(b4a.equals((await store.get(key('a'))) ?? key(''), key('a')))
      assert.equal(await store.getMany([]), [])
    }
  )

  law('of several changes of a key in one write the last counts', async (store) => {
    await store.write([put('a', '1'), del('a'), put('a', '2'), put('b'), del('b')])
    assert.is(b4a.toString((await store.get(key('a'))) ?? key('')), '2')
    assert.is(await store.get(key('b')), undefined)
    await store.write([])
  })

  law('writes that are not awaited are done in their order', async (store) => {
    await Promise.all(Array.from({ length: 50 }, (_, i) => store.write([put('a', String(i))])))
    assert.is(b4a.toString((await store.get(key('a'))) ?? key('')), '49')
  })

  law('rows come in byte order, within every kind of bounds, both ways', async (store) => {
    const all = ['\u0000', 'a', 'a\u0000', 'aa', 'b', '\u00ff', '\u00ff\u00ff']
    await store.write([...all].reverse().map((each) => put(each)))
    assert.equal(await keysIn(store), all)
    assert.equal(await keysIn(store, { reverse: true }, 100), [...all].reverse())
    assert.equal(await keysIn(store, { gte: key('a'), lt: key('b') }), ['a', 'a\u0000', 'aa'])
    assert.equal(await keysIn(store, { gt: key('a'), lte: key('b') }), ['a\u0000', 'aa', 'b'])
    assert.equal(await keysIn(store, { gt: key('a'), lte: key('b'), reverse: true }), [
      'b',
      'aa',
      'a\u0000'
    ])
    assert.equal(await keysIn(store, { gte: key('b'), lt: key('a') }), [])
  })

  law('many rows are the same rows, however many are taken at once', async (store) => {
    const all = Array.from({ length: 3000 }, (_, i) => String(i).padStart(4, '0'))
    await store.write(all.map((each) => put(each)))
    for (const size of [1000, 300, 128, 127]) assert.equal(await keysIn(store, {}, size), all)
    const cursor = store.cursor({ reverse: true })
    let left = 3000
    for (const size of [16, 256, 1, 500, 16, 4096, 4096]) {
      const rows = await cursor.nextBatch(size)
      const [first] = rows[0] ?? [key('none')]
      assert.is(b4a.toString(first), left === 0 ? 'none' : all[left - 1])
      assert.ok(rows.length <= size)
      left -= rows.length
    }
    await cursor.close()
  })

  law('a cursor shows what was there when it was made', async (store) => {
    await store.write([put('a'), put('b')])
    const cursor = store.cursor({})
    await store.write([del('b'), put('c'), put('a', 'new')])
    const rows = await cursor.nextBatch(10)
    assert.equal(
      rows.map(([each, value]) => `${b4a.toString(each)}=${b4a.toString(value)}`),
      ['a=a', 'b=b']
    )
    await cursor.close()
    assert.equal(await keysIn(store), ['a', 'c'])
  })

  law(
    "what was read is the reader's own: changed there, it is the same to the next",
    async (store) => {
      await store.write([put('a'), put('b')])
      const cursor = store.cursor({})
      const rows = await cursor.nextBatch(10)
      await cursor.close()
      for (const [each, value] of rows) {
        each.fill(0)
        value.fill(0)
      }
      ;(await store.get(key('a')))?.fill(0)
      for (const value of await store.getMany([key('b')])) value?.fill(0)
      assert.equal(await keysIn(store), ['a', 'b'])
      assert.is(b4a.toString((await store.get(key('a'))) ?? key('')), 'a')
      assert.is(b4a.toString((await store.get(key('b'))) ?? key('')), 'b')
    }
  )

  law('clear leaves nothing, and the store goes on', async (store) => {
    await store.write([put('a'), put('b')])
    await store.clear()
    assert.equal(await keysIn(store), [])
    await store.write([put('c')])
    assert.equal(await keysIn(store), ['c'])
  })

  law('bytes grow with what is written, and are given back by clear', async (store) => {
    const before = await store.bytes()
    assert.ok(Number.isSafeInteger(before) && before >= 0)
    await store.write([put('a', 'x'.repeat(100_000))])
    const full = await store.bytes()
    assert.ok(full > before, `${before} ${full}`)
    await store.clear()
    assert.ok((await store.bytes()) < full)
  })

  test('what was written is there after closing, and a closed store takes nothing', async () => {
    const place = await make()
    const first = await place.open()
    await first.write([put('a'), put('b')])
    await first.close()
    await first.write([put('c')]).then(
      () => assert.unreachable(),
      () => {}
    )
    const second = await place.open()
    assert.equal(await keysIn(second), ['a', 'b'])
    await second.close()
    await place.remove()
  })

  test.run()
}
