/** MultiBee alone: over Hypercores of the caller's own, without spaces, membership or a store of ours. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openMultiBee, WriterList, type MultiBeeOptions } from '../../multiwriter/index.ts'
import type { Value } from '../../index.ts'
import { collectKeys } from '../support/collect.ts'
import { until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'

const store: LogStore = await openLogStore()
const now = () => 1_700_000_000_000
let count = 0

test.after(() => store.close())

type Core = Awaited<ReturnType<LogStore['own']>>

/** A fresh log of the store's. */
const ownCore = (): Promise<Core> => store.own(`log-${count++}`)

/** A reader's session: the database closes it. */
const open = (key: Uint8Array): Core => store.corestore.get({ key })

async function write(own: Core, others: readonly Core[] = []) {
  const writers = [own, ...others].map(({ key }) => key)
  return openMultiBee({ writers, open, own, now })
}

test('openMultiBee: writes to one log and reads all of them', async () => {
  const [one, other] = [await ownCore(), await ownCore()]
  const first = await write(one)
  await first.put('a', 1)
  await first.put('both', 'first')
  await first.close()
  const second = await write(other, [await store.remote(one.key)])
  assert.is((await second.get('a'))?.value, 1)
  await second.put('both', 'second')
  const entry = await second.get('both')
  assert.is(entry?.value, 'second')
  assert.equal(entry?.conflicts, [], 'the second had seen the first')
  assert.equal(await collectKeys(second.createReadStream()), ['a', 'both'])
  await second.close()
})

test('openMultiBee: without an own log it reads only, and says so', async () => {
  const own = await ownCore()
  const writer = await write(own)
  await writer.put('k', 1)
  const reader = await openMultiBee({ writers: [own.key], open })
  assert.is(reader.writable, false)
  assert.is(writer.writable, true)
  assert.is((await reader.get('k'))?.value, 1)
  await rejectsWith('READ_ONLY', () => reader.put('k', 2), /reading only/)
  await rejectsWith('READ_ONLY', () => reader.del('k'), /reading only/)
  await rejectsWith('READ_ONLY', () => reader.batch(), /reading only/)
  await reader.close()
  await writer.close()
})

test('openMultiBee: a list of writers may grow and be sealed while it is read', async () => {
  const [one, other] = [await ownCore(), await ownCore()]
  const [first, second] = [await write(one), await write(other)]
  await first.put('a', 1)
  await second.put('b', 1)
  const sealed = other.length
  await second.put('c', 1)
  const writers = new WriterList([one.key])
  const reader = await openMultiBee({ writers, open })
  const keys = async () => (await collectKeys(reader.createReadStream())).join()
  assert.is(await keys(), 'a')
  writers.add(other.key)
  await until(async () => (await keys()) === 'a,b,c')
  writers.seal(other.key, sealed)
  await until(async () => (await keys()) === 'a,b')
  writers.seal(other.key, Infinity)
  await until(async () => (await keys()) === 'a,b,c')
  await Promise.all([reader.close(), first.close(), second.close()])
})

test('openMultiBee: a watcher is shown what a seal takes back', async () => {
  const own = await ownCore()
  const writer = await write(own)
  await writer.put('k', 'old')
  const sealed = own.length
  await writer.put('k', 'new')
  await writer.put('gone', 1)
  const writers = new WriterList([own.key])
  const reader = await openMultiBee({ writers, open })
  const changes = reader.watch()
  await reader.get('k')
  writers.seal(own.key, sealed)
  const [first, second] = [await changes.next(), await changes.next()]
  assert.equal(
    [first, second].map(({ value }) => [value?.key, value?.previous?.value, value?.current?.value]),
    [
      ['gone', 1, undefined],
      ['k', 'new', 'old']
    ]
  )
  await Promise.all([reader.close(), writer.close()])
})

test('openMultiBee: encodings of its own', async () => {
  const own = await ownCore()
  const db = await openMultiBee<Uint8Array, string>({
    writers: [own.key],
    open,
    own,
    now,
    keyEncoding: 'binary',
    valueEncoding: 'utf-8'
  })
  await db.put(new Uint8Array([5]), 'five')
  assert.is((await db.get(new Uint8Array([5])))?.value, 'five')
  await db.close()
})

test('openMultiBee: stamps go on where the own log ended, even if the clock was set back', async () => {
  const own = await ownCore()
  const first = await write(own)
  await first.put('a', 1)
  await first.close()
  const again = await store.own(`log-${count - 1}`)
  const db = await openMultiBee({
    writers: [again.key],
    open,
    own: again,
    now: () => now() - 60_000
  })
  await db.put('b', 2)
  const [a, b] = [await db.get('a'), await db.get('b')]
  assert.ok(a && b && b.stamp.ms >= a.stamp.ms && a.stamp.ms === now())
  await db.close()
})

test('openMultiBee: closes once, finishes what was put, and then rejects', async () => {
  const own = await ownCore()
  const db = await write(own)
  const putting = db.put('k', 1)
  const closing = [db.close(), db.close(), db[Symbol.asyncDispose]()]
  await rejectsWith('BEE_CLOSED', () => db.put('late', 1))
  await Promise.all([putting, ...closing])
  await rejectsWith('BEE_CLOSED', () => db.get('k'))
  await rejectsWith('BEE_CLOSED', () => db.ready())
})

test('openMultiBee: refuses what it cannot use, before it opens anything', async () => {
  const own = await ownCore()
  const stranger = await ownCore()
  const good = { writers: [own.key], open, own, now }
  const wrong = (options: object) => options as unknown as MultiBeeOptions<string, Value>
  const cases: [object, RegExp][] = [
    [{ ...good, writers: undefined }, /"writers"/],
    [{ ...good, writers: {} }, /"writers"/],
    [{ ...good, writers: [new Uint8Array(31)] }, /32 bytes/],
    [{ ...good, writers: ['text'] }, /32 bytes/],
    [{ ...good, writers: [stranger.key] }, /not among/],
    [{ ...good, open: undefined }, /"open"/],
    [{ ...good, open: 'x' }, /"open"/],
    [{ ...good, own: 'x' }, /"own"/],
    [{ ...good, now: undefined }, /"now"/],
    [{ ...good, now: 5 }, /"now"/],
    [{ ...good, sparse: 'yes' }, /"sparse"/],
    [{ ...good, keyEncoding: 'hex' }, /"keyEncoding"/],
    [{ ...good, valueEncoding: 'xml' }, /"valueEncoding"/],
    [{ ...good, writer: own.key }, /"writer"/]
  ]
  for (const [options, message] of cases) {
    await rejectsWith('INVALID_ARGUMENT', () => openMultiBee(wrong(options)), message)
  }
  assert.is(own.closing, null)
  await Promise.all([own.close(), stranger.close()])
})

test('openMultiBee: an `open` that throws shows at the first read', async () => {
  const own = await ownCore()
  const db = await openMultiBee({
    writers: [own.key],
    open() {
      throw new Error('no such log')
    }
  })
  try {
    await db.get('k')
    assert.unreachable()
  } catch (error) {
    assert.match(String(error), /no such log/)
  }
  await db.close()
  await own.close()
})

test.run()
