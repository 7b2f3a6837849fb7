/** Groups of writes that are full: what is issued together is written in several batches, and comes to the same. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HybridLogicalClock } from '../../clock/index.ts'
import { LogReader, OwnLog } from '../../core/index.ts'
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

async function openQueue(store: LogStore, limits?: GroupLimits) {
  const log = new OwnLog(await store.own(`queue ${count++}`), NO_GUARD)
  const refusals = new Refusals()
  const union = new Union({
    writers: new WriterList([log.core.key]),
    refusals,
    own: log.core.key,
    openLog: async (_, onchange) => new LogReader(log.core, onchange, { writer: log.tree })
  })
  const clock = new HybridLogicalClock({ now: () => 1000, tag: log.core.key.subarray(0, 8) })
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
    const worlds = [await openQueue(store), await openQueue(store, limits)] as const
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
  const { queue, union, log } = await openQueue(store, { operations: 2, bytes: 10 })
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

test.run()
