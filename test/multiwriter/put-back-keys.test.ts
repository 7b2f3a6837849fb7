/** Putting back what a log left out, while keys of the content come late: to who reads it, to who writes it, and of what it relied on. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Space } from '../../index.ts'
import { TestKeys } from '../support/block-keys.ts'
import { until } from '../support/devices.ts'
import { exportSpace } from '../support/export.ts'
import { behindOf, FIRST, logOf, openLate, SECOND } from '../support/late-keys.ts'
import { PruningWorld, type PruningPeer } from '../support/pruning-world.ts'
import { rejectsWith } from '../support/rejects.ts'

const THIRD = b4a.alloc(32, 23)

/** More than one batch puts back. */
const PRUNED = ['k', 'l', 'm', 'n', 'o']

interface Cast {
  readonly world: PruningWorld
  /** Has pruned the keys below, which the other wrote over. */
  readonly pruner: PruningPeer
  readonly other: PruningPeer
  /** Writes nothing, and has the first key alone. */
  readonly reader: PruningPeer
  readonly keys: { readonly pruner: TestKeys; readonly reader: TestKeys }
}

/** All hold everything of each other. */
function meet({ peers }: PruningWorld): void {
  for (const peer of peers)
    for (const { core } of peers) if (core !== peer.core) peer.writers.seal(core.key, core.length)
}

/** @param overwriting the key under which the other writes over 'k' */
async function withPruned(
  overwriting: Uint8Array,
  body: (cast: Cast) => Promise<void>
): Promise<void> {
  const keys = {
    pruner: new TestKeys([SECOND, FIRST]),
    other: new TestKeys([SECOND, FIRST]),
    reader: new TestKeys([FIRST])
  }
  const world = await PruningWorld.open(['index', 'stream', 'index'], {
    keys: [keys.pruner, keys.other, keys.reader],
    readers: [2]
  })
  const [pruner, other, reader] = world.peers
  assert.ok(pruner && other && reader)
  try {
    for (const key of PRUNED) await pruner.db.put(key, 'own')
    await pruner.db.put('beside', 1)
    meet(world)
    keys.other.use(overwriting)
    for (const key of PRUNED) await other.db.put(key, 'over')
    keys.pruner.use(SECOND)
    let pruned = 0
    for (let round = 0; round < 4; round++) {
      for (const peer of [pruner, other]) {
        meet(world)
        pruned += await peer.prune()
      }
    }
    assert.is(pruned, PRUNED.length)
    await body({ world, pruner, other, reader, keys })
  } finally {
    await world.close()
  }
}

const valueOf = async ({ db }: PruningPeer, key: string) => (await db.get(key))?.value

/** The orders of three things. */
const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0]
] as const

for (const [name, overwriting] of [
  ['which it can read', FIRST],
  ['which it cannot read yet', SECOND]
] as const) {
  test(`put back, late keys: a reader who lacks the key finds what was put back, in whatever order it hears of key, seal and log; the cover is one ${name}`, async () => {
    for (const order of ORDERS)
      await withPruned(overwriting, async ({ pruner, other, reader, keys }) => {
        const before = await valueOf(reader, 'k')
        assert.is(before, overwriting === FIRST ? 'over' : 'own')
        pruner.writers.seal(other.core.key, 0)
        await pruner.db.put('next', 2)
        assert.is(await valueOf(pruner, 'k'), 'own')
        const news = [
          () => keys.reader.learn(SECOND),
          () => reader.writers.seal(other.core.key, 0),
          () => reader.writers.seal(pruner.core.key, pruner.core.length)
        ] as const
        for (const which of order) {
          news[which]()
          const value = await valueOf(reader, 'k')
          assert.ok(value === 'own' || value === 'over', order.join())
          assert.equal(reader.refusals.list(), [])
        }
        assert.equal(
          [await valueOf(reader, 'k'), await valueOf(reader, 'next')],
          ['own', 2],
          order.join()
        )
        assert.is((await reader.db.get('k'))?.seq, 0, 'where it was first written')
        await reader.check()
      })
  })
}

test('put back, late keys: while there is no key to write with nothing is put back, and nothing is written; with one, everything', () =>
  withPruned(SECOND, async ({ pruner, other, reader, keys }) => {
    keys.reader.learn(SECOND)
    keys.pruner.stop()
    pruner.writers.seal(other.core.key, 0)
    const { length } = pruner.core
    for (let i = 0; i < 2; i++) await rejectsWith('NO_EPOCH_KEY', () => pruner.db.put('next', i))
    await rejectsWith('NO_EPOCH_KEY', () => pruner.mend())
    assert.is(pruner.core.length, length)
    assert.equal([await valueOf(pruner, 'k'), await valueOf(pruner, 'next')], ['own', undefined])
    keys.pruner.use(THIRD)
    await pruner.db.put('next', 2)
    assert.equal([await valueOf(pruner, 'k'), await valueOf(pruner, 'next')], ['own', 2])
    await pruner.check()

    reader.writers.seal(other.core.key, 0)
    reader.writers.seal(pruner.core.key, pruner.core.length)
    assert.equal([await valueOf(reader, 'k'), await valueOf(reader, 'next')], ['own', undefined])
    keys.reader.learn(THIRD)
    assert.equal([await valueOf(reader, 'k'), await valueOf(reader, 'next')], ['own', 2])
    await reader.check()
  }))

test('put back, late keys: a writer whose key ends amid putting back goes on with the next one, and its readers see all at once', () =>
  withPruned(SECOND, async ({ world, pruner, other, reader, keys }) => {
    const values = (peer: PruningPeer) =>
      Promise.all([...PRUNED, 'next'].map((key) => valueOf(peer, key)))
    const allOf = (value: string, next?: number) => [...PRUNED.map(() => value), next]
    const { length } = pruner.core
    pruner.writers.seal(other.core.key, 0)
    pruner.core.once('append', () => keys.pruner.stop())
    await rejectsWith('NO_EPOCH_KEY', () => pruner.db.put('next', 2))
    assert.ok(pruner.core.length > length, 'something was put back')
    assert.equal(await values(pruner), allOf('own'))
    await pruner.reopen()
    keys.pruner.use(THIRD)
    await pruner.db.put('next', 3)
    reader.writers.seal(other.core.key, 0)
    reader.writers.seal(pruner.core.key, pruner.core.length)
    for (const key of [THIRD, SECOND]) {
      assert.equal(await values(reader), allOf('own'))
      keys.reader.learn(key)
    }
    assert.equal(await values(reader), allOf('own', 3))
    // The seal falls away: what was put back is covered as it was before.
    meet(world)
    for (const peer of [pruner, reader]) {
      assert.equal(await values(peer), allOf('over', 3))
      assert.equal((await peer.db.get('k'))?.conflicts, [])
      await peer.check()
    }
  }))

test('put back, late keys: history that is dropped puts back what was left out, also for who gets the key of that later', async () => {
  const KEYS = 40
  const putSome = async ({ db }: Space, value: string, step: number) => {
    for (let i = 0; i < KEYS; i += step) await db.put(`${i}`, `${value} ${i}`)
  }
  let pruned = 0
  const late = await openLate(
    async (space, epoch) => {
      if (epoch === 'first') return putSome(space, 'first', 1)
      for (let i = 0; i < 5; i++) await space.db.put('large', `${i} `.repeat(5000))
      for (let round = 0; round < 3; round++) pruned += (await space.compact()).pruned
      assert.ok((await space.compact({ history: 'drop' })).blocks > 0)
      await space.db.put('last', 1)
    },
    {
      prepare: async (reader) => {
        await exportSpace(reader)
        await putSome(reader, 'over', 2)
        await reader.compact()
      }
    }
  )
  const { reader, writer, keys } = late
  assert.is(pruned, KEYS / 2)
  await until(() => behindOf(late) === 'NO_EPOCH_KEY')
  assert.equal(
    [(await reader.db.get('2'))?.value, (await reader.db.get('3'))?.value],
    ['over 2', 'first 3']
  )
  keys.learn(SECOND)
  await until(() => logOf(reader, reader)?.here === logOf(writer, reader)?.here)
  assert.is(behindOf(late), null)
  assert.equal(await exportSpace(reader), await exportSpace(writer))
  assert.is((await reader.db.get('2'))?.value, 'over 2')
  assert.equal((await reader.db.get('2'))?.conflicts, [])
  assert.equal(await reader.check(), [])
  assert.equal(reader.refusals(), [])
  await late.close()
})

test.run()
