/** Groups of writes that are full: what is issued together is written in several batches, and comes to the same. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { compareStamps, HybridLogicalClock } from '../../clock/index.ts'
import { LogReader, OwnLog } from '../../core/index.ts'
import { encodeValue, MAX_VALUE_BYTES, type WriteOperation } from '../../crdt/index.ts'
import type { Operation } from '../../multiwriter/group.ts'
import { Refusals } from '../../multiwriter/refusals.ts'
import { Union } from '../../multiwriter/union.ts'
import { WriteQueue, type GroupLimits } from '../../multiwriter/write-queue.ts'
import { WriterList } from '../../multiwriter/writers.ts'
import { dbKey } from '../support/forge.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'
import { range, testSeeds } from '../sim/seeds.ts'

const NO_GUARD = {
  before() {},
  after: async () => {},
  beforeClear: async () => {},
  explain: async (error: unknown) => error
}

let count = 0

interface QueueOptions {
  readonly limits?: GroupLimits
  readonly others?: readonly OwnLog[]
  readonly wall?: number
}

async function openQueue(store: LogStore, { limits, others = [], wall = 1000 }: QueueOptions = {}) {
  const log = new OwnLog(await store.own(`queue ${count++}`), NO_GUARD)
  const logs = [log, ...others]
  const refusals = new Refusals()
  const clock = new HybridLogicalClock({ now: () => wall, tag: log.core.key.subarray(0, 8) })
  const union = new Union({
    writers: new WriterList(logs.map(({ core }) => core.key)),
    refusals,
    own: log.core.key,
    observe: ({ entry }) => void clock.observe(entry.head.stamp),
    openLog: async (key, onchange) => {
      const { core, tree } = logs.find((each) => b4a.equals(each.core.key, key)) ?? log
      return new LogReader(core, onchange, { writer: tree })
    }
  })
  return { log, union, queue: new WriteQueue(log, union, clock, refusals, () => {}, limits) }
}

const put = (key: string, value: number): Operation => ({
  key: dbKey(key),
  write: { do: 'put', value },
  size: 8
})

/** Batches of several callers, issued in turns; some of them written only over what their caller expects. */
function randomCalls(random: SeededRandom): readonly (readonly Operation[])[] {
  let value = 0
  const operation = (): Operation => {
    const written = put(`key ${random.below(4)}`, value++)
    const expected = random.below(value)
    if (random.below(4) > 0) return written
    return { ...written, cas: ({ value }) => typeof value === 'number' && value >= expected }
  }
  return range(0, 30).map(() => range(0, 1 + random.below(4)).map(operation))
}

testSeeds(
  'write queue: full groups change no outcome and no value',
  'test/multiwriter/write-queue.test.ts',
  range(1, 8),
  async (seed) => {
    const store = await openLogStore()
    const limits = { operations: 1 + (seed % 5), bytes: seed % 2 === 0 ? 60 : Infinity }
    const worlds = [await openQueue(store), await openQueue(store, { limits })] as const
    const calls = randomCalls(seededRandom(seed))
    const outcomes = worlds.map(async ({ queue, union, log }) => {
      const stamps = await Promise.all(calls.map((call) => queue.write(call)))
      const view = await union.view()
      const values = range(0, 4).map(async (i) => (await view.get(dbKey(`key ${i}`))).value)
      return {
        isTaken: stamps.map((stamp) => stamp !== null),
        values: await Promise.all(values),
        length: log.core.length
      }
    })
    const [one, other] = await Promise.all(outcomes)
    assert.equal(other?.isTaken, one?.isTaken)
    assert.equal(other?.values, one?.values)
    assert.ok((other?.length ?? 0) > 5 * (one?.length ?? 0), 'several groups')
    for (const { union } of worlds) await union.close()
    await store.close()
  }
)

test('write queue: a batch that is larger than a group may be is a group of its own', async () => {
  const store = await openLogStore()
  const { queue, union, log } = await openQueue(store, { limits: { operations: 2, bytes: 10 } })
  const large = range(0, 9).map((i) => put(`large ${i}`, i))
  const stamps = await Promise.all(
    [[put('before', 0)], large, [put('after', 1)]].map((call) => queue.write(call))
  )
  assert.is(log.core.length, 3)
  assert.is(new Set(stamps.map((stamp) => `${stamp?.ms} ${stamp?.counter}`)).size, 3)
  const view = await union.view()
  for (const i of range(0, 9)) assert.is((await view.get(dbKey(`large ${i}`))).value, i)
  await union.close()
  await store.close()
})

let refused = 0

testSeeds(
  'write queue: calls of one operation come to what they come to beside a call that asks',
  'test/multiwriter/write-queue.test.ts',
  range(1, 8),
  async (seed) => {
    const store = await openLogStore()
    const other = await openQueue(store)
    await other.queue.write(range(0, 3).map((i) => put(`key ${i}`, -1)))
    const worlds = [
      await openQueue(store, { others: [other.log] }),
      await openQueue(store, { others: [other.log] })
    ] as const
    const asking = [{ ...put('asking', 0), cas: () => true }]
    const random = seededRandom(seed)
    const calls = range(0, 20).map((i): readonly Operation[] => {
      const key = dbKey(`key ${random.below(6)}`)
      const bytes = random.below(10) === 0 ? b4a.alloc(2 * MAX_VALUE_BYTES) : encodeValue(i)
      const writes: readonly WriteOperation[] = [
        { do: 'put-whole', bytes },
        { do: 'put', value: { [`field ${random.below(2)}`]: i } },
        { do: 'del' },
        { do: 'add', amount: i }
      ]
      return [{ key, write: writes[random.below(writes.length)] ?? { do: 'del' }, size: 8 }]
    })
    const outcomes = await Promise.all(
      worlds.map(async ({ queue, union, log }, i) => {
        const all = i === 0 ? calls : [...calls, asking]
        const written = await Promise.allSettled(all.map((call) => queue.write(call)))
        assert.is(log.core.length, 1, 'one group')
        const view = await union.view()
        const values = await Promise.all(
          range(0, 6).map(async (at) => view.get(dbKey(`key ${at}`)))
        )
        return {
          status: written.slice(0, calls.length).map(({ status }) => status),
          said: values.map(({ type, value, conflicts }) => ({ type, value, of: conflicts.length }))
        }
      })
    )
    assert.equal(outcomes[0], outcomes[1])
    if (outcomes[0]?.status.includes('rejected')) refused++
    for (const { union } of [other, ...worlds]) await union.close()
    await store.close()
  }
)

test('write queue: some of those calls were refused', () => {
  assert.ok(refused > 0 || process.env['SIM_SEED'] !== undefined)
})

test('write queue: a group is stamped after everything that any of its puts has seen', async () => {
  const store = await openLogStore()
  const ahead = await openQueue(store, { wall: 2000 })
  const theirs = await ahead.queue.write([put('b', 0)])
  const { queue, union } = await openQueue(store, { others: [ahead.log], wall: 1000 })
  const [first, second] = await Promise.all([
    queue.write([put('a', 1)]),
    queue.write([put('b', 1)])
  ])
  assert.equal(first, second, 'one group')
  assert.ok(first !== null && second !== null && theirs !== null && first !== undefined)
  assert.ok(compareStamps(first, theirs) > 0, 'though it was looked up after the stamp was made')
  await union.close()
  await ahead.union.close()
  await store.close()
})

test.run()
