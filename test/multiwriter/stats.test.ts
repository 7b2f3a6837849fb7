/** `stats`: live and history add up to what is here, and the live blocks are those that reading needs. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Space } from '../../index.ts'
import { reachableBlocks } from '../../core/tree/reach.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { drain, openLogStore } from '../support/tree.ts'
import { OwnLog } from '../../core/store.ts'
import { TreeContext } from '../../core/tree/context.ts'
import { TreeSnapshot } from '../../core/tree/snapshot.ts'
import { put } from '../support/store.ts'
import { seededRandom } from '../support/random.ts'

const NO_GUARD = {
  before() {},
  after: () => Promise.resolve(),
  beforeClear: () => Promise.resolve(),
  explain: (e: unknown) => Promise.resolve(e)
}

/** Counts the blocks that it gives out. */
class CountingContext extends TreeContext {
  readonly asked = new Set<number>()
  override getBlock(
    ...args: Parameters<TreeContext['getBlock']>
  ): ReturnType<TreeContext['getBlock']> {
    this.asked.add(args[0])
    return super.getBlock(...args)
  }
  override decoded(seq: number): ReturnType<TreeContext['decoded']> {
    const block = super.decoded(seq)
    if (block !== null) this.asked.add(seq)
    return block
  }
}

test('reachable: the blocks of the newest tree are exactly those that reading all of it asks for', async () => {
  const store = await openLogStore()
  const random = seededRandom(5)
  const log = new OwnLog(await store.own('data'), NO_GUARD)
  for (let round = 0; round < 60; round++) {
    const puts = new Map<string, string>()
    const count = 1 + random.below(round % 7 === 0 ? 400 : 30)
    for (let i = 0; i < count; i++) {
      const long = random.below(20) === 0 ? 2000 : 10
      puts.set(`k${random.below(900)}`, `${round} ${'v'.repeat(long)}`)
    }
    await log.append([...puts].map(([key, value]) => put(key, value)))
    if (round % 10 !== 9) continue
    const { core } = log
    const context = new CountingContext(core)
    await drain(new TreeSnapshot(context, core.length).cursor())
    const byAsking = [...context.asked].sort((a, b) => a - b)
    const reached = [...(await reachableBlocks(core, core.length))].sort((a, b) => a - b)
    assert.equal(reached, byAsking, `round ${round}`)
    assert.ok(reached.length < core.length || round < 10)
  }
  await log.close()
  await store.close()
})

const logOf = async (space: Space, writer: string) => {
  const log = (await space.stats()).logs.find((each) => each.writer === writer)
  if (log === undefined) throw new Error('no such log')
  return log
}

test('stats: live and history add up; overwriting makes history, not live bytes', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  const empty = await logOf(spaceA, spaceA.writer)
  assert.equal(
    [empty.length, empty.held, empty.bytes, empty.liveBytes, empty.historyBytes],
    [0, 0, 0, 0, 0]
  )
  await spaceA.db.put('k', 'x'.repeat(5000))
  const once = await logOf(spaceA, spaceA.writer)
  assert.ok(once.isOwn && (once.liveBytes ?? 0) > 5000)
  assert.is(once.historyBytes, 0)
  for (let i = 0; i < 5; i++) await spaceA.db.put('k', `${i}${'y'.repeat(5000)}`)
  two.connect()
  await until(() =>
    spaceB
      .writers()
      .some(({ writer, length }) => writer === spaceA.writer && length > once.length * 5)
  )
  for (const space of [spaceA, spaceB]) {
    const log = await logOf(space, spaceA.writer)
    assert.is(log.isOwn, space === spaceA)
    assert.is(log.held, log.length)
    assert.is(log.bytes, (log.liveBytes ?? 0) + (log.historyBytes ?? 0))
    // A replaced value stays readable until its delta chain is rebased.
    assert.ok((log.liveBytes ?? 0) < 2 * (once.liveBytes ?? 0), `${log.liveBytes}`)
    assert.ok((log.historyBytes ?? 0) > 20_000)
  }
  const { storeBytes, indexBytes } = await spaceA.stats()
  assert.ok(storeBytes > 30_000)
  assert.ok(indexBytes === null || indexBytes >= 0)
  await two.close()
})

test('stats: a sparse space tells what it holds, and of live bytes that it cannot know', async () => {
  const two = await openTwoDevices({ sparse: true })
  const { spaceA, spaceB } = two
  const batch = spaceA.db.batch()
  for (let i = 0; i < 2000; i++) batch.put(String(i).padStart(6, '0'), 'z'.repeat(50))
  await batch.flush()
  two.connect()
  await until(async () => (await spaceB.db.get('000500')) !== null)
  const log = await logOf(spaceB, spaceA.writer)
  assert.ok(log.held > 0 && log.held < log.length)
  assert.equal([log.liveBytes, log.historyBytes], [null, null])
  await two.close()
})

test.run()
